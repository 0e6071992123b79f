"""A database whose file is removed or replaced while it is open.

It was seen: `rm dlr.db*; cp backup.db dlr.db` under a running `dlr serve`, and callbacks got 200
for reports that went into a file which nobody could reach any more. They were lost with the
process.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from receiver.store.base import Counts, StoreUnavailable
from receiver.store.sqlite import own_file
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import a_callback, an_sms, everything, message_ids

PARTS = ("", "-wal", "-shm")


@pytest.fixture(autouse=True)
def no_second_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beside the database is looked at each time."""
    monkeypatch.setattr(own_file, "BESIDE_EVERY", 0)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    return tmp_path / "dlr.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """On a file with one report, which has a copy beside it."""
    database = await Database.open(path)
    await database.migrate(MIGRATIONS)
    store = SqliteStore(database)
    await store.add([a_callback(an_sms("before"))])
    await database.checkpoint()
    shutil.copy(path, path.with_name("backup.db"))
    yield store
    await database.close()


def remove(path: Path) -> None:
    for part in PARTS:
        Path(f"{path}{part}").unlink()


def replace(path: Path) -> None:
    remove(path)
    shutil.copy(path.with_name("backup.db"), path)


def move(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def move_back(path: Path) -> None:
    path.with_name("moved.db").rename(path)


def remove_the_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (remove, "dlr.db was removed"),
        (replace, "dlr.db was replaced"),
        (move, "dlr.db was removed"),
        (remove_the_log, "dlr.db-wal was removed"),
    ],
)
async def test_nothing_is_said_to_be_stored(
    path: Path,
    store: SqliteStore,
    happens: Callable[[Path], None],
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first callback after it is refused and each one that follows, a question whether the
    store can be written is answered with the reason, and one line in the log says what to do."""
    happens(path)

    with caplog.at_level(logging.WARNING, logger="dlr.store"):
        for number in range(3):
            with pytest.raises(StoreUnavailable, match=f"{said} .* restart dlr"):
                await store.add([a_callback(an_sms(f"m{number}"))])
            with pytest.raises(StoreUnavailable, match=said):
                await store.check_writable()

    assert len(caplog.records) == 1


async def test_it_is_seen_by_a_question(path: Path, store: SqliteStore) -> None:
    """/readyz says so before any callback has come."""
    remove(path)

    with pytest.raises(StoreUnavailable, match="removed"):
        await store.check_writable()


async def test_it_is_put_back(
    path: Path, store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    """When the very files are put back, it goes on: what was refused is new, and stored."""
    move(path)
    with pytest.raises(StoreUnavailable):
        await store.check_writable()
    move_back(path)

    with caplog.at_level(logging.WARNING, logger="dlr.store"):
        assert await store.add([a_callback(an_sms("after"))]) == [Counts(1, 0, 0)]
    assert "back" in caplog.text
    assert message_ids(await everything(store)) == ["before", "after"]


async def test_another_database_that_came_in_its_place_is_not_touched(
    path: Path, store: SqliteStore
) -> None:
    """What is written and closed by the one that lost its file does no harm to the other."""
    replace(path)
    other = await Database.open(path)
    kept = SqliteStore(other)
    await kept.add([a_callback(an_sms("theirs"))])

    with pytest.raises(StoreUnavailable):
        await store.add([a_callback(an_sms("ours"))])
    await store._database.close()

    await kept.add([a_callback(an_sms("theirs, later"))])
    await other.close()
    again = await Database.open(path)
    names = ["before", "theirs", "theirs, later"]
    assert message_ids(await everything(SqliteStore(again))) == names
    await again.close()
