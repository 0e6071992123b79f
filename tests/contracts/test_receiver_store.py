"""The contracts of the receiver's tables over each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from receiver.store.sqlite import followup, search
from tests.contracts.report_search import ReportSearchContract
from tests.contracts.report_store import ReportStoreContract
from tests.contracts.sqlite_backend import SqliteBackend, sqlite_backend


@pytest.fixture(params=["memory", "file"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    async with sqlite_backend(request.param, tmp_path) as opened:
        yield opened


class TestReportStore(ReportStoreContract):
    pass


class TestReportSearch(ReportSearchContract):
    @pytest.fixture(autouse=True)
    def small_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Blocks, pieces and steps of which a few hundred reports have many."""
        monkeypatch.setattr(search, "STEP", 20)
        monkeypatch.setattr(search, "_PIECE", 7)
        monkeypatch.setattr(search, "_PREFIX_MOST", 5)
        for module in (search, followup):
            monkeypatch.setattr(module, "BLOCK_BITS", 5)
