"""The time that processes share, in the SQLite file that they work on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

from dispatcher.clocks.base import Reading
from dispatcher.clocks.common_time import apart
from receiver.store.sqlite.database import Database, instant, micros
from receiver.store.sqlite.rows import last_id

_MICROSECOND = timedelta(microseconds=1)
_A_DAY = timedelta(days=1)

_TELL = "UPDATE common_time SET elapsed = ?, instant = ? WHERE boot = ? AND speed = ?"
_BEGIN = """
    INSERT INTO common_time (elapsed, instant, boot, speed, last_dispatch, last_attempt)
    VALUES (?, ?, ?, ?, ?, ?)
"""


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

    async def step(self, boot: str | None, reading: Reading, by: timedelta) -> Reading:
        def step(connection: sqlite3.Connection) -> Reading:
            kept = None if boot is None else _kept(connection, boot, 1.0)
            if kept is not None and abs(apart(kept, reading, 1.0)) < abs(by) / 2:
                return kept  # another process was first
            _move_plans(connection, by, reading.instant - by)
            if boot is not None:
                _keep(connection, boot, 1.0, reading)
            return reading

        return await self._database.write(step)


_MOVE_DUE = """
    UPDATE dispatch SET due_at = due_at + ?1 WHERE state IN ('waiting', 'leased') AND (
        id > (SELECT coalesce(max(last_dispatch), 0) FROM common_time) OR EXISTS (
            SELECT 1 FROM attempt WHERE dispatch = dispatch.id AND number = dispatch.attempts
            AND attempt.id > (SELECT coalesce(max(last_attempt), 0) FROM common_time)
        )
    )
"""
_MOVE_LEASES = """
    UPDATE dispatch SET lease_until = lease_until + ?1
    WHERE state = 'leased' AND lease_until BETWEEN ?2 AND ?3
"""


def _move_plans(connection: sqlite3.Connection, by: timedelta, was: datetime) -> None:
    """When the clock goes by `by` from the instant that it `was`. A lease that is no day away was
    given by it; one of before the machine started may be years away."""
    micros_by = by // _MICROSECOND
    connection.execute(_MOVE_DUE, (micros_by,))
    given = (micros_by, micros(was - _A_DAY), micros(was + _A_DAY))
    connection.execute(_MOVE_LEASES, given)


def _kept(connection: sqlite3.Connection, boot: str, speed: float) -> Reading | None:
    row = connection.execute(
        "SELECT elapsed, instant FROM common_time WHERE boot = ? AND speed = ?", (boot, speed)
    ).fetchone()
    return None if row is None else Reading(row[0] * _MICROSECOND, instant(row[1]))


def _keep(connection: sqlite3.Connection, boot: str, speed: float, reading: Reading) -> None:
    told = (reading.elapsed // _MICROSECOND, micros(reading.instant), boot, speed)
    if connection.execute(_TELL, told).rowcount:
        return
    # The first of this start of the machine: all that is there was planned before.
    last = last_id(connection, "dispatch"), last_id(connection, "attempt")
    connection.execute("DELETE FROM common_time")
    connection.execute(_BEGIN, (*told, *last))
