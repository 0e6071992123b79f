"""Where time comes from. Below the edges nothing reads the wall clock.

One worker serves production (SystemClock), rehearsal (CompressedClock) and simulation
(VirtualClock); all it asks of a clock is `now()`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the instant, and how its own pace relates to that of the world."""

    @property
    def speed(self) -> float:
        """How many seconds pass here while one passes in the world. Network timeouts are the
        world's; schedules are the clock's."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    speed = 1.0

    def now(self) -> datetime:
        return datetime.now(UTC)


class CompressedClock:
    """Runs `speed` times as fast as the world, from the instant it was made."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._start = datetime.now(UTC)
        self._started = time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._started) * self.speed)


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
