"""The time that processes share, in the PostgreSQL database that they work on.

Machines are apart: the processes of each agree on a reading of its own, and its wall clock is what
it has in common with the others (NTP keeps that to milliseconds, and a lease has a margin of ten
seconds). So there is a row for each start of a machine and each speed, and a step of one machine's
clock moves only what that clock has planned.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from dispatcher.clocks.base import Reading
from dispatcher.clocks.common_time import apart
from receiver.store.instants import instant, micros
from receiver.store.postgres.database import Connection, Database
from receiver.store.postgres.rows import last_id

_MICROSECOND = timedelta(microseconds=1)
_OF_A_LEASE = timedelta(hours=12)
"""A lease that ends no further from an instant was given by a clock that showed it."""

_OF_A_PLAN = timedelta(hours=1)
"""What began no further from an instant, by the clock, was planned by one that showed it."""

_ALONE = "LOCK TABLE common_time IN SHARE ROW EXCLUSIVE MODE"
_KEPT = "SELECT elapsed, instant FROM common_time WHERE boot = %s AND speed = %s"
_TELL = "UPDATE common_time SET elapsed = %s, instant = %s WHERE boot = %s AND speed = %s"
_BEGIN = """
    INSERT INTO common_time (elapsed, instant, boot, speed, last_dispatch, last_attempt)
    VALUES (%s, %s, %s, %s, %s, %s)
"""


class PostgresTime:
    """Implements SharedTime."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def agree(
        self, boot: str, speed: float, choose: Callable[[Reading | None], Reading]
    ) -> Reading:
        def agree(connection: Connection) -> Reading:
            connection.execute(_ALONE)
            kept = _kept(connection, boot, speed)
            chosen = choose(kept)
            if chosen != kept:
                _keep(connection, boot, speed, chosen)
            return chosen

        return await self._database.write(agree)

    async def step(
        self, boot: str | None, reading: Reading, by: timedelta, *, again: bool = False
    ) -> Reading:
        def step(connection: Connection) -> Reading:
            connection.execute(_ALONE)
            kept = None if boot is None else _kept(connection, boot, 1.0)
            is_made = kept is not None and abs(apart(kept, reading, 1.0)) < abs(by) / 2
            late = is_made or again or _has_others(connection, boot)
            _move_plans(connection, by, reading.instant, late=late)
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
    UPDATE dispatch SET due_at = due_at + %(by)s,
        created_at = created_at + CASE attempts WHEN 0 THEN %(by)s ELSE 0 END
    WHERE id = ANY(%(ids)s::bigint[]) AND state IN ('waiting', 'leased')
"""
_MOVE_ATTEMPTS = """
    UPDATE attempt SET started_at = started_at + %(by)s WHERE id = ANY(%(ids)s::bigint[])
"""
_MOVE_LEASES = """
    UPDATE dispatch SET lease_until = lease_until + %s
    WHERE state = 'leased' AND lease_until BETWEEN %s AND %s
"""


def _move_plans(connection: Connection, by: timedelta, now: datetime, late: bool) -> None:
    """When the clock has gone by `by`, to `now`. `late`: the step is made, and what was planned by
    the old time after it goes along now.

    Nothing is moved twice: with a plan is moved what it counts from, and that tells by which time
    it was planned. A lease of before the machine started may be years away, and stays.
    """
    was, micros_by = now - by, by // _MICROSECOND
    which, around = ("BETWEEN %s AND %s", was) if late else ("NOT BETWEEN %s AND %s", now)
    planned = connection.execute(_PLANNED + which, _near(around, _OF_A_PLAN)).fetchall()
    dispatches = [dispatch for dispatch, _ in planned]
    connection.execute(_MOVE_DUE, {"by": micros_by, "ids": dispatches})
    attempts = [attempt for _, attempt in planned if attempt is not None]
    connection.execute(_MOVE_ATTEMPTS, {"by": micros_by, "ids": attempts})
    connection.execute(_MOVE_LEASES, (micros_by, *_near(was, _OF_A_LEASE)))


def _near(at: datetime, most: timedelta) -> tuple[int, int]:
    return micros(at - most), micros(at + most)


def _kept(connection: Connection, boot: str, speed: float) -> Reading | None:
    row = connection.execute(_KEPT, (boot, speed)).fetchone()
    return None if row is None else Reading(row[0] * _MICROSECOND, instant(row[1]))


def _has_others(connection: Connection, boot: str | None) -> bool:
    """Whether another machine may have planned what there is. One that was started anew counts as
    one: what it planned before its start is not moved anyway."""
    others = "SELECT 1 FROM common_time WHERE boot IS DISTINCT FROM %s LIMIT 1"
    return connection.execute(others, (boot,)).fetchone() is not None


def _keep(connection: Connection, boot: str, speed: float, reading: Reading) -> None:
    told = (reading.elapsed // _MICROSECOND, micros(reading.instant), boot, speed)
    if connection.execute(_TELL, told).rowcount:
        return
    # The first of this start of the machine: all that is there was planned before.
    last = last_id(connection, "dispatch_id"), last_id(connection, "attempt_id")
    connection.execute("DELETE FROM common_time WHERE boot = %s", (boot,))
    connection.execute(_BEGIN, (*told, *last))
