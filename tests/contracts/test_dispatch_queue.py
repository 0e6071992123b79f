"""The contract of the queue over SQLite: in memory, on a file, and in place (simulations)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.contracts.dispatch_queue import ACME, Desk, DispatchQueueContract, LostStoreContract
from tests.contracts.queue_on_sqlite import (
    IMPLEMENTATIONS,
    WITH_TRANSACTIONS,
    SqliteBackend,
    sqlite_backend,
)


class TestSqliteQueue(DispatchQueueContract):
    @pytest.fixture(params=IMPLEMENTATIONS)
    async def backend(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> AsyncIterator[SqliteBackend]:
        async with AsyncExitStack() as stack:
            yield await sqlite_backend(stack, request.param, tmp_path)


class TestSqliteQueueWithoutItsStore(LostStoreContract):
    @pytest.fixture(params=WITH_TRANSACTIONS)
    async def backend(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> AsyncIterator[SqliteBackend]:
        async with AsyncExitStack() as stack:
            yield await sqlite_backend(stack, request.param, tmp_path)


async def test_keeps_its_name(tmp_path: Path) -> None:
    """The name in front of each id is chosen once, when the database is made."""
    async with AsyncExitStack() as stack:
        await sqlite_backend(stack, "file", tmp_path, name="first")
        backend = await sqlite_backend(stack, "file", tmp_path, name="second")
        await backend.queue.adopt([ACME])

        (dispatch,) = await Desk(backend).dispatches()
        assert dispatch.name == "first-1"
