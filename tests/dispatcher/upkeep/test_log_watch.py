"""Who holds the write-ahead log is told.

A sqlite3 shell with an open transaction made the log grow by 70 KB a report, to gigabytes over
night; nothing said so, and the file stayed that large after the shell had ended.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
import sys
from asyncio.subprocess import PIPE
from datetime import datetime
from pathlib import Path

import pytest

from dispatcher.observe.base import FileSizes, HeldLog
from dispatcher.queue.sqlite.files import SqliteFiles
from dispatcher.upkeep.log_watch import LogWatch
from receiver.store.sqlite.database import LOG_MOST, Database

MEGABYTE = 1024**2

READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM blob").fetchone()
print("reading", flush=True)
sys.stdin.read()
"""


class Told:
    """Implements DatabaseFiles: a log as large as a test says."""

    def __init__(self) -> None:
        self.held: HeldLog | None = None

    async def sizes(self) -> FileSizes | None:
        return None

    async def keep_room(self, _: datetime) -> None:
        raise AssertionError

    async def held_log(self) -> HeldLog | None:
        return self.held


async def test_told_once_and_when_it_has_doubled(caplog: pytest.LogCaptureFixture) -> None:
    """One line when two looks saw it, one for each doubling, one when it is over: not one a look.
    A question of dlr's own, which ends soon, is not told."""
    caplog.set_level(logging.INFO, "dlr.dispatcher")
    files = Told()
    watch = LogWatch(files)

    for size in (None, 35, None, 35, 40, 41, 79, 80, None, None, 45, 50):
        files.held = None if size is None else HeldLog(size * MEGABYTE, ["4711 (sqlite3)"])
        await watch.once()

    told = [re.split("[:,]", record.getMessage())[0] for record in caplog.records]
    grows = "the database's log (-wal) has grown to {} MB"
    free = "the database's log is free again"
    assert told == [grows.format(40), grows.format(80), free, grows.format(50)]
    assert "4711 (sqlite3)" in caplog.messages[0]


async def _fill(database: Database, megabytes: int) -> None:
    for _ in range(megabytes):
        await database.write(
            lambda c: c.execute("INSERT INTO blob VALUES (randomblob(?))", (MEGABYTE,)).close()
        )


async def test_a_reader_makes_the_log_grow_and_it_shrinks_after(tmp_path: Path) -> None:
    """While another process reads, the log is larger than it should be and the process is named;
    when it has ended, the next writes bring the file back to its bound."""
    database = await Database.open(tmp_path / "dlr.db")
    await database.write(lambda c: c.execute("CREATE TABLE blob (bytes BLOB)").close())
    files = SqliteFiles(database)
    bound = LOG_MOST // MEGABYTE
    await _fill(database, bound + 8)
    assert await files.held_log() is None

    words = (sys.executable, "-c", READER, str(tmp_path / "dlr.db"))
    reader = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE)
    assert reader.stdout is not None
    assert await reader.stdout.readline() == b"reading\n"
    await _fill(database, bound + 8)
    held = await files.held_log()
    await reader.communicate(
        b""
    )  # closes its stdin, which Python 3.11 does only if something is sent
    await _fill(database, 2)

    assert held is not None
    assert held.size > LOG_MOST
    if sys.platform == "linux":
        assert [each.split()[0] for each in held.readers] == [str(reader.pid)]
    sizes = await files.sizes()
    assert sizes is not None
    assert sizes.log is not None
    assert sizes.log <= LOG_MOST
    assert sizes.database > 2 * bound * MEGABYTE
    await database.close()


async def test_a_database_in_memory_has_no_files() -> None:
    """Nothing is shown of it, and nothing holds its log."""
    database = await Database.open(":memory:")
    files = SqliteFiles(database)

    assert await files.sizes() is None
    assert await files.held_log() is None
    await database.close()


async def test_the_bound_is_set_on_each_connection(tmp_path: Path) -> None:
    """Whichever of them writes the log anew cuts it."""
    database = await Database.open(tmp_path / "dlr.db")

    def limit(connection: sqlite3.Connection) -> int:
        found: int = connection.execute("PRAGMA journal_size_limit").fetchone()[0]
        return found

    assert {await database.write(limit), await database.question(limit)} == {LOG_MOST}
    await database.close()
