"""Retention and erasure in SQLite: how large its transactions are, and that bytes are gone.

What every database does is in tests/contracts/retention.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dispatcher.storage import storage
from receiver.store.recipient import Recipient
from receiver.store.sqlite.retention import BATCH
from tests.contracts.report_store import a_callback, an_sms
from tests.contracts.retention import DAY, NUMBER, purged
from tests.dispatcher.support import START, Bench, a_bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as each:
        yield each


async def rows(bench: Bench, table: str) -> int:
    statement = f"SELECT count(*) FROM {table}"
    found: int = await bench.database.read(lambda c: c.execute(statement).fetchone()[0])
    return found


async def test_search_keys_go_with_their_reports(bench: Bench) -> None:
    """Nothing of a report that was removed is found, nor takes room."""
    await bench.receive()
    await bench.work()
    await bench.storage.read_model.catch_up()
    assert await rows(bench, "search_key WHERE report = 1") > 0
    bench.clock.advance(10 * DAY)

    assert (await purged(bench, reports=DAY))["report"] == 1
    assert await rows(bench, "search_key WHERE report = 1") == 0


async def test_batches_are_bounded(bench: Bench) -> None:
    """However many go, no transaction has more than a batch of them, and between two is a pause."""
    count = 2 * BATCH + 1
    await bench.receive(*(an_sms(f"m{number}") for number in range(count)))
    await bench.storage.endpoints.remove("acme", lambda _: None, known=())
    await bench.storage.read_model.catch_up()
    left = []

    async def note() -> None:
        left.append(await rows(bench, "report"))

    await bench.storage.retention.purge_reports(
        now=START + 10 * DAY, before=START + DAY, most=0, pause=note
    )

    assert left[:3] == [BATCH + 1, 1, 0]


async def test_what_was_erased_is_overwritten(tmp_path: Path) -> None:
    """The bytes are not in the file any more, nor in its write-ahead log."""
    async with storage(str(tmp_path / "dlr.db")) as opened:
        at = datetime(2026, 3, 2, tzinfo=UTC)
        items = [an_sms(f"m{number}", to=NUMBER) for number in range(50)]
        await opened.store.add([a_callback(*items, an_sms("other", to="1"), at=at)])
        await opened.read_model.catch_up()
        assert NUMBER.encode() in _bytes(tmp_path)

        await opened.erasure.erase(Recipient(to=NUMBER))

        assert NUMBER.encode() not in _bytes(tmp_path)


def _bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("dlr.db*")))
