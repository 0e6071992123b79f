"""How much an endpoint may be given now: window, pause, rate limit, breaker and patience together.

One gate an endpoint and process. It forgets nothing that matters when the process ends: a breaker
that is closed anew opens again after as many failures.

Patience is for an endpoint that fails at once, as one that refuses connections does. It would be
tried as fast as it fails, hundreds of times a second, at the expense of all others. So when a whole
window of attempts has failed in a row, it is taken for one whose attempts last PATIENCE: it is
given a window in that time, until one is acknowledged. The schedule goes on: what is due is tried
later, and no retry is lost. A compressed clock has no patience: its second is too short to wait
for, and the world's would be hours of the schedule that it is there to show.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.flow.breaker import Breaker
from dispatcher.flow.rate_limit import SharedRateLimit, next_opening
from dispatcher.flow.window import InFlight, Room, room

CLOSED = Room(retries=0, all=0)

PATIENCE = timedelta(seconds=1)


class Flow(Struct, frozen=True):
    """How much an endpoint is given at an instant.

    `probe_at` is when its open breaker lets the next probe through. Of a rate limit `left` pushes
    may go now. `slowed`: it has failed at once for a whole window, and is given a window a second.
    """

    under_way: int
    window: int
    breaker_failures: int
    breaker_open: bool
    probe_at: datetime | None
    rate_limit: float | None
    rate_left: int | None
    slowed: bool


class Flows(Struct, frozen=True):
    """How much each endpoint is given, and until when those that are set aside get nothing new."""

    of: Mapping[str, Flow] = {}
    set_aside: Mapping[str, datetime] = {}


class Gate:
    """Counts the pushes of one endpoint and says how many more may go."""

    def __init__(self, endpoint: Endpoint, now: datetime, speed: float) -> None:
        self._speed = speed
        self._in_flight = InFlight()
        self._was_silent = False  # before its last failure, and nothing was acknowledged since
        # Since when no attempt has ended; counts while one is under way.
        self._silent_since = self._looked_at = now
        self.use(endpoint, now)

    def use(self, endpoint: Endpoint, now: datetime) -> None:
        """Go by these settings from now on; what is under way stays counted."""
        self.endpoint = endpoint
        self._breaker = Breaker(endpoint.breaker_failures, endpoint.breaker_probe * self._speed)
        limit = endpoint.rate_limit
        # The customer lives in the world's time, however fast our clock runs.
        self._limit = None if limit is None else SharedRateLimit.fresh(limit / self._speed, now)
        self._patience: SharedRateLimit | None = None
        self._failures = 0  # in a row

    def clock_stepped(self, by: timedelta) -> None:
        """The clock has gone so far in one step: what it was asked for waits as long as before."""
        self._breaker = self._breaker.moved(by)
        self._limit = self._limit and self._limit.moved(by)
        self._patience = self._patience and self._patience.moved(by)
        self._silent_since += by
        self._looked_at += by

    @property
    def under_way(self) -> int:
        return self._in_flight.all

    def in_doubt(self, now: datetime) -> bool:
        """Whether it may be one that never answers: none of the attempts under way has ended for as
        long as PATIENCE, or that was so until one failed. Who fails at once holds nothing up."""
        return self._was_silent or self._is_silent(now)

    def _is_silent(self, now: datetime) -> bool:
        silence = now - self._silent_since
        return self._in_flight.all > 0 and silence > PATIENCE * self._speed

    def room(self, now: datetime) -> Room:
        """Places for more pushes at this instant."""
        self._looked_at = now
        if self.endpoint.paused:
            return CLOSED
        places = room(self.endpoint.window, self._in_flight)
        if self._breaker.is_open:
            probe = self._breaker.may_probe(now) and self._in_flight.all == 0
            places = Room(retries=1, all=1) if probe else CLOSED
        self._limit = self._limit and self._limit.at_instant(now)
        self._patience = self._patience and self._patience.at_instant(now)
        for limit in self._limits():
            places = limit.within(places)
        return places

    def flow(self, now: datetime) -> Flow:
        """How it stands. Changes nothing."""
        limit = self._limit and self._limit.at_instant(now)
        return Flow(
            under_way=self._in_flight.all,
            window=self.endpoint.window,
            breaker_failures=self._breaker.failures,
            breaker_open=self._breaker.is_open,
            probe_at=self._breaker.probe_at,
            rate_limit=self.endpoint.rate_limit,
            rate_left=None if limit is None else limit.all.free,
            slowed=self._patience is not None,
        )

    def for_retries_alone(self, places: Room) -> Room:
        """These places, out of `room`, when no fresh report waits: what the rate limit keeps for
        those is for retries then. Its quarter would stay unused for as long as an outage lasts."""
        if self._limit is None or self._breaker.is_open:
            return places
        free = min(places.all, room(self.endpoint.window, self._in_flight).retries)
        if self._patience is not None:
            free = min(free, self._patience.retries.free)
        return Room(retries=max(places.retries, free), all=places.all)

    def _limits(self) -> list[SharedRateLimit]:
        return [limit for limit in (self._limit, self._patience) if limit is not None]

    def opens_at(self, now: datetime) -> datetime | None:
        """The next instant after `now` at which there is room that there is not now, though no
        attempt ends before; None when there is none, or it is not known.

        Never one that has passed: what waits for it would be looked for as often as it can be.
        """
        if self.endpoint.paused or (self._breaker.is_open and self._in_flight.all):
            return None
        return next_opening(now, self._limits(), self._breaker.probe_at)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._in_flight.all

    def begin(self, attempts_made: int) -> None:
        """One more is under way, since the last look for room."""
        if not self._in_flight.all:
            self._silent_since = self._looked_at
        self._in_flight.count(attempts_made, +1)
        self._limit = self._limit and self._limit.taken(attempts_made)
        self._patience = self._patience and self._patience.taken(attempts_made)

    def end(self, attempts_made: int) -> None:
        """One less is under way."""
        self._in_flight.count(attempts_made, -1)

    def judge(self, acknowledged: bool, now: datetime) -> None:
        """An attempt told how the endpoint is."""
        self._was_silent = not acknowledged and self.in_doubt(now)
        self._silent_since = now
        self._breaker = self._breaker.after(acknowledged, now)
        self._failures = 0 if acknowledged else self._failures + 1
        if acknowledged:
            self._patience = None
        elif self._failures == self.endpoint.window and self._speed == 1:
            a_second = self.endpoint.window / PATIENCE.total_seconds()
            self._patience = SharedRateLimit.fresh(a_second, now)
