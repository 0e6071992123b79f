"""A clock that goes on with the world and can be moved forward: the sandbox's.

    now = the machine's clock + how far this one is ahead of it

While it is moved it stands still, so that what is due at an instant happens at that very instant,
however long it takes. It never goes back, also not by a restart: how far it is ahead is stored.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from dispatcher.clocks.clock import Clock


class MovableClock:
    """Implements Clock on another one."""

    def __init__(self, base: Clock) -> None:
        self.base = base
        self.ahead = timedelta(0)
        self._held: datetime | None = None

    @property
    def speed(self) -> float:
        return self.base.speed

    def now(self) -> datetime:
        return self.base.now() + self.ahead if self._held is None else self._held

    def restore(self, ahead: timedelta, seen_at: datetime) -> None:
        """Go on as far ahead as before, and nowhere before `seen_at`."""
        self.ahead = ahead
        self.ahead += max(seen_at - self.now(), timedelta(0))

    def hold(self) -> None:
        """Stand still until `go_on`."""
        self._held = self.now()

    def move_to(self, instant: datetime) -> None:
        """Go to `instant`, standing still; one that has passed changes nothing."""
        self._held = max(self.now(), instant)
        self.ahead = self._held - self.base.now()

    def go_on(self) -> None:
        """Run again, from the instant at which it stands."""
        self.move_to(self.now())
        self._held = None
