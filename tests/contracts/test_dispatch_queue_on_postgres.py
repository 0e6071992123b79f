"""The contract of the queue over PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from dispatcher.queue.base import DispatchQueue
from dispatcher.queue.postgres.schema import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.store.postgres.schema import MIGRATIONS as STORE_MIGRATIONS
from tests.contracts.dispatch_queue import (
    ACME,
    NOON,
    Desk,
    DispatchQueueContract,
    LostStoreContract,
)
from tests.contracts.queue_on_postgres import PostgresQueueBackend, postgres_queue_backend
from tests.contracts.queue_races import QueueRacesContract
from tests.postgres import EmptyDatabase, a_database


@pytest.fixture(scope="session")
def foreign_postgres(postgres_server: str) -> Iterator[EmptyDatabase]:
    with a_database(postgres_server) as url:
        yield EmptyDatabase(url, [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])


@pytest.fixture
async def backend(
    empty_postgres: EmptyDatabase, foreign_postgres: EmptyDatabase
) -> AsyncIterator[PostgresQueueBackend]:
    async with AsyncExitStack() as stack:
        yield await postgres_queue_backend(stack, empty_postgres, foreign_postgres)


class TestPostgresQueue(DispatchQueueContract):
    @pytest.mark.usefixtures("desk")
    async def test_no_news(self, queue: DispatchQueue) -> None:
        """The version is that of all transactions of the server, which other tests use too: two
        looks are equal as soon as none of these ends between them."""
        for _ in range(10_000):
            if await queue.news(NOON) == await queue.news(NOON):
                return
        raise AssertionError("each look has news, though nothing is committed here")


class TestPostgresQueueWithoutItsStore(LostStoreContract):
    pass


class TestPostgresQueueRaces(QueueRacesContract):
    pass


async def test_keeps_its_name(
    empty_postgres: EmptyDatabase, foreign_postgres: EmptyDatabase
) -> None:
    """The name in front of each id is chosen once, when the database is made."""
    async with AsyncExitStack() as stack:
        first = await postgres_queue_backend(stack, empty_postgres, foreign_postgres, name="first")
        other = await first.another_queue()
        await first.queue.adopt([ACME])

        (dispatch,) = await Desk(first).dispatches()
        assert dispatch.name == "first-1"
        assert await other.dispatch(dispatch.name) is not None
