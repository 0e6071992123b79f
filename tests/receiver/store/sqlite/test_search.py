"""How a search in SQLite is bounded: what one step looks at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.store import searching
from receiver.store.base import ReportQuery
from tests.contracts.report_store import NOON, a_callback, an_sms, everything, ids
from tests.contracts.sqlite_backend import SqliteBackend, sqlite_backend


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    async with sqlite_backend("memory", tmp_path) as opened:
        yield opened


async def test_rare_outcome_is_found_in_one_step(
    backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status that few reports have is found at once, without a look at all that lie between."""
    monkeypatch.setattr(searching, "STEP", 100)
    store = backend.store
    await store.add([a_callback({"to": "1", "status": {"groupId": 5, "id": 6}}, at=NOON)])
    for hour in range(1, 40):
        items = [{"to": str(n), "status": {"groupId": 3, "id": 5}} for n in range(20)]
        await store.add([a_callback(*items, at=NOON + timedelta(hours=hour))])
    await backend.read_model.catch_up()

    found = await store.find(ReportQuery(statuses=(6,)))

    assert (ids(found.reports), found.next) == ([1], None)


async def test_a_step_ends(backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that finds nothing ends all the same, and says where to go on."""
    monkeypatch.setattr(searching, "STEP", 20)
    monkeypatch.setattr(searching, "PIECE", 10)
    store = backend.store
    await store.add([a_callback(*(an_sms(f"m{n}") for n in range(100)))])
    first = (await everything(store))[0]
    query = ReportQuery(callback_data_contains="not there")

    steps = []
    before: int | None = None
    while True:
        found = await store.find(replace(query, before=before))
        assert found.reports == []
        if (before := found.next) is None:
            break
        steps.append(before)

    assert steps == [first.id + 80, first.id + 60, first.id + 40, first.id + 20, first.id]
