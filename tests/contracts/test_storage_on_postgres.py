"""The contracts of the dispatcher's database over PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import ClassVar

import pytest
from psycopg.errors import InsufficientPrivilege

from dispatcher.queue.views import VIEWS
from dispatcher.storage import storage
from receiver.store.postgres.texts import from_database
from tests.contracts.attempt_activity import AttemptActivityContract
from tests.contracts.audit_log import AuditLogContract
from tests.contracts.endpoint_store import EndpointStoreContract
from tests.contracts.outbox import OutboxContract
from tests.contracts.queue_figures import AttemptHistoryContract, QueueFiguresContract
from tests.contracts.readings import ReadingsContract
from tests.contracts.recording import RecordingContract
from tests.contracts.report_store import a_callback, an_sms
from tests.contracts.retention import ErasureContract, RetentionContract
from tests.contracts.shared_time import SharedTimeContract
from tests.contracts.sql_views import (
    PAIRS,
    SQL_OF_THE_GUIDE,
    SqlViewsContract,
    fill,
    in_plain,
)
from tests.contracts.sqlite_backend import asked
from tests.contracts.storage_on_postgres import PostgresStorageBackend, postgres_storage
from tests.contracts.unrouted_store import UnroutedStoreContract
from tests.dispatcher.support import a_bench
from tests.postgres import in_autocommit, named

__all__ = ["postgres_storage"]


@pytest.fixture
def backend(postgres_storage: PostgresStorageBackend) -> PostgresStorageBackend:
    return postgres_storage


class TestEndpointStore(EndpointStoreContract):
    pass


class TestAuditLog(AuditLogContract):
    pass


class TestSharedTime(SharedTimeContract):
    several_machines = True


class TestQueueFigures(QueueFiguresContract):
    pass


class TestAttemptHistory(AttemptHistoryContract):
    pass


class TestReadings(ReadingsContract):
    pass


class TestAttemptActivity(AttemptActivityContract):
    pass


class TestOutbox(OutboxContract):
    pass


class TestUnroutedStore(UnroutedStoreContract):
    pass


class TestRetention(RetentionContract):
    pass


class TestErasure(ErasureContract):
    pass


class TestRecording(RecordingContract):
    pass


class TestSqlViews(SqlViewsContract):
    TYPES: ClassVar = {
        "integer": (int,),
        "number": (Decimal, float),
        "text": (str,),
        "instant": (datetime,),
        "boolean": (bool,),
    }

    async def test_same_rows(self, backend: PostgresStorageBackend) -> None:
        """SQLite has the same rows, to the value."""
        async with a_bench(PAIRS) as bench:
            await fill(bench)
            for view in VIEWS:
                statement = f"SELECT * FROM {view.name}"
                there = await bench.database.read(partial(asked, statement=statement))
                here = in_plain(await backend.asked(statement))
                assert sorted(here, key=str) == sorted(there, key=str)

    async def test_a_role_that_reads(self, backend: PostgresStorageBackend) -> None:
        """The role of the guide reads each view, and neither reads a table nor writes a view."""
        (make,) = (each for each in SQL_OF_THE_GUIDE if "ROLE grafana" in each)
        with in_autocommit(backend.empty.url) as owner:
            owner.execute(make.encode())
            try:
                with in_autocommit(f"{backend.empty.url}&user=grafana") as reader:
                    for view in VIEWS:
                        assert reader.execute(f"SELECT * FROM {view.name}".encode()).fetchone()
                    for refused in (b"TABLE report", b"DELETE FROM dlr_quarantine"):
                        with pytest.raises(InsufficientPrivilege):
                            reader.execute(refused)
            finally:
                owner.execute("DROP OWNED BY grafana; DROP ROLE grafana")

    async def test_a_database_with_its_owner(self, backend: PostgresStorageBackend) -> None:
        """The role of the guide makes the tables in the database of the guide."""
        (make,) = (each for each in SQL_OF_THE_GUIDE if "CREATE DATABASE" in each)
        url = named(backend.empty.url, "dlr").partition("&user=")[0] + "&user=dlr"
        with in_autocommit(backend.empty.url) as superuser:
            try:
                for statement in make.split(";"):
                    if statement.strip():
                        superuser.execute(statement.encode())
                async with storage(url) as opened:
                    assert await opened.store.newest_report() == 0
            finally:
                superuser.execute("DROP DATABASE IF EXISTS dlr")
                superuser.execute("DROP ROLE IF EXISTS dlr")

    async def test_texts_that_postgres_cannot_hold(self, backend: PostgresStorageBackend) -> None:
        """A NUL in one report makes no query fail, whether its item has few or many of them. What
        only looks like one stays."""
        texts = ["a\0\0b", "\\\0", "\\u0000", "plain"]
        given = [an_sms(f"odd-{number}", to=text) for number, text in enumerate(texts)]
        await backend.storage.store.add([a_callback(*given)])
        await backend.storage.read_model.catch_up()
        found = await backend.asked(
            "SELECT recipient FROM dlr_reports WHERE message_id LIKE 'odd-%' ORDER BY message_id"
        )
        assert [from_database(row["recipient"]) for row in found] == texts
        assert await backend.asked("SELECT * FROM dlr_totals_by_hour")
