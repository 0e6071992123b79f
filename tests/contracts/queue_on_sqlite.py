"""The queue, its replays and the store under them over SQLite, as the contract suites need them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from dispatcher.queue.sqlite.endpoints import SqliteEndpoints
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.queue.sqlite.replay_selection import SqliteSelector
from dispatcher.queue.sqlite.replays import SqliteReplays
from dispatcher.simulation.database_in_place import DatabaseInPlace
from dispatcher.storage import new_id
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import Follower
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.sqlite.store import SqliteStore
from tests.contracts.dispatch_queue import ACME, BETA
from tests.transactions import Act, T, U, at_once, unanswered

WITH_TRANSACTIONS = ["memory", "file"]
IMPLEMENTATIONS = [*WITH_TRANSACTIONS, "in place"]
"""In memory, on a file, and that of the simulation, which has no transactions."""


class SqliteBackend:
    """Implements RacingBackend and ReplayBackend."""

    def __init__(
        self, stack: AsyncExitStack, path: Path | None, database: Database, queue: SqliteQueue
    ) -> None:
        self._stack = stack
        self._path = path  # None: not on a file
        self.database = database
        self.store = SqliteStore(database)
        self.queue = queue
        self.replays = SqliteReplays(database, new_id)
        self.selector = SqliteSelector(database, self.store)

    async def another_queue(self) -> SqliteQueue:
        queue = await SqliteQueue.open(await self._another_database(), lambda: "not-needed", new_id)
        await queue.adopt([ACME, BETA])
        return queue

    async def another_store(self) -> SqliteStore:
        return SqliteStore(await self._another_database())

    async def another_replays(self) -> SqliteReplays:
        return SqliteReplays(await self._another_database(), new_id)

    async def foreign_queue(self) -> SqliteQueue:
        return (await sqlite_backend(self._stack, "memory", None, name="foreign")).queue

    async def _another_database(self) -> Database:
        """A file is opened a second time; a database in memory has no second door."""
        if self._path is None:
            return self.database
        database = await Database.open(self._path)
        self._stack.push_async_callback(database.close)
        return database

    async def skip_ids(self, number: int) -> None:
        def skip(connection: sqlite3.Connection) -> None:
            for table in ("report", "dispatch", "attempt", "replay"):
                known = connection.execute(
                    "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = ?", (number, table)
                ).rowcount
                if not known:
                    connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, number))

        await self.database.write(skip)

    async def at_once(self, first: Act[T], second: Act[U]) -> tuple[T, U]:
        """One after the other, because one writes at a time."""
        if isinstance(self.database, DatabaseInPlace):
            return await first(), await second()

        async def met(_: asyncio.Future[U]) -> None:
            await asyncio.sleep(0)  # it begins

        return await at_once(self.database, first, second, met)

    def unanswered(self) -> AbstractContextManager[None]:
        return unanswered(self.database)

    async def remove_endpoint(self, name: str) -> None:
        await SqliteEndpoints(self.database).remove(name, lambda _: None, known=())

    @asynccontextmanager
    async def losing(self, after: int) -> AsyncIterator[None]:
        """A step is some instructions of SQLite's machine, within a transaction: its begin and its
        end would be done and be told as not done, which no lost disk does."""
        left, counts = -1, False  # not yet

        def begins(statement: str) -> None:
            nonlocal counts
            counts = statement.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE")

        def lost() -> bool:
            nonlocal left
            left -= counts
            return counts and left == 0

        def watch(connection: sqlite3.Connection) -> None:
            connection.set_trace_callback(begins)
            connection.set_progress_handler(lost, 5)

        def end(connection: sqlite3.Connection) -> None:
            connection.set_trace_callback(None)
            connection.set_progress_handler(None, 0)

        await self.database.write(watch)
        left = after + 1
        try:
            yield
        finally:
            left = -1
            await self.database.write(end)

    async def forget(self, *reports: int) -> None:
        await self.database.write(
            lambda c: c.executemany("DELETE FROM report WHERE id = ?", [(r,) for r in reports])
        )

    async def remove(self, endpoint: str) -> None:
        await self.database.write(
            lambda c: c.execute("UPDATE endpoint SET removed = 1 WHERE name = ?", (endpoint,))
        )

    async def catch_up(self) -> None:
        await Follower(self.database).turn()


async def sqlite_backend(
    stack: AsyncExitStack, kind: str, folder: Path | None, *, name: str = "ours"
) -> SqliteBackend:
    """An empty, migrated database of this kind (IMPLEMENTATIONS), closed with the stack."""
    path = None if folder is None or kind != "file" else folder / "dlr.db"
    database = DatabaseInPlace() if kind == "in place" else await Database.open(path or ":memory:")
    stack.push_async_callback(database.close)
    await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
    queue = await SqliteQueue.open(database, lambda: name, new_id)
    return SqliteBackend(stack, path, database, queue)
