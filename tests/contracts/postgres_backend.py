"""The store's tables in PostgreSQL, as the contract suites take them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from receiver.store.base import Traces
from receiver.store.postgres.database import Connection, Database
from receiver.store.postgres.erasure import count_traces, erase_traces, find_traces
from receiver.store.postgres.followup import PostgresFollower
from receiver.store.postgres.retention import PostgresRetention
from receiver.store.postgres.store import PostgresStore
from receiver.store.proof import Proof
from receiver.store.recipient import Recipient
from tests.contracts.report_store import NOTHING_NEEDED, StillNeeded
from tests.postgres import BreakableDatabase, EmptyDatabase


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
