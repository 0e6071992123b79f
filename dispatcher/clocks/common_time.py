"""One time for all processes on a database, and for the next one after a restart.

A lease is given by the clock of one process and judged by that of another. Each counts the time
that passes on the machine (clock.py), and here they agree on what to count from. Otherwise one that
starts after the wall clock was set would be an hour apart from one that started before, and on a
compressed clock any two would be.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from dispatcher.clocks.clock import MachineClock
from receiver.store.sqlite.database import Database, instant, micros

TOLD_TO = timedelta(seconds=0.5)
"""How far a clock that follows the wall clock may go before it tells the others: each lease has a
margin of ten seconds."""

YEAR = timedelta(days=365)
"""A compressed time that has gone further from the world's than this is not taken up again: one day
it would reach the end of the calendar."""

_MICROSECOND = timedelta(microseconds=1)


@cache
def boot_id() -> str | None:
    """What tells this start of the machine from every other; None where nothing does."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return None


class CommonTime:
    """Has a clock agree with those of the other processes on a database."""

    def __init__(self, database: Database, clock: MachineClock, boot: str | None) -> None:
        self._database = database
        self._clock = clock
        self._boot = boot
        self._told: tuple[timedelta, datetime] | None = None

    async def join(self) -> None:
        """Go on with the time that the others have, or had; tell one's own where nobody has."""
        if self._boot is not None:
            await self._database.write(lambda connection: self._join(connection, self._boot))

    async def tell(self) -> None:
        """Tell those who start later how far the clock has moved off from the time told."""
        if self._boot is None or self._told is None:
            return
        at, now = self._clock.reading()
        told_at, told = self._told
        if abs(now - told - (at - told_at) * self._clock.speed) > TOLD_TO:
            await self._database.write(lambda connection: self._tell(connection, self._boot))

    def _join(self, connection: sqlite3.Connection, boot: str | None) -> None:
        row = connection.execute(
            "SELECT elapsed, instant FROM common_time WHERE boot = ? AND speed = ?",
            (boot, self._clock.speed),
        ).fetchone()
        if row is not None:
            told = row[0] * _MICROSECOND, instant(row[1])
            at = self._clock.reading()[0]
            if self._usable(at, *told):
                # As if it had counted all the while, but not as if it had had all that time to
                # follow a wall clock that was set a moment ago.
                passed = (at - told[0]) * self._clock.speed
                self._clock.go_on_from(at, told[1] + passed)
                self._told = told
                return
        self._tell(connection, boot)

    def _usable(self, at: timedelta, told_at: timedelta, told: datetime) -> bool:
        if at < told_at:
            return False
        ahead = (at - told_at) / _MICROSECOND * self._clock.speed  # may be more than a calendar
        return abs((told - self._clock.wall()) / _MICROSECOND + ahead) < YEAR / _MICROSECOND

    def _tell(self, connection: sqlite3.Connection, boot: str | None) -> None:
        at, now = self._told = self._clock.reading()
        connection.execute("DELETE FROM common_time")
        connection.execute(
            "INSERT INTO common_time (boot, speed, elapsed, instant) VALUES (?, ?, ?, ?)",
            (boot, self._clock.speed, at // _MICROSECOND, micros(now)),
        )
