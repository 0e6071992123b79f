"""The store's tables in PostgreSQL, as the contract suites take them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from receiver.store.base import Traces
from receiver.store.callback import Callback
from receiver.store.postgres.adding import add
from receiver.store.postgres.database import Connection, Database, Work, row_of
from receiver.store.postgres.erasure import count_traces, erase_traces, find_traces
from receiver.store.postgres.followup import PostgresFollower
from receiver.store.postgres.retention import PostgresRetention
from receiver.store.postgres.store import PostgresStore
from receiver.store.proof import Proof
from receiver.store.recipient import Recipient
from tests.contracts.report_store import NOTHING_NEEDED, StillNeeded
from tests.postgres import BreakableDatabase, EmptyDatabase


class RolledBack(Exception):
    """A transaction ends without a trace."""


@dataclass
class Needed:
    """Implements retention.Needed for a test."""

    needed: StillNeeded

    def holders(self, _: Connection, reports: Sequence[int]) -> Mapping[str, Collection[int]]:
        after = self.needed.unread_after
        return {
            "a reader": [] if after is None else [report for report in reports if report > after],
            "a carrier": self.needed.carried.intersection(reports),
        }

    def needs_any(self, _: Connection, first: int, last: int) -> bool:
        after = self.needed.unread_after
        return (after is not None and last > after) or any(
            first <= report <= last for report in self.needed.carried
        )


class StoreErasureInPostgres:
    """Implements StoreErasure (report_store.py)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, recipient: Recipient) -> Traces:
        return await find_traces(self._database, recipient)

    async def count(self, traces: Traces) -> dict[str, int]:
        return await self._database.question(lambda c: count_traces(c, traces))

    async def erase(self, traces: Traces) -> dict[str, int]:
        return await self._database.write(lambda c: erase_traces(c, traces))


class PostgresBackend:
    """Implements StoreBackend (report_store.py)."""

    def __init__(
        self, database: BreakableDatabase, empty: EmptyDatabase, stack: AsyncExitStack
    ) -> None:
        self.database = database
        self.store = PostgresStore(database)
        self.read_model = PostgresFollower(database)
        self.erasure = StoreErasureInPostgres(database)
        self._empty = empty
        self._stack = stack

    @classmethod
    async def of(cls, empty: EmptyDatabase, stack: AsyncExitStack) -> PostgresBackend:
        database = await empty.open()
        stack.push_async_callback(database.close)
        return cls(database, empty, stack)

    def retention(self, needed: StillNeeded = NOTHING_NEEDED) -> PostgresRetention:
        return PostgresRetention(self.database, Needed(needed))

    @asynccontextmanager
    async def adding(self, *callbacks: Callback, fails: bool = False) -> AsyncIterator[None]:
        """Callbacks that are written and not committed yet. At the end they are, or not at all."""
        async with self.holding(lambda connection: add(connection, callbacks), fails=fails):
            yield

    @asynccontextmanager
    async def reading(self, table: str, lock: str = "ACCESS SHARE") -> AsyncIterator[None]:
        """Somebody has a table locked, as a reader does."""
        async with self.holding(lambda c: c.execute(f"LOCK TABLE {table} IN {lock} MODE")):
            yield

    @asynccontextmanager
    async def holding(self, work: Work[object], *, fails: bool = False) -> AsyncIterator[None]:
        """A transaction that has done its work and goes on."""
        done, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def hold(connection: Connection) -> None:
            work(connection)
            loop.call_soon_threadsafe(done.set)
            go_on.wait()
            if fails:
                raise RolledBack

        holding = asyncio.create_task(self.database.write(hold))
        await done.wait()
        try:
            yield
        finally:
            go_on.set()
            with suppress(RolledBack):
                await holding

    async def until_somebody_waits(self) -> None:
        """Until a transaction of this database waits for another one."""
        waiting = (
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database()"
        )
        while not await self.database.read(lambda c: row_of(c.execute(waiting))[0]):
            pass

    async def another(self) -> PostgresBackend:
        database = await self._empty.again()
        self._stack.push_async_callback(database.close)
        return PostgresBackend(database, self._empty, self._stack)

    async def delete_reports(self, ids: Collection[int] | None = None) -> None:
        def delete(connection: Connection) -> None:
            if ids is None:
                connection.execute("DELETE FROM report_key; DELETE FROM report")
            else:
                connection.execute("DELETE FROM report WHERE id = ANY(%s)", (list(ids),))

        await self.database.write(delete)

    async def refuse_writes(self) -> None:
        self.database.read_only()
        self.database._proof = Proof()  # as after a second in which nothing was written

    def go_away_after(self, statements: int) -> None:
        self.database.break_after(statements)
