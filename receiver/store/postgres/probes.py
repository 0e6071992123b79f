"""What is written to PostgreSQL to find out whether it can be (proof.py)."""

from __future__ import annotations

from receiver.store.postgres.database import Connection

ROOM = 256 * 1024
"""Bytes that must find room after a write has failed: more than most callbacks take."""

_WRITE = """
    INSERT INTO room VALUES (1, %s) ON CONFLICT (one) DO UPDATE SET bytes = excluded.bytes
"""


def touch(connection: Connection) -> None:
    """Write one row: a full or read-only disk, or a standby, shows itself."""
    connection.execute(_WRITE, (b"",))


def fill(connection: Connection) -> None:
    """Write a lot, and leave it there."""
    connection.execute(_WRITE, (bytes(ROOM),))


def clear(connection: Connection) -> None:
    """Undo `fill`."""
    connection.execute("DELETE FROM room")
