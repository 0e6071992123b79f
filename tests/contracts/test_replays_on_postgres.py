"""The contracts of replays and selections over PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from dispatcher.replay import selector
from tests.contracts.queue_on_postgres import PostgresQueueBackend, postgres_queue_backend
from tests.contracts.replays import (
    LostReplayStoreContract,
    ReplaySelectorContract,
    ReplayStoreContract,
)
from tests.postgres import EmptyDatabase


@pytest.fixture
async def backend(
    empty_postgres: EmptyDatabase, foreign_postgres: EmptyDatabase
) -> AsyncIterator[PostgresQueueBackend]:
    async with AsyncExitStack() as stack:
        yield await postgres_queue_backend(stack, empty_postgres, foreign_postgres)


class TestReplays(ReplayStoreContract):
    pass


class TestSelector(ReplaySelectorContract):
    @pytest.fixture(autouse=True)
    def small_pieces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pieces of which a few dozen reports and dispatches have many."""
        monkeypatch.setattr(selector, "PIECE", 7)


class TestReplaysWithoutTheirStore(LostReplayStoreContract):
    pass
