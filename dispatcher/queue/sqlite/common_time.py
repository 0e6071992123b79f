"""The time that processes share, in the SQLite file that they work on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta

from dispatcher.clocks.base import Reading
from receiver.store.sqlite.database import Database, instant, micros

_MICROSECOND = timedelta(microseconds=1)


class SqliteTime:
    """Implements SharedTime."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def agree(
        self, boot: str, speed: float, choose: Callable[[Reading | None], Reading]
    ) -> Reading:
        def agree(connection: sqlite3.Connection) -> Reading:
            kept = _kept(connection, boot, speed)
            chosen = choose(kept)
            if chosen != kept:
                _keep(connection, boot, speed, chosen)
            return chosen

        return await self._database.write(agree)


def _kept(connection: sqlite3.Connection, boot: str, speed: float) -> Reading | None:
    row = connection.execute(
        "SELECT elapsed, instant FROM common_time WHERE boot = ? AND speed = ?", (boot, speed)
    ).fetchone()
    return None if row is None else Reading(row[0] * _MICROSECOND, instant(row[1]))


def _keep(connection: sqlite3.Connection, boot: str, speed: float, reading: Reading) -> None:
    connection.execute("DELETE FROM common_time")
    connection.execute(
        "INSERT INTO common_time (boot, speed, elapsed, instant) VALUES (?, ?, ?, ?)",
        (boot, speed, reading.elapsed // _MICROSECOND, micros(reading.instant)),
    )
