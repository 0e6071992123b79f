"""The rate limit of an endpoint: so many requests a second, evenly. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

BURST = timedelta(milliseconds=100)
"""What has not been used is kept for so long and no longer: after a pause there is no wave."""


class Pace(Struct, frozen=True):
    """A token bucket: `left` pushes may go at `at`, and `per_second` more each second."""

    per_second: float
    left: float
    at: datetime

    @classmethod
    def fresh(cls, per_second: float, now: datetime) -> Pace:
        """One push may go at once."""
        return cls(per_second, 1.0, now)

    @property
    def _most(self) -> float:
        return max(1.0, self.per_second * BURST.total_seconds())

    def at_instant(self, now: datetime) -> Pace:
        """As it stands at `now`. A clock that goes back gives nothing."""
        passed = max(0.0, (now - self.at).total_seconds())
        return Pace(self.per_second, min(self._most, self.left + passed * self.per_second), now)

    def taken(self, count: int) -> Pace:
        """After `count` more have gone."""
        return Pace(self.per_second, self.left - count, self.at)

    @property
    def free(self) -> int:
        """How many may go now."""
        return max(0, int(self.left))

    def next_at(self) -> datetime:
        """When the next may go."""
        missing = max(0.0, 1.0 - self.left)
        # Rounded up: a microsecond too early would find nothing free and look again and again.
        return self.at + timedelta(seconds=missing / self.per_second, microseconds=1)
