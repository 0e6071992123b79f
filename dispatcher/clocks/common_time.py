"""One time for all processes on a database, and for the next one after a restart.

A lease is given by the clock of one process and judged by that of another. Each counts the time
that passes on the machine (clock.py), and here they agree on what to count from. Otherwise one that
starts after the wall clock was set would be an hour apart from one that started before, and on a
compressed clock any two would be.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path

from dispatcher.clocks.base import Reading, SharedTime
from dispatcher.clocks.clock import UNSET, MachineClock

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


def apart(told: Reading, reading: Reading, speed: float) -> timedelta:
    """How much later a reading is than one that was told, after the time that passed between."""
    return reading.instant - told.instant - (reading.elapsed - told.elapsed) * speed


class CommonTime:
    """Has a clock agree with those of the other processes on a database."""

    def __init__(self, shared: SharedTime, clock: MachineClock, boot: str | None) -> None:
        self._shared = shared
        self._clock = clock
        self._boot = boot
        self._told: Reading | None = None

    async def join(self) -> None:
        """Go on with the time that the others have, or had; tell one's own where nobody has."""
        if self._boot is not None:
            self._told = await self._shared.agree(self._boot, self._clock.speed, self._joined)

    async def step(self, by: timedelta, *, again: bool = False) -> None:
        """The clock has just gone so far in one step: have what was planned go along. `again`: what
        was still planned by the old time after that. Raises StoreUnavailable; then nothing has."""
        reading = self._reading()
        self._told = await self._shared.step(self._boot, reading, by, again=again)

    async def tell(self) -> None:
        """Tell those who start later how far the clock has moved off from the time told."""
        if self._boot is None or self._told is None:
            return
        if abs(apart(self._told, self._reading(), self._clock.speed)) > TOLD_TO:
            self._told = await self._shared.agree(self._boot, self._clock.speed, self._retold)

    def _retold(self, told: Reading | None) -> Reading:
        """Not over a step that another process has made, and this one will make next."""
        reading = self._reading()
        stepped = told is not None and abs(apart(told, reading, self._clock.speed)) > UNSET
        return told if told is not None and stepped else reading

    def _joined(self, told: Reading | None) -> Reading:
        if told is None:
            return self._reading()
        at = self._clock.reading()[0]
        if not self._usable(at, told):
            return self._reading()
        # As if it had counted all the while, but not as if it had had all that time to follow a
        # wall clock that was set a moment ago.
        passed = (at - told.elapsed) * self._clock.speed
        self._clock.go_on_from(at, told.instant + passed)
        return told

    def _usable(self, at: timedelta, told: Reading) -> bool:
        if at < told.elapsed:
            return False
        # It may be more than a calendar.
        ahead = (at - told.elapsed) / _MICROSECOND * self._clock.speed
        off = (told.instant - self._clock.wall()) / _MICROSECOND
        return abs(off + ahead) < YEAR / _MICROSECOND

    def _reading(self, _: Reading | None = None) -> Reading:
        return Reading(*self._clock.reading())
