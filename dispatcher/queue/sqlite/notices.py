"""What the dispatchers on one SQLite file tell each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

_PUT_UP = """
    INSERT INTO live_dispatcher VALUES (?1, ?2, ?3)
    ON CONFLICT (slot) DO UPDATE SET name = excluded.name, notice = excluded.notice
"""
_TAKE_DOWN = "DELETE FROM live_dispatcher WHERE name = ?1 AND (?2 IS NULL OR notice = ?2)"


def notices(connection: sqlite3.Connection) -> Mapping[str, bytes]:
    return dict(connection.execute("SELECT name, notice FROM live_dispatcher"))


def put_up(connection: sqlite3.Connection, slot: int, name: str, notice: bytes) -> None:
    """In place of whoever had this slot before."""
    connection.execute(_PUT_UP, (slot, name, notice))


def renew(connection: sqlite3.Connection, name: str, notice: bytes) -> bool:
    changed = connection.execute(
        "UPDATE live_dispatcher SET notice = ? WHERE name = ?", (notice, name)
    )
    return changed.rowcount == 1


def take_down(connection: sqlite3.Connection, name: str, notice: bytes | None) -> None:
    connection.execute(_TAKE_DOWN, (name, notice))
