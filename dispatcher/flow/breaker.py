"""The breaker of an endpoint: after failures in a row it lets one probe through at a time. Pure.

             `failures` in a row                     probe fails
   closed ───────────────────────▶ open, waiting ◀──────────────── open, probing
     ▲                                  └──── every `probe_every` ────▶ │
     └──────────────────────────── acknowledged ───────────────────────┘

What waits meanwhile spends no retries. The schedule knows nothing of it: a dispatch that is overdue
is due.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct, structs


class Breaker(Struct, frozen=True):
    """`threshold` 0 never opens. `probe_at` is set while it is open: when the next probe may go."""

    threshold: int
    probe_every: timedelta
    failures: int = 0
    probe_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.probe_at is not None

    def may_probe(self, now: datetime) -> bool:
        """Whether a probe may be sent although the breaker is open."""
        return self.probe_at is not None and now >= self.probe_at

    def moved(self, by: timedelta) -> Breaker:
        """The same breaker after the clock was moved by this much in one step."""
        return structs.replace(self, probe_at=self.probe_at and self.probe_at + by)

    def after(self, acknowledged: bool, now: datetime) -> Breaker:
        """After an attempt that ended at `now`."""
        if not self.threshold:
            return self
        if acknowledged:
            return Breaker(self.threshold, self.probe_every)
        failed = structs.replace(self, failures=self.failures + 1, probe_at=None)
        stays_open = self.is_open or failed.failures >= self.threshold
        return failed.opened(now) if stays_open else failed

    def opened(self, now: datetime) -> Breaker:
        """After it was opened at `now`, whatever was counted."""
        return structs.replace(self, probe_at=now + self.probe_every)
