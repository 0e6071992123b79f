"""The store's tables in PostgreSQL, as the contract suites take them."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AsyncExitStack

from receiver.store.postgres.database import Connection
from receiver.store.postgres.followup import PostgresFollower
from receiver.store.postgres.store import PostgresStore
from receiver.store.proof import Proof
from tests.postgres import BreakableDatabase, EmptyDatabase


class PostgresBackend:
    """Implements StoreBackend (report_store.py)."""

    def __init__(
        self, database: BreakableDatabase, empty: EmptyDatabase, stack: AsyncExitStack
    ) -> None:
        self.database = database
        self.store = PostgresStore(database)
        self.read_model = PostgresFollower(database)
        self._empty = empty
        self._stack = stack

    @classmethod
    async def of(cls, empty: EmptyDatabase, stack: AsyncExitStack) -> PostgresBackend:
        database = await empty.open()
        stack.push_async_callback(database.close)
        return cls(database, empty, stack)

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
