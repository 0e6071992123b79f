"""What is SQLite's own: the file, its transactions, its migrations."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from receiver.store.base import StoreUnavailable
from receiver.store.migrations import Migration
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import (
    a_callback,
    an_sms,
    everything,
    message_ids,
)


async def test_is_on_disk_when_add_returns(tmp_path: Path) -> None:
    """What was added is there for whoever opens the file, with the writer still at work."""
    database = await Database.open(tmp_path / "dlr.db")
    await database.migrate(MIGRATIONS)
    await SqliteStore(database).add([a_callback(an_sms("m1"))])

    other = await Database.open(tmp_path / "dlr.db")
    assert message_ids(await everything(SqliteStore(other))) == ["m1"]
    assert await other.missing(MIGRATIONS) == []

    await other.close()
    await database.close()


async def test_syncs_each_commit(tmp_path: Path) -> None:
    """200 means on disk: full synchronisation, and a log that survives the process."""
    database = await Database.open(tmp_path / "dlr.db")

    def settings(connection: sqlite3.Connection) -> tuple[int, str]:
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
        return synchronous, journal

    assert await database.write(settings) == (2, "wal")
    await database.close()


async def test_syncs_again_after_what_need_not_be(tmp_path: Path) -> None:
    """Only the transaction that may be lost with the power is not waited for, though it fails."""
    database = await Database.open(tmp_path / "dlr.db")

    def synchronous(connection: sqlite3.Connection) -> int:
        found: int = connection.execute("PRAGMA synchronous").fetchone()[0]
        return found

    def failing(_: sqlite3.Connection) -> None:
        raise ValueError("this one fails")

    assert await database.write_unflushed(synchronous) == 1
    assert await database.write(synchronous) == 2
    with pytest.raises(ValueError, match="this one fails"):
        await database.write_unflushed(failing)
    assert await database.write(synchronous) == 2
    await database.close()


async def test_migrates_once(tmp_path: Path) -> None:
    """Migrations are applied once; a second start finds nothing to do."""
    database = await Database.open(tmp_path / "dlr.db")
    assert await database.missing(MIGRATIONS) == MIGRATIONS
    assert await database.migrate(MIGRATIONS) == MIGRATIONS
    assert await database.migrate(MIGRATIONS) == []
    await database.close()


async def test_broken_migration_leaves_nothing() -> None:
    """A migration that fails half-way is undone as a whole."""
    database = await Database.open(":memory:")
    broken = Migration("part", 1, "broken", "CREATE TABLE a (b);\nCREATE TABLE a (b);\n")

    with pytest.raises(StoreUnavailable):
        await database.migrate([broken])

    assert await database.missing([broken]) == [broken]
    tables = await database.read(
        lambda c: c.execute("SELECT name FROM sqlite_schema WHERE name = 'a'").fetchall()
    )
    assert tables == []
    await database.close()


async def test_refuses_a_newer_database() -> None:
    """A database that a newer program has migrated is not touched by an older one."""
    database = await Database.open(":memory:")
    old = Migration("part", 1, "first", "CREATE TABLE a (b);\n")
    new = Migration("part", 2, "second", "CREATE TABLE c (d);\n")
    await database.migrate([old, new])

    with pytest.raises(StoreUnavailable, match="upgrade dlr"):
        await database.migrate([old])
    await database.close()


async def test_cannot_be_opened(tmp_path: Path) -> None:
    """A path that cannot be a database is told as StoreUnavailable, and leaves no thread behind."""
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"this is not a database" * 100)

    for path in (tmp_path / "missing" / "dlr.db", tmp_path, garbage):
        with pytest.raises(StoreUnavailable):
            await Database.open(path)


def modes(folder: Path) -> dict[str, int]:
    return {each.name: each.stat().st_mode & 0o777 for each in folder.iterdir()}


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """New files can be read by everybody, as they can on most machines."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
async def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Whoever had an account on the machine could read the numbers of all recipients: the file was
    made with what the umask left. So were its log and the log's index."""
    database = await Database.open(tmp_path / "dlr.db")
    await database.migrate(MIGRATIONS)

    assert modes(tmp_path) == dict.fromkeys(
        ("dlr.db", "dlr.db-wal", "dlr.db-shm", "dlr.db-turn"), 0o600
    )
    await database.close()


@pytest.mark.usefixtures("usual_umask")
async def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """An operator who lets a group read, or write, goes on doing so; what is beside follows."""
    await (await Database.open(tmp_path / "dlr.db")).close()
    (tmp_path / "dlr.db").chmod(0o660)

    database = await Database.open(tmp_path / "dlr.db")
    await database.migrate(MIGRATIONS)

    assert set(modes(tmp_path).values()) == {0o660}
    await database.close()


@pytest.mark.usefixtures("usual_umask")
async def test_a_link_to_no_file_yet(tmp_path: Path) -> None:
    """The file that is made behind a link is private too."""
    (tmp_path / "dlr.db").symlink_to(tmp_path / "there.db")

    await (await Database.open(tmp_path / "dlr.db")).close()

    assert modes(tmp_path)["there.db"] == 0o600


async def test_locked_by_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program keeps the file locked the store is unavailable, and works after."""
    monkeypatch.setattr("receiver.store.sqlite.database.BUSY_TIMEOUT_SECONDS", 0.01)
    database = await Database.open(tmp_path / "dlr.db")
    await database.migrate(MIGRATIONS)
    store = SqliteStore(database)

    with closing(sqlite3.connect(tmp_path / "dlr.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.add([a_callback(an_sms("m1"))])
        other.execute("ROLLBACK")

    await store.add([a_callback(an_sms("m1"))])
    assert message_ids(await everything(store)) == ["m1"]
    await database.close()


async def test_refused_row_is_not_an_unavailable_store() -> None:
    """A row that the schema refuses is the row's fault: its neighbours can be written."""
    database = await Database.open(":memory:")
    await database.migrate(MIGRATIONS)

    with pytest.raises(sqlite3.IntegrityError):
        await database.write(
            lambda c: c.execute("INSERT INTO report_key VALUES (1, 2, 'a', 3, NULL)")
        )
    await database.close()
