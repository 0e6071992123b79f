"""The contracts of the receiver's tables over each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.report_store import ReportStoreContract
from tests.contracts.sqlite_backend import SqliteBackend, sqlite_backend


@pytest.fixture(params=["memory", "file"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    async with sqlite_backend(request.param, tmp_path) as opened:
        yield opened


class TestReportStore(ReportStoreContract):
    pass
