"""The queue and the store under it over PostgreSQL, as the contract suites need them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import psycopg

from dispatcher.queue.postgres import leaving
from dispatcher.queue.postgres.queue import PostgresQueue
from dispatcher.queue.postgres.replay_selection import PostgresSelector
from dispatcher.queue.postgres.replays import PostgresReplays
from dispatcher.storage import new_id
from receiver.store.postgres.database import Connection
from receiver.store.postgres.followup import PostgresFollower
from receiver.store.postgres.store import PostgresStore
from tests.contracts.dispatch_queue import ACME, BETA
from tests.postgres import BreakableDatabase, EmptyDatabase, in_autocommit
from tests.transactions import Act, T, U, at_once, unanswered

_SKIP = """
    SELECT setval(sequence, coalesce(pg_sequence_last_value(sequence), 0) + %s)
    FROM unnest('{report_id,dispatch_id,attempt_id,replay_id_seq}'::regclass[]) AS sequence
"""

# Ends the connection in the middle of a statement, before or after it has written its nth row.
_STEPS = """
    CREATE SEQUENCE lost_step;
    CREATE FUNCTION lost_step() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('lost_step') = TG_ARGV[0]::bigint THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
            PERFORM pg_sleep(60);
        END IF;
        RETURN coalesce(new, old);
    END $$;
"""
_STEP = """
    CREATE TRIGGER lost_{when} {when} INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION lost_step({after})
"""
_STEPPED = (
    "endpoint", "dispatch", "dispatch_body", "dispatch_report", "attempt", "message_under_way",
    "held_report", "dispatch_count", "replay", "replay_piece", "replay_count",
)  # fmt: skip


_WAITS = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type IN ('Lock', 'Timeout')
    LIMIT 1
"""


class PostgresQueueBackend:
    """Implements RacingBackend."""

    def __init__(
        self,
        stack: AsyncExitStack,
        empty: EmptyDatabase,
        foreign: EmptyDatabase,
        database: BreakableDatabase,
        queue: PostgresQueue,
    ) -> None:
        self._stack = stack
        self._empty = empty
        self._foreign = foreign
        self.database = database
        self.store: Any = PostgresStore(database)
        self.queue = queue
        self.replays = PostgresReplays(database, new_id)
        self.selector = PostgresSelector(database, self.store)

    async def another_queue(self) -> PostgresQueue:
        queue = await PostgresQueue.open(
            await self.another_database(), lambda: "not-needed", new_id
        )
        await queue.adopt([ACME, BETA])
        return queue

    async def another_store(self) -> PostgresStore:
        return PostgresStore(await self.another_database())

    async def foreign_queue(self) -> PostgresQueue:
        database = await self._foreign.open()
        self._stack.push_async_callback(database.close)
        return await PostgresQueue.open(database, lambda: "foreign", new_id)

    async def another_database(self) -> BreakableDatabase:
        database = await self._empty.again()
        self._stack.push_async_callback(database.close)
        return database

    async def another_replays(self) -> PostgresReplays:
        return PostgresReplays(await self.another_database(), new_id)

    async def forget(self, *reports: int) -> None:
        statement = "DELETE FROM report WHERE id = ANY(%s::bigint[])"
        await self.database.write(lambda c: c.execute(statement, ([*reports],)).close())

    async def remove(self, endpoint: str) -> None:
        statement = "UPDATE endpoint SET removed = true WHERE name = %s"
        await self.database.write(lambda c: c.execute(statement, (endpoint,)).close())

    async def catch_up(self) -> None:
        await PostgresFollower(self.database).turn()

    async def skip_ids(self, number: int) -> None:
        await self.database.write(lambda c: c.execute(_SKIP, (number,)).close())

    async def at_once(self, first: Act[T], second: Act[U]) -> tuple[T, U]:
        with in_autocommit(self._empty.url) as connection:

            async def met(of_second: asyncio.Future[U]) -> None:
                while not of_second.done():
                    await asyncio.wait({of_second}, timeout=0.005)
                    if connection.execute(_WAITS).fetchone():
                        return

            return await at_once(self.database, first, second, met)

    def unanswered(self) -> AbstractContextManager[None]:
        return unanswered(self.database)

    async def remove_endpoint(self, name: str) -> None:
        def remove(connection: Connection) -> None:
            leaving.cancel_waiting(connection, name)
            leaving.let_go_of_order(connection, name)
            connection.execute("UPDATE endpoint SET removed = true WHERE name = %s", (name,))

        await self.database.write(remove)

    @asynccontextmanager
    async def losing(self, after: int) -> AsyncIterator[None]:
        """A step is a row that is about to be written, or has been."""
        with in_autocommit(self._empty.url) as connection, _in_steps(connection, after + 1):
            yield


@contextmanager
def _in_steps(connection: psycopg.Connection[tuple[object, ...]], last: int) -> Iterator[None]:
    connection.execute(_STEPS)
    try:
        for table in _STEPPED:
            for when in ("BEFORE", "AFTER"):
                connection.execute(_STEP.format(when=when, table=table, after=last))
        yield
    finally:
        connection.execute("DROP FUNCTION lost_step CASCADE")
        connection.execute("DROP SEQUENCE lost_step")


async def postgres_queue_backend(
    stack: AsyncExitStack, empty: EmptyDatabase, foreign: EmptyDatabase, *, name: str = "ours"
) -> PostgresQueueBackend:
    database = await empty.open()
    stack.push_async_callback(database.close)
    queue = await PostgresQueue.open(database, lambda: name, new_id)
    return PostgresQueueBackend(stack, empty, foreign, database, queue)
