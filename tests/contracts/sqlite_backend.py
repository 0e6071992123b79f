"""The store's tables in SQLite, as the contract suites take them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, TypeVar, cast

from dispatcher.simulation.database_in_place import DatabaseInPlace
from receiver.store.base import Traces
from receiver.store.proof import Proof
from receiver.store.recipient import Recipient
from receiver.store.sqlite.database import Database, Work
from receiver.store.sqlite.erasure import count_traces, erase_traces, find_traces
from receiver.store.sqlite.followup import Follower
from receiver.store.sqlite.retention import SqliteRetention
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import NOTHING_NEEDED, StillNeeded

T = TypeVar("T")

Where = Literal["memory", "file", "in place"]
"""In memory, on a file, or as a simulation has it: in memory, without threads and transactions."""


class Doomed:
    """A connection that raises `error` in place of one of its statements."""

    def __init__(
        self, connection: sqlite3.Connection, statements: int, error: BaseException
    ) -> None:
        self._connection = connection
        self._left = statements
        self._error = error

    def cursor(self) -> Doomed:
        return self

    def execute(self, *given: Any) -> sqlite3.Cursor:
        self._step()
        return self._connection.execute(*given)

    def executemany(self, statement: str, rows: Iterable[Any]) -> SimpleNamespace:
        """A row at a time, because the end may come between two rows too."""
        touched = 0
        for row in rows:
            self._step()
            touched += self._connection.execute(statement, row).rowcount
        return SimpleNamespace(rowcount=touched)

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise self._error


class BreakableDatabase(Database):
    """A database whose next transaction can be broken off."""

    _breaks_after: int | None = None

    def break_after(self, statements: int) -> None:
        self._breaks_after = statements

    async def write(self, work: Work[T], *, brief: bool = False) -> T:
        return await super().write(self._broken(work), brief=brief)

    async def write_unflushed(self, work: Work[T]) -> T:
        return await super().write_unflushed(self._broken(work))

    def _broken(self, work: Work[T]) -> Work[T]:
        statements, self._breaks_after = self._breaks_after, None
        if statements is None:
            return work
        error = sqlite3.OperationalError("disk I/O error")
        return lambda c: work(cast(sqlite3.Connection, Doomed(c, statements, error)))


@dataclass
class Needed:
    """Implements retention.Needed for a test."""

    needed: StillNeeded

    def holders(
        self, _: sqlite3.Connection, reports: Sequence[int]
    ) -> Mapping[str, Collection[int]]:
        after = self.needed.unread_after
        return {
            "a reader": [] if after is None else [report for report in reports if report > after],
            "a carrier": self.needed.carried.intersection(reports),
        }


class StoreErasureInSqlite:
    """Implements StoreErasure (report_store.py)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, recipient: Recipient) -> Traces:
        return await find_traces(self._database, recipient)

    async def count(self, traces: Traces) -> dict[str, int]:
        return await self._database.question(lambda c: count_traces(c, traces))

    async def erase(self, traces: Traces) -> dict[str, int]:
        return await self._database.write(lambda c: erase_traces(c, traces))


class SqliteBackend:
    """Implements StoreBackend (report_store.py)."""

    def __init__(self, database: Database, path: Path | None, stack: AsyncExitStack) -> None:
        self.database = database
        self.store = SqliteStore(database)
        self.read_model = Follower(database)
        self.erasure = StoreErasureInSqlite(database)
        self._path = path
        self._stack = stack

    def retention(self, needed: StillNeeded = NOTHING_NEEDED) -> SqliteRetention:
        return SqliteRetention(self.database, Needed(needed))

    async def another(self) -> SqliteBackend:
        """A file is opened a second time; a database in memory has no second door."""
        if self._path is None:
            return self
        database = await BreakableDatabase.open(self._path)
        self._stack.push_async_callback(database.close)
        return SqliteBackend(database, self._path, self._stack)

    async def delete_reports(self, ids: Collection[int] | None = None) -> None:
        def delete(connection: sqlite3.Connection) -> None:
            if ids is None:
                connection.execute("DELETE FROM report_key")
                connection.execute("DELETE FROM report")
            else:
                connection.executemany("DELETE FROM report WHERE id = ?", [(id,) for id in ids])

        await self.database.write(delete)

    async def refuse_writes(self) -> None:
        await self.database.write(lambda c: c.execute("PRAGMA query_only = 1").close())
        self.database._proof = Proof()  # as after a second in which nothing was written

    def go_away_after(self, statements: int) -> None:
        assert isinstance(self.database, BreakableDatabase)
        self.database.break_after(statements)


@asynccontextmanager
async def sqlite_backend(where: Where, folder: Path) -> AsyncIterator[SqliteBackend]:
    path = folder / "dlr.db" if where == "file" else None
    async with AsyncExitStack() as stack:
        database: Database
        if where == "in place":
            database = DatabaseInPlace()
        else:
            database = await BreakableDatabase.open(path or ":memory:")
        stack.push_async_callback(database.close)
        await database.migrate(MIGRATIONS)
        yield SqliteBackend(database, path, stack)


def asked(connection: sqlite3.Connection, statement: str) -> list[dict[str, Any]]:
    """The rows of a query, by the names of its columns."""
    found = connection.execute(statement)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]
