"""The contracts of the dispatcher's database over SQLite, in memory and on a file."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.storage import MIGRATIONS, Storage, new_id, of_sqlite
from tests.contracts.attempt_activity import AttemptActivityContract
from tests.contracts.audit_log import AuditLogContract
from tests.contracts.endpoint_store import EndpointStoreContract
from tests.contracts.outbox import OutboxContract
from tests.contracts.queue_figures import AttemptHistoryContract, QueueFiguresContract
from tests.contracts.readings import ReadingsContract
from tests.contracts.recording import RecordingContract
from tests.contracts.retention import ErasureContract, RetentionContract
from tests.contracts.shared_time import SharedTimeContract
from tests.contracts.sql_views import Row, SqlViewsContract
from tests.contracts.sqlite_backend import BreakableDatabase, asked
from tests.contracts.unrouted_store import UnroutedStoreContract


@dataclass
class SqliteStorageBackend:
    """Implements StorageBackend (storages.py)."""

    path: Path | None  # None: in memory
    stack: AsyncExitStack
    database: BreakableDatabase
    storage: Storage

    async def another(self) -> Storage:
        """A file is opened a second time; a database in memory has no second door."""
        if self.path is None:
            return self.storage
        return (await _opened(self.path, self.stack)).storage

    def go_away_after(self, statements: int) -> None:
        self.database.break_after(statements)

    async def delete_reports(self, ids: Collection[int]) -> None:
        statement = "DELETE FROM report WHERE id = ?"
        await self.database.write(lambda c: c.executemany(statement, [(each,) for each in ids]))

    async def written(self) -> str:
        lines = await self.database.read(lambda connection: list(connection.iterdump()))
        return "\n".join(lines)

    async def asked(self, statement: str) -> list[Row]:
        if self.path is None:
            return [*await self.database.read(lambda c: asked(c, statement))]
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            return [*asked(connection, statement)]

    async def looked_up(self, statement: str) -> bool:
        first, *_ = await self.asked(f"EXPLAIN QUERY PLAN {statement}")
        return str(first["detail"]).startswith("SEARCH")


async def _opened(path: Path | None, stack: AsyncExitStack) -> SqliteStorageBackend:
    database = await BreakableDatabase.open(path or ":memory:")
    assert isinstance(database, BreakableDatabase)
    stack.push_async_callback(database.close)
    await database.migrate(MIGRATIONS)
    queue = await SqliteQueue.open(database, lambda: "db", new_id)
    return SqliteStorageBackend(path, stack, database, of_sqlite(database, queue))


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty file. It is copied: the migrations would take longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "dlr.db"

    async def migrate() -> None:
        async with AsyncExitStack() as stack:
            await _opened(path, stack)

    asyncio.run(migrate())
    return path


@pytest.fixture(params=["memory", "file"])
async def backend(
    request: pytest.FixtureRequest, tmp_path: Path, migrated: Path
) -> AsyncIterator[SqliteStorageBackend]:
    path = None
    if request.param == "file":
        path = tmp_path / "dlr.db"
        shutil.copy(migrated, path)
    async with AsyncExitStack() as stack:
        yield await _opened(path, stack)


class TestEndpointStore(EndpointStoreContract):
    pass


class TestAuditLog(AuditLogContract):
    pass


class TestSharedTime(SharedTimeContract):
    pass


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
        "number": (int, float),
        "text": (str,),
        "instant": (str,),
        "boolean": (int,),
    }
