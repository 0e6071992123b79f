"""The contract of the sandbox's store over SQLite, in memory and on a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.sandbox.store.sqlite.store import SqliteSandboxStore
from dispatcher.storage import MIGRATIONS, insert_new_event, new_id
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import SqliteStore
from tests.contracts.sandbox_events import SandboxEventsContract
from tests.contracts.sandbox_store import SandboxStoreContract


@dataclass
class SqliteBackend:
    path: Path | None  # None: in memory
    stack: AsyncExitStack
    database: Database
    reports: SqliteStore
    queue: SqliteQueue
    store: SqliteSandboxStore

    async def another_store(self) -> SqliteSandboxStore:
        """A file is opened a second time; a database in memory has no second door."""
        database = self.database
        if self.path is not None:
            database = await Database.open(self.path)
            self.stack.push_async_callback(database.close)
        return SqliteSandboxStore(database, insert_new_event)

    async def refuse_writes(self) -> None:
        await self.database.write(lambda c: c.execute("PRAGMA query_only = 1").close())

    async def refuse_reports(self, refused: bool) -> None:
        there, gone = ("report", "gone") if refused else ("gone", "report")
        rename = f"ALTER TABLE {there} RENAME TO {gone}"
        await self.database.write(lambda c: c.execute(rename).close())

    async def delete_report(self, report_id: int) -> None:
        statement = "DELETE FROM report WHERE id = ?"
        await self.database.write(lambda c: c.execute(statement, (report_id,)).close())


@pytest.fixture(params=["memory", "file"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    path = None if request.param == "memory" else tmp_path / "dlr.db"
    async with AsyncExitStack() as stack:
        database = await Database.open(path or ":memory:")
        stack.push_async_callback(database.close)
        await database.migrate(MIGRATIONS)
        queue = await SqliteQueue.open(database, lambda: "ours", new_id)
        store = SqliteSandboxStore(database, insert_new_event)
        yield SqliteBackend(path, stack, database, SqliteStore(database), queue, store)


class TestSqliteSandboxStore(SandboxStoreContract):
    pass


class TestSqliteSandboxEvents(SandboxEventsContract):
    pass
