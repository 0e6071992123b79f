"""The contracts of replays and selections over SQLite: in memory, on a file, and in place."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.replay import selector
from tests.contracts.queue_on_sqlite import WITH_TRANSACTIONS
from tests.contracts.replays import (
    LostReplayStoreContract,
    ReplaySelectorContract,
    ReplayStoreContract,
)


class TestSqliteReplays(ReplayStoreContract):
    pass


class TestSqliteSelector(ReplaySelectorContract):
    @pytest.fixture(autouse=True)
    def small_pieces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pieces of which a few dozen reports and dispatches have many."""
        monkeypatch.setattr(selector, "PIECE", 7)


class TestSqliteReplaysWithoutTheirStore(LostReplayStoreContract):
    @pytest.fixture(params=WITH_TRANSACTIONS)
    def kind(self, request: pytest.FixtureRequest) -> Any:
        return request.param
