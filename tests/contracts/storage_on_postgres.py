"""A PostgreSQL database as the contracts of the dispatcher's database take it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.rows import dict_row

from dispatcher.queue.postgres.queue import PostgresQueue
from dispatcher.storage import Storage, new_id, of_postgres
from tests.contracts.sql_views import Row
from tests.postgres import BreakableDatabase, EmptyDatabase, written


@dataclass
class PostgresStorageBackend:
    """Implements StorageBackend (storages.py)."""

    empty: EmptyDatabase
    stack: AsyncExitStack
    database: BreakableDatabase
    storage: Storage

    async def another(self) -> Storage:
        return (await opened(self.empty, self.stack, await self.empty.again())).storage

    def go_away_after(self, statements: int) -> None:
        self.database.break_after(statements)

    async def delete_reports(self, ids: Collection[int]) -> None:
        statement = "DELETE FROM report WHERE id = ANY(%s::bigint[])"
        await self.database.write(lambda c: c.execute(statement, ([*ids],)).close())

    async def written(self) -> str:
        return await self.database.read(written)

    async def asked(self, statement: str) -> list[Row]:
        with psycopg.connect(self.empty.url, row_factory=dict_row) as connection:
            return [*connection.execute(statement)]

    async def looked_up(self, statement: str) -> bool:
        """Small tables are read as a whole, unless they must not be."""
        with psycopg.connect(self.empty.url) as connection:
            connection.execute("SET LOCAL enable_seqscan = off")
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {statement}"))
        whole = re.search(r"Seq Scan on (report|dispatch|attempt|total)", plan)
        return "Index Cond" in plan and whole is None


async def opened(
    empty: EmptyDatabase, stack: AsyncExitStack, database: BreakableDatabase
) -> PostgresStorageBackend:
    stack.push_async_callback(database.close)
    queue = await PostgresQueue.open(database, lambda: "db", new_id)
    return PostgresStorageBackend(empty, stack, database, of_postgres(database, queue))


@pytest.fixture
async def postgres_storage(
    empty_postgres: EmptyDatabase,
) -> AsyncIterator[PostgresStorageBackend]:
    async with AsyncExitStack() as stack:
        yield await opened(empty_postgres, stack, await empty_postgres.open())
