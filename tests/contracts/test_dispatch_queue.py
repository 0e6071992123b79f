"""The contract of the queue over SQLite, in memory and on a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.queue import SqliteQueue
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.sqlite.store import SqliteStore
from tests.contracts.dispatch_queue import ACME, BETA, Desk, DispatchQueueContract


@dataclass
class SqliteBackend:
    path: Path | None  # None: in memory
    stack: AsyncExitStack
    database: Database
    store: SqliteStore
    queue: SqliteQueue

    async def another_queue(self) -> SqliteQueue:
        """A file is opened a second time; a database in memory has no second door."""
        database = self.database
        if self.path is not None:
            database = await Database.open(self.path)
            self.stack.push_async_callback(database.close)
        queue = await SqliteQueue.open(database, lambda: "not-needed")
        await queue.adopt([ACME, BETA])
        return queue

    async def foreign_queue(self) -> SqliteQueue:
        _, queue = await _open(self.stack, None, "foreign")
        return queue


async def _open(
    stack: AsyncExitStack, path: Path | None, name: str
) -> tuple[Database, SqliteQueue]:
    database = await Database.open(path or ":memory:")
    stack.push_async_callback(database.close)
    await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
    return database, await SqliteQueue.open(database, lambda: name)


@pytest.fixture(params=["memory", "file"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    path = None if request.param == "memory" else tmp_path / "dlr.db"
    async with AsyncExitStack() as stack:
        database, queue = await _open(stack, path, "ours")
        yield SqliteBackend(path, stack, database, SqliteStore(database), queue)


class TestSqliteQueue(DispatchQueueContract):
    pass


async def test_keeps_its_name(tmp_path: Path) -> None:
    """The name in front of each id is chosen once, when the database is made."""
    async with AsyncExitStack() as stack:
        await _open(stack, tmp_path / "dlr.db", "first")
        database, queue = await _open(stack, tmp_path / "dlr.db", "second")
        backend = SqliteBackend(None, stack, database, SqliteStore(database), queue)
        await queue.adopt([ACME])

        (dispatch,) = await Desk(backend).dispatches()
        assert dispatch.name == "first-1"
