"""The contracts of replays and selections over SQLite: in memory, on a file, and in place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.queue_on_sqlite import WITH_TRANSACTIONS
from tests.contracts.replays import (
    LostReplayStoreContract,
    ReplaySelectorContract,
    ReplayStoreContract,
)


class TestSqliteReplays(ReplayStoreContract):
    pass


class TestSqliteSelector(ReplaySelectorContract):
    pass


class TestSqliteReplaysWithoutTheirStore(LostReplayStoreContract):
    @pytest.fixture(params=WITH_TRANSACTIONS)
    def kind(self, request: pytest.FixtureRequest) -> Any:
        return request.param
