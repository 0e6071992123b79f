"""The contracts of the receiver's tables over each database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal

import pytest

from receiver.api.event_stream import ReportTrack
from receiver.store import following, searching
from receiver.store.postgres import erasure as postgres_erasure
from receiver.store.sqlite import erasure as sqlite_erasure
from tests.contracts.many_writers import ManyWritersContract
from tests.contracts.postgres_backend import PostgresBackend
from tests.contracts.read_model import ReadModelContract
from tests.contracts.report_search import ReportSearchContract
from tests.contracts.report_store import ReportStoreContract, StoreBackend, a_callback, an_sms
from tests.contracts.report_totals import ReportTotalsContract
from tests.contracts.sqlite_backend import SqliteBackend, sqlite_backend
from tests.contracts.store_erasure import StoreErasureContract
from tests.contracts.store_retention import StoreRetentionContract
from tests.contracts.track import TrackContract
from tests.postgres import EmptyDatabase

Place = Literal["memory", "file"] | EmptyDatabase


@pytest.fixture(params=["memory", "file", "postgres"])
def place(request: pytest.FixtureRequest) -> Any:
    if request.param == "postgres":
        return request.getfixturevalue("empty_postgres")
    return request.param


@pytest.fixture
async def backend(place: Place, tmp_path: Path) -> AsyncIterator[Any]:
    if isinstance(place, EmptyDatabase):
        async with AsyncExitStack() as stack:
            yield await PostgresBackend.of(place, stack)
    else:
        async with sqlite_backend(place, tmp_path) as opened:
            yield opened


class TestReportStore(ReportStoreContract):
    pass


class TestReportSearch(ReportSearchContract):
    @pytest.fixture(autouse=True)
    def small_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Blocks, pieces and steps of which a few hundred reports have many, and more outcomes
        than are told apart."""
        monkeypatch.setattr(searching, "STEP", 20)
        monkeypatch.setattr(searching, "PIECE", 7)
        monkeypatch.setattr(searching, "PREFIX_MOST", 5)
        monkeypatch.setattr(following, "OUTCOMES_MOST", 5)
        monkeypatch.setattr(following, "BLOCK_BITS", 5)


class TestReportTotals(ReportTotalsContract):
    pass


class TestReadModel(ReadModelContract):
    pass


class TestStoreRetention(StoreRetentionContract):
    pass


class TestStoreErasure(StoreErasureContract):
    @pytest.fixture(autouse=True)
    def small_spans(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each id that a test looks for is the first or the last of a span."""
        for module in (sqlite_erasure, postgres_erasure):
            monkeypatch.setattr(module, "SPAN", 2)


class TestManyWriters(ManyWritersContract):
    @pytest.fixture(params=["postgres"])
    def place(self, empty_postgres: EmptyDatabase) -> EmptyDatabase:
        return empty_postgres


class StoredReports:
    """Implements Happenings (track.py): reports are stored."""

    def __init__(self, backend: StoreBackend) -> None:
        self._backend = backend
        self._elsewhere: StoreBackend | None = None
        self._count = 0
        self.track = ReportTrack(backend.store)

    async def happen(self, number: int, *, elsewhere: bool = False) -> None:
        items = [an_sms(f"m{self._count + n}") for n in range(number)]
        self._count += number
        if elsewhere and self._elsewhere is None:
            self._elsewhere = await self._backend.another()
        writer = self._elsewhere if elsewhere and self._elsewhere else self._backend
        await writer.store.add([a_callback(*items)])

    async def forget(self, ids: Collection[int]) -> None:
        await self._backend.delete_reports(ids)


class TestReportTrack(TrackContract):
    @pytest.fixture
    def happenings(self, backend: StoreBackend) -> StoredReports:
        return StoredReports(backend)


class TestReportTrackInPlace(TestReportTrack):
    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[SqliteBackend]:
        """As a simulation has it."""
        async with sqlite_backend("in place", tmp_path) as opened:
            yield opened
