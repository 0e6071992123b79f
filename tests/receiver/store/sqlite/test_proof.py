"""/readyz and /metrics do not write for whoever asks, and agree with what callbacks get.

150 questions wrote 1.2 MB. And on a disk that was nearly full /readyz said that all was well, since
its one page found room, while callbacks got 503.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from receiver.store import proof
from receiver.store.base import StoreUnavailable
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import a_callback, an_sms


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "dlr.db")
    await opened.migrate(MIGRATIONS)
    yield opened
    await opened.close()


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock shows is the last of these. By now nothing has been written for long."""
    seconds = [time.monotonic() + 1_000]
    monkeypatch.setattr(proof, "monotonic", lambda: seconds[-1])
    return seconds


def written(folder: Path) -> int:
    return (folder / "dlr.db-wal").stat().st_size


async def test_a_commit_is_proof_for_a_second(
    database: Database, tmp_path: Path, passed: list[float]
) -> None:
    """Who asks within a second of a commit has nothing written, who asks later a page."""
    store = SqliteStore(database)
    await store.add([a_callback(an_sms("m1"))])
    before = written(tmp_path)

    for _ in range(150):
        await store.check_writable()
    assert written(tmp_path) == before
    passed.append(passed[-1] + 1)
    await store.check_writable()
    assert 0 < written(tmp_path) - before <= 3 * 4_200  # a page, and what SQLite keeps beside it


async def test_one_probe_serves_all(
    database: Database, tmp_path: Path, passed: list[float]
) -> None:
    """A hundred who ask at once, and all who ask in the second after them, have one page
    written between them."""
    store = SqliteStore(database)
    passed.append(passed[-1] + 2)
    await store.check_writable()
    one = written(tmp_path)
    passed.append(passed[-1] + 2)
    before = written(tmp_path)

    await asyncio.gather(*(store.check_writable() for _ in range(100)))
    await store.check_writable()

    assert written(tmp_path) - before <= one


async def test_what_writes_nothing_is_no_proof(
    database: Database, tmp_path: Path, passed: list[float]
) -> None:
    """A transaction that finds nothing to do says nothing of the disk."""
    store = SqliteStore(database)
    passed.append(passed[-1] + 2)
    await database.write(lambda c: c.execute("UPDATE report SET duplicates = 1").close())
    before = written(tmp_path)

    await store.check_writable()

    assert written(tmp_path) > before


async def test_whoever_goes_away_takes_nobody_along(
    database: Database, passed: list[float]
) -> None:
    """One that asks and is broken off leaves the probe to the others."""
    store = SqliteStore(database)
    passed.append(passed[-1] + 2)
    asking = [asyncio.create_task(store.check_writable()) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()

    assert await asyncio.gather(*asking[1:]) == [None, None]
    with pytest.raises(asyncio.CancelledError):
        await asking[0]


def _limited(pages: int | None) -> object:
    """A quota of the database, as that of a disk: so many pages more than it has; None ends it."""

    def limit(connection: sqlite3.Connection) -> None:
        (there,) = connection.execute("PRAGMA page_count").fetchone()
        most = 2**31 if pages is None else there + pages
        connection.execute(f"PRAGMA max_page_count = {most}").close()

    return limit


async def test_it_agrees_with_callbacks(database: Database, passed: list[float]) -> None:
    """With a quota that is nearly used up: while callbacks are refused it is said, though smaller
    writes find room; when there is room again both work."""
    store = SqliteStore(database)
    await database.write(_limited(40))  # type: ignore[arg-type]
    large = a_callback(*(an_sms(f"m{n}", callbackData="x" * 900) for n in range(300)))
    with pytest.raises(StoreUnavailable, match="full"):
        await store.add([large])

    for _ in range(3):
        passed.append(passed[-1] + 2)
        with pytest.raises(StoreUnavailable, match="full"):
            await store.check_writable()
        await store.add([a_callback(an_sms(f"small-{passed[-1]}"))])
    await database.write(_limited(None))  # type: ignore[arg-type]
    passed.append(passed[-1] + 2)
    await store.check_writable()
    assert (await store.add([large]))[0].stored == 300
    room = await database.read(lambda c: c.execute("SELECT count(*) FROM room").fetchone()[0])
    assert room == 0


async def test_it_is_said_before_the_first_callback(
    database: Database, passed: list[float]
) -> None:
    """A quota that is used up is seen by who asks first, and so is its end."""
    store = SqliteStore(database)
    await database.write(_limited(0))  # type: ignore[arg-type]
    passed.append(passed[-1] + 2)

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="full"):
            await store.check_writable()
    await database.write(_limited(None))  # type: ignore[arg-type]
    await store.check_writable()
