"""What a backup and a restore refuse, and that they leave nothing then."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dispatcher.clocks.clock import wall_time
from dispatcher.storage import back_up, migrate, restore
from receiver.store.base import StoreUnavailable
from receiver.store.copies import CopyBrokenOff, CopyRefused
from receiver.store.sqlite.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    path = tmp_path / "dlr.db"
    await migrate(str(path))
    return path


def copy(database: Path, target: Path, *, replace: bool = False) -> None:
    back_up(str(database), target, replace=replace, watch=lambda _: True)


def put_back(backup: Path, database: Path, **options: Any) -> None:
    said = {"replace": True, "whole_without_log": False} | options
    restore(backup, str(database), watch=lambda _: True, now=wall_time(), **said)


@contextmanager
def refused(words: str, folder: Path) -> Iterator[None]:
    """Refused with these words, and nothing in the folder has changed."""
    before = contents(folder)
    with pytest.raises(CopyRefused, match=words):
        yield
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Without what SQLite and our locks leave beside a database: they hold nothing."""
    ends = ("-turn", "-wal", "-shm")
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and not (path.name.endswith(ends) and path.name.startswith("dlr.db"))
    }


def size_of(file: Path) -> int:
    return file.stat().st_size


def damage(database: Path) -> None:
    database.write_bytes(b"damaged" * 1000)
    database.with_name("dlr.db-wal").write_bytes(b"its log")


async def test_what_a_backup_refuses(database: Path) -> None:
    """A name that is taken, the database itself, folders, and a log that lies in wait."""
    folder = database.parent
    target = folder / "copy.db"
    target.write_text("of yesterday")
    with refused("copy.db is there already: choose another name, or add --replace", folder):
        copy(database, target)
    with refused("is the database itself", folder):
        copy(database, folder / "." / "dlr.db", replace=True)
    with refused("is a folder", folder):
        copy(database, folder)
    with refused("there is no folder", folder):
        copy(database, folder / "none" / "copy.db")
    device = folder / "device"
    device.symlink_to(os.devnull)  # root can put a file in the place of a device
    with refused("device is a device or a pipe", folder):
        copy(database, device, replace=True)
    with refused("device is a device or a pipe", folder):
        put_back(database, device, replace=True)
    (folder / "other.db-wal").write_text("x")
    with refused("other.db-wal belongs to another database", folder):
        copy(database, folder / "other.db")
    with refused("there is no file", folder):
        copy(folder / "none.db", folder / "third.db")
    with refused("copy.db is no database", folder):
        copy(target, folder / "third.db")
    sqlite3.connect(folder / "strange.db").execute("CREATE TABLE a (b)").connection.close()
    with refused("strange.db is no database of dlr", folder):
        copy(folder / "strange.db", folder / "third.db")
    with refused("a database in memory cannot be copied", folder):
        copy(Path(":memory:"), folder / "third.db")


async def test_a_disk_that_is_too_small(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told before anything is written, with what is needed and what there is."""
    free = size_of(database) + 30 * 1024**2
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, free))

    with refused(r"copy.db needs 3\d\.\d MB, and its disk has 3\d\.\d MB free", database.parent):
        copy(database, database.parent / "copy.db")


async def test_two_at_once(database: Path) -> None:
    """Of two that write the same copy the second is refused, and the first ends."""
    target = database.parent / "copy.db"
    seen: list[bool] = []

    def look(_: float) -> bool:
        if not seen:
            seen.append(True)
            with pytest.raises(CopyRefused, match=r"another dlr is writing .*copy\.db\.partial"):
                copy(database, target)
        return True

    back_up(str(database), target, replace=False, watch=look)

    assert seen
    assert target.exists()


async def test_broken_off(database: Path) -> None:
    """Nothing is left of a copy that is broken off."""
    with pytest.raises(CopyBrokenOff):
        back_up(str(database), database.parent / "copy.db", replace=False, watch=lambda _: False)

    assert not list(database.parent.glob("copy*"))


async def test_an_older_schema_is_copied_as_it_is(database: Path) -> None:
    """So the backup before an upgrade can be made with the new program."""
    connection = sqlite3.connect(database)
    connection.execute("UPDATE schema_version SET number = number - 1")
    connection.commit()
    connection.close()
    target = database.parent / "copy.db"

    copy(database, target)

    rows = [
        sorted(sqlite3.connect(each).execute("SELECT * FROM schema_version"))
        for each in (database, target)
    ]
    assert rows[0] == rows[1]


async def test_what_a_restore_refuses(database: Path) -> None:
    """A backup that is none, one of a newer program, itself, and a database somebody reads."""
    folder = database.parent
    backup = folder / "copy.db"
    copy(database, backup)
    with refused("there is no file", folder):
        put_back(folder / "none.db", database)
    with refused("dlr.db is the database itself", folder):
        put_back(database, database)
    with refused("dlr.db is there already: add --replace", folder):
        put_back(backup, database, replace=False)
    (folder / "text.db").write_text("a text that is longer than a hundred bytes" * 10)
    with refused("text.db is no database, or it is damaged", folder):
        put_back(folder / "text.db", database)
    with sqlite3.connect(backup) as connection:
        connection.execute("UPDATE schema_version SET number = 99")
    connection.close()
    with refused("cannot be used by this program: .* upgrade dlr", folder):
        put_back(backup, database)


@pytest.mark.parametrize("by_dlr", [True, False])
async def test_somebody_has_the_database_open(database: Path, by_dlr: bool) -> None:
    """A process of dlr, or another program that reads it."""
    backup = database.parent / "copy.db"
    copy(database, backup)
    reader = sqlite3.connect(database)
    opened = await Database.open(database)
    reader.execute("SELECT count(*) FROM report").fetchone()
    if not by_dlr:
        await opened.close()
    try:
        with pytest.raises(CopyRefused, match=r"dlr\.db is in use"):
            put_back(backup, database)
    finally:
        reader.close()
        if by_dlr:
            await opened.close()
    put_back(backup, database)


async def test_a_damaged_database_is_put_aside(database: Path) -> None:
    """What cannot be opened can be replaced, and is kept with its log."""
    backup = database.parent / "copy.db"
    copy(database, backup)
    damage(database)

    put_back(backup, database)

    (kept,) = database.parent.glob("dlr.db.until-*Z")
    assert kept.read_bytes() == b"damaged" * 1000
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == b"its log"
    assert await migrate(str(database)) == []


async def test_a_missing_database_needs_no_word(database: Path) -> None:
    """Where there is none, the backup becomes it, its owner's alone."""
    backup = database.parent / "copy.db"
    copy(database, backup)

    put_back(backup, database.parent / "new.db", replace=False)

    assert (database.parent / "new.db").stat().st_mode & 0o777 == 0o600
    assert await migrate(str(database.parent / "new.db")) == []


async def test_a_database_of_a_backup_opens_again_and_again(database: Path) -> None:
    """A backup in place gets a log of its own, which is not taken for another's."""
    target = database.parent / "copy.db"
    copy(database, target)
    first = await Database.open(target)
    await first.write(lambda c: c.execute("DELETE FROM room"))
    second = await Database.open(target)  # the log is not empty now
    await second.close()
    await first.close()

    copy(database, target.with_name("third.db"))
    target.with_name("third.db-wal").write_text("x")
    with pytest.raises(StoreUnavailable, match="log of another database"):
        await Database.open(target.with_name("third.db"))
