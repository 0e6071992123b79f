"""The contract of the queue over SQLite: in memory, on a file, and in place (simulations)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.dispatch_queue import ACME, Desk, DispatchQueueContract, LostStoreContract
from tests.contracts.queue_on_sqlite import (
    WITH_TRANSACTIONS,
    sqlite_backend,
)
from tests.contracts.queue_races import QueueRacesContract
from tests.contracts.replay_races import ReplayRacesContract
from tests.contracts.unanswered_commits import UnansweredCommitContract


class TestSqliteQueue(DispatchQueueContract):
    pass


class TestSqliteQueueWithoutItsStore(LostStoreContract):
    @pytest.fixture(params=WITH_TRANSACTIONS)
    def kind(self, request: pytest.FixtureRequest) -> Any:
        return request.param


class TestSqliteQueueRaces(QueueRacesContract):
    pass


class TestReplayRaces(ReplayRacesContract):
    pass


class TestUnansweredCommits(UnansweredCommitContract):
    pass


async def test_keeps_its_name(tmp_path: Path) -> None:
    """The name in front of each id is chosen once, when the database is made."""
    async with AsyncExitStack() as stack:
        await sqlite_backend(stack, "file", tmp_path, name="first")
        backend = await sqlite_backend(stack, "file", tmp_path, name="second")
        await backend.queue.adopt([ACME])

        (dispatch,) = await Desk(backend).dispatches()
        assert dispatch.name == "first-1"
