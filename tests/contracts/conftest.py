"""The backend of the queue's and the replays' suites; those of others have one of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from dispatcher.queue.postgres.schema import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.store.postgres.schema import MIGRATIONS as STORE_MIGRATIONS
from tests.contracts.queue_on_sqlite import IMPLEMENTATIONS, SqliteBackend, sqlite_backend
from tests.postgres import EmptyDatabase, a_database


@pytest.fixture(params=IMPLEMENTATIONS)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def backend(kind: str, tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    async with AsyncExitStack() as stack:
        yield await sqlite_backend(stack, kind, tmp_path)


@pytest.fixture(scope="session")
def foreign_postgres(postgres_server: str) -> Iterator[EmptyDatabase]:
    """Another one."""
    with a_database(postgres_server) as url:
        yield EmptyDatabase(url, [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
