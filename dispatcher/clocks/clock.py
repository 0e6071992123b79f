"""Where time comes from. Below the edges nothing reads the wall clock.

One worker serves production (SystemClock), rehearsal (CompressedClock) and simulation
(VirtualClock); all it asks of a clock is `now()`. README.md, "Time", says what happens when
somebody sets the machine's clock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

log = logging.getLogger("dlr.clock")

SLEW = 0.1
"""How much of the passing time the system's clock may use to follow a wall clock that was set: an
hour is made good in ten, and meanwhile no wait is more than a tenth too long or too short."""

_ONE_IN = round(1 / SLEW)  # a timedelta takes long to multiply with a float

UNSET = timedelta(days=1)
"""A wall clock that is off by more is not corrected: it had not been set at all (a board without a
battery starts in 1970), or it is wrong now. It is believed when it has stayed so for BELIEVED, and
then followed in one step."""

BELIEVED = timedelta(minutes=1)
"""Some correct themselves within seconds, as a clock that its first answer by NTP led astray."""

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


class Clock(Protocol):
    """Tells the instant, and how its own pace relates to that of the world."""

    @property
    def speed(self) -> float:
        """How many seconds pass here while one passes in the world. Network timeouts are the
        world's; schedules are the clock's."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""


def wall_time() -> datetime:
    """What the machine's clock shows, and others go by: for signatures and what is received."""
    return datetime.now(UTC)


def elapsed() -> timedelta:
    """Since the machine started, its sleep included. Nobody can set it."""
    if _SINCE_BOOT is None:  # Windows, whose monotonic clock goes on in sleep
        return timedelta(microseconds=time.monotonic_ns() // 1000)
    return timedelta(microseconds=time.clock_gettime_ns(_SINCE_BOOT) // 1000)


class MachineClock:
    """Counts the time that passes on this machine, from an instant that it is given."""

    def __init__(
        self,
        speed: float,
        *,
        wall: Callable[[], datetime] = wall_time,
        elapsed: Callable[[], timedelta] = elapsed,
    ) -> None:
        self.speed = speed
        self.wall = wall
        self._elapsed = elapsed
        self._instant = wall()
        self._at = elapsed()

    def now(self) -> datetime:
        return self.reading()[1]

    def reading(self) -> tuple[timedelta, datetime]:
        """How long the machine has been running, and the instant."""
        at = self._elapsed()
        passed = at - self._at
        if self.speed != 1:
            passed *= self.speed
        return at, self._instant + passed

    def go_on_from(self, at: timedelta, instant: datetime) -> None:
        """Count from this instant, which was when the machine had been running for `at`."""
        self._at, self._instant = at, instant


class SystemClock(MachineClock):
    """The time of the world, without its jumps: when the wall clock is set, this one follows
    slowly (SLEW). It never goes back, except by a step after UNSET.

    `steps_by_itself` False leaves the step to whoever has planned by this clock, and must move its
    plans along: `due_step` says when and by how much, `step` does it.
    """

    believed = BELIEVED

    def __init__(
        self,
        *,
        wall: Callable[[], datetime] = wall_time,
        elapsed: Callable[[], timedelta] = elapsed,
    ) -> None:
        super().__init__(1.0, wall=wall, elapsed=elapsed)
        self.steps_by_itself = True
        self._off_by = timedelta()
        self._off_since: timedelta | None = None

    def reading(self) -> tuple[timedelta, datetime]:
        at = self._elapsed()
        passed = at - self._at
        instant = self._instant + passed
        lag = self.wall() - instant
        if not -UNSET <= lag <= UNSET:
            if self._off_since is None or abs(lag - self._off_by) > self.believed:
                self._off_since, self._off_by = at, lag
                log.warning("the machine's clock is off by %s; dlr follows it after a minute", lag)
            if self.steps_by_itself and self._is_believed(at):
                instant += lag
        else:
            self._off_since = None
            if lag:
                instant += _correction(lag, passed)
        self._at, self._instant = at, instant
        return at, instant

    def due_step(self) -> timedelta | None:
        """By how much to step now; None while the wall clock is not off, or not believed yet."""
        at, instant = self.reading()
        return self.wall() - instant if self._is_believed(at) else None

    def step(self, by: timedelta) -> None:
        """Go on from the instant that is so much later, or earlier."""
        self._instant += by
        self._off_since = None

    def believed_wall(self) -> datetime:
        """What others go by: the wall clock, as long as it is not off by more than UNSET."""
        # Asked for each callback, so without a reading, which takes three times as long.
        wall, instant = self.wall(), self._instant + (self._elapsed() - self._at)
        return wall if abs(wall - instant) <= UNSET else self.now()

    def _is_believed(self, at: timedelta) -> bool:
        return self._off_since is not None and at - self._off_since >= self.believed


def _correction(lag: timedelta, passed: timedelta) -> timedelta:
    most = passed // _ONE_IN
    if lag > most:
        return most
    return lag if lag >= -most else -most


class CompressedClock(MachineClock):
    """Runs `speed` times as fast as the world, and never looks at the wall clock again."""


def machine_clock(speed: float) -> MachineClock:
    """The time of the world, or a compressed one."""
    return SystemClock() if speed == 1.0 else CompressedClock(speed)


class VirtualClock:
    """Stands still until it is moved. Never goes back."""

    speed = 1.0

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        self.advance_to(self._now + by)

    def advance_to(self, instant: datetime) -> None:
        """Move to `instant`; one that has passed already leaves the clock where it is."""
        self._now = max(self._now, instant)
