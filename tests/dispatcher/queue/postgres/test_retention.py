"""Partitions that retention leaves behind, of what the dispatcher writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from dispatcher.queue.postgres.schema import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.store.postgres import partitions
from receiver.store.postgres.database import Connection
from receiver.store.postgres.partitions import keep_partitions
from receiver.store.postgres.rows import ids_of
from receiver.store.postgres.schema import MIGRATIONS as STORE_MIGRATIONS
from tests.contracts.report_store import DAY, an_sms
from tests.contracts.storage_on_postgres import PostgresStorageBackend, opened
from tests.contracts.storages import a_bench_on
from tests.contracts.store_retention import at_once
from tests.dispatcher.support import START
from tests.postgres import EmptyDatabase, a_database

_OF = """
    SELECT inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent IN ('attempt'::regclass, 'dispatch_report'::regclass)
        AND inhrelid::regclass::text ~ '_[01]$' ORDER BY 1
"""


@pytest.fixture
def empty(postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmptyDatabase]:
    """A database of this test alone, because its tables change. Each day is large enough for a
    partition."""
    monkeypatch.setattr(partitions, "FEWEST", 0)
    with a_database(postgres_server) as url:
        yield EmptyDatabase(url, [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])


@pytest.fixture
async def backend(empty: EmptyDatabase) -> AsyncIterator[PostgresStorageBackend]:
    async with AsyncExitStack() as stack:
        yield await opened(empty, stack, await empty.open())


async def test_partitions_go_with_the_last_that_is_in_them(backend: PostgresStorageBackend) -> None:
    """Attempts are removed with their dispatches, one by one, and their partition is dropped after
    the last of them. What says which dispatches carry a report goes with the reports' partition."""
    bench = await a_bench_on(backend)
    retention = backend.storage.retention

    def there(connection: Connection) -> list[object]:
        return [*ids_of(connection, _OF, ())]

    for day in range(2):
        bench.clock.advance_to(START + day * DAY)
        await keep_partitions(backend.database, bench.clock.now())
        await bench.receive(an_sms(f"m{day}"))
        await bench.work()
    await bench.storage.read_model.catch_up()
    both = ["attempt_0", "attempt_1", "dispatch_report_0", "dispatch_report_1"]
    assert await backend.database.read(there) == both

    asked: dict[str, Any] = {"before": START + DAY, "most": 0, "pause": at_once}
    removed = await retention.purge_dispatches(**asked)
    assert (removed["dispatch"], removed["attempt"]) == (1, 1)
    assert await backend.database.read(there) == both[1:]
    await retention.purge_reports(now=START + DAY, **asked)
    assert await backend.database.read(there) == ["attempt_1", "dispatch_report_1"]

    await bench.receive(an_sms("later"))
    await bench.work()
    assert await bench.states() == ["acknowledged"] * 2
