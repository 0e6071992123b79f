"""What is written to a SQLite file to find out whether it can be (proof.py)."""

from __future__ import annotations

import sqlite3

ROOM = 256 * 1024
"""Bytes that must find room after a write has failed: more than most callbacks take."""

_FILL = f"INSERT OR REPLACE INTO room VALUES (1, zeroblob({ROOM}))"


def touch(connection: sqlite3.Connection) -> None:
    """Write one page. Setting the version to what it is does: a full or read-only disk shows
    itself. And find room for more, without writing it: a quota of the database shows itself."""
    connection.execute("SAVEPOINT room")
    connection.execute(_FILL)
    connection.execute("ROLLBACK TO room")
    connection.execute("RELEASE room")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.execute(f"PRAGMA user_version = {version:d}")


def fill(connection: sqlite3.Connection) -> None:
    """Write a lot, and leave it there."""
    connection.execute(_FILL)


def clear(connection: sqlite3.Connection) -> None:
    """Undo `fill`."""
    connection.execute("DELETE FROM room")
