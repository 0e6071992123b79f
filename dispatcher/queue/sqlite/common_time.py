"""The time that processes share, in the SQLite file that they work on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

from dispatcher.clocks.base import Reading
from dispatcher.clocks.common_time import apart
from receiver.store.instants import instant, micros
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.rows import last_id

_MICROSECOND = timedelta(microseconds=1)
_OF_A_LEASE = timedelta(hours=12)
"""A lease that ends no further from an instant was given by a clock that showed it."""

_OF_A_PLAN = timedelta(hours=1)
"""What began no further from an instant, by the clock, was planned by one that showed it."""

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

    async def step(
        self, boot: str | None, reading: Reading, by: timedelta, *, again: bool = False
    ) -> Reading:
        def step(connection: sqlite3.Connection) -> Reading:
            kept = None if boot is None else _kept(connection, boot, 1.0)
            is_made = kept is not None and abs(apart(kept, reading, 1.0)) < abs(by) / 2
            _move_plans(connection, by, reading.instant, late=is_made or again)
            if kept is not None and is_made:
                return kept
            if boot is not None:
                _keep(connection, boot, 1.0, reading)
            return reading

        return await self._database.write(step)


# Planned since the machine started: a dispatch goes by its last attempt, or by when it was formed.
_PLANNED = """
    SELECT d.id, a.id FROM dispatch d
    LEFT JOIN attempt a ON a.dispatch = d.id AND a.number = d.attempts
    WHERE d.state IN ('waiting', 'leased') AND (
        d.id > (SELECT coalesce(max(last_dispatch), 0) FROM common_time)
        OR a.id > (SELECT coalesce(max(last_attempt), 0) FROM common_time)
    ) AND coalesce(a.started_at, d.created_at)
"""
_MOVE_DUE = """
    UPDATE dispatch SET due_at = due_at + ?1, created_at = created_at + iif(attempts, 0, ?1)
    WHERE id = ?2
"""
_MOVE_ATTEMPT = "UPDATE attempt SET started_at = started_at + ?1 WHERE id = ?2"
_MOVE_LEASES = """
    UPDATE dispatch SET lease_until = lease_until + ?1
    WHERE state = 'leased' AND lease_until BETWEEN ?2 AND ?3
"""


def _move_plans(connection: sqlite3.Connection, by: timedelta, now: datetime, late: bool) -> None:
    """When the clock has gone by `by`, to `now`. `late`: the step is made, and what was planned by
    the old time after it goes along now.

    Nothing is moved twice: with a plan is moved what it counts from, and that tells by which time
    it was planned. A lease of before the machine started may be years away, and stays.
    """
    was, micros_by = now - by, by // _MICROSECOND
    which, around = ("BETWEEN ? AND ?", was) if late else ("NOT BETWEEN ? AND ?", now)
    planned = connection.execute(_PLANNED + which, _near(around, _OF_A_PLAN)).fetchall()
    connection.executemany(_MOVE_DUE, [(micros_by, dispatch) for dispatch, _ in planned])
    connection.executemany(_MOVE_ATTEMPT, [(micros_by, attempt) for _, attempt in planned])
    connection.execute(_MOVE_LEASES, (micros_by, *_near(was, _OF_A_LEASE)))


def _near(at: datetime, most: timedelta) -> tuple[int, int]:
    return micros(at - most), micros(at + most)


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
