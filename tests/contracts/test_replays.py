"""The contracts of replays and selections over SQLite: in memory, on a file, and in place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.contracts.queue_on_sqlite import (
    IMPLEMENTATIONS,
    WITH_TRANSACTIONS,
    SqliteBackend,
    sqlite_backend,
)
from tests.contracts.replays import (
    LostReplayStoreContract,
    ReplaySelectorContract,
    ReplayStoreContract,
)


@pytest.fixture(params=IMPLEMENTATIONS)
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    async with AsyncExitStack() as stack:
        yield await sqlite_backend(stack, request.param, tmp_path)


class TestSqliteReplays(ReplayStoreContract):
    pass


class TestSqliteSelector(ReplaySelectorContract):
    pass


class TestSqliteReplaysWithoutTheirStore(LostReplayStoreContract):
    @pytest.fixture(params=WITH_TRANSACTIONS)
    async def backend(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> AsyncIterator[SqliteBackend]:
        async with AsyncExitStack() as stack:
            yield await sqlite_backend(stack, request.param, tmp_path)
