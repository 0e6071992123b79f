"""How much an endpoint may be given now: its window, pause, rate limit and breaker together.

One gate an endpoint and process. It forgets nothing that matters when the process ends: a breaker
that is closed anew opens again after as many failures.
"""

from __future__ import annotations

from datetime import datetime

from dispatcher.breaker import Breaker
from dispatcher.endpoint import Endpoint
from dispatcher.pace import Pace
from dispatcher.window import InFlight, Room, room

CLOSED = Room(retries=0, all=0)


class Gate:
    """Counts the pushes of one endpoint and says how many more may go."""

    def __init__(self, endpoint: Endpoint, now: datetime, speed: float) -> None:
        self._speed = speed
        self._in_flight = InFlight()
        self.use(endpoint, now)

    def use(self, endpoint: Endpoint, now: datetime) -> None:
        """Go by these settings from now on; what is under way stays counted."""
        self.endpoint = endpoint
        self._breaker = Breaker(endpoint.breaker_failures, endpoint.breaker_probe * self._speed)
        limit = endpoint.rate_limit
        # The customer lives in the world's time, however fast our clock runs.
        self._pace = None if limit is None else Pace.fresh(limit / self._speed, now)

    def room(self, now: datetime) -> Room:
        """Places for more pushes at this instant."""
        if self.endpoint.paused:
            return CLOSED
        places = room(self.endpoint.window, self._in_flight)
        if self._breaker.is_open:
            probe = self._breaker.may_probe(now) and self._in_flight.all == 0
            places = Room(retries=1, all=1) if probe else CLOSED
        if self._pace is None:
            return places
        self._pace = self._pace.at_instant(now)
        free = self._pace.free
        return Room(retries=min(places.retries, free), all=min(places.all, free))

    @property
    def breaker_open(self) -> bool:
        return self._breaker.is_open

    def opens_at(self) -> datetime | None:
        """When there is room again though no attempt ends before; None when that is not known."""
        if self.endpoint.paused:
            return None
        if self._breaker.is_open:
            return self._breaker.probe_at if self._in_flight.all == 0 else None
        if self._pace is not None and not self._pace.free:
            return self._pace.next_at()
        return None

    def begin(self, attempts_made: int) -> None:
        """One more is under way."""
        self._in_flight.count(attempts_made, +1)
        if self._pace is not None:
            self._pace = self._pace.taken(1)

    def end(self, attempts_made: int) -> None:
        """One less is under way."""
        self._in_flight.count(attempts_made, -1)

    def judge(self, acknowledged: bool, now: datetime) -> None:
        """An attempt told how the endpoint is."""
        self._breaker = self._breaker.after(acknowledged, now)
