"""How much an endpoint may be given now: window, pause, rate limit, breaker and patience together.

One gate an endpoint and process. It forgets nothing that matters when the process ends: a breaker
that is closed anew opens again after as many failures.

Where several dispatchers work for the endpoint, the gate has a share of its limits (share.py), and
hears what the others know of the breaker. One of them decides about it and makes the probes; the
others follow. Failures in a row are those of all together, as far as they have told each other.

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
from dispatcher.flow.share import Share
from dispatcher.flow.window import InFlight, Room, room

CLOSED = Room(retries=0, all=0)

PATIENCE = timedelta(seconds=1)


class Flow(Struct, frozen=True):
    """How much an endpoint is given at an instant.

    `probe_at` is when its open breaker lets the next probe through. Of a rate limit `left` pushes
    may go now. `window_share` and `rate_share` are what this dispatcher uses of the limits.
    `slowed`: it has failed at once for a whole window, and is given a window a second.
    """

    under_way: int
    window: int
    breaker_failures: int
    breaker_open: bool
    probe_at: datetime | None
    rate_limit: float | None
    rate_left: int | None
    slowed: bool
    window_share: int
    rate_share: float | None


class Heard(Struct, frozen=True):
    """What the others say of an endpoint's breaker. `decides`: who decides about it, None: this
    one. `opened`: the one that decides has it open, or if that is this one, any other.
    `acknowledged`: a push of another one was acknowledged since this one has told of failures."""

    decides: str | None
    opened: bool = False
    failures: int = 0
    acknowledged: bool = False


class Flows(Struct, frozen=True):
    """How much each endpoint is given, and until when those that are set aside get nothing new.
    `dispatchers`: how many work on the database."""

    of: Mapping[str, Flow] = {}
    set_aside: Mapping[str, datetime] = {}
    dispatchers: int = 1


class Gate:
    """Counts the pushes of one endpoint and says how many more may go."""

    def __init__(
        self, endpoint: Endpoint, now: datetime, speed: float, share: Share | None = None
    ) -> None:
        """`share` None: all is its own."""
        self._speed = speed
        self._share = share
        self.acknowledged = False
        """Whether a push was acknowledged since somebody has said that this is not so."""
        self._in_flight = InFlight()
        self._was_silent = False  # before its last failure, and nothing was acknowledged since
        # Since when no attempt has ended; counts while one is under way.
        self._silent_since = self._looked_at = now
        self.use(endpoint, now)

    def use(self, endpoint: Endpoint, now: datetime) -> None:
        """Go by these settings from now on; what is under way stays counted."""
        self.endpoint = endpoint
        self._breaker = Breaker(endpoint.breaker_failures, endpoint.breaker_probe * self._speed)
        rate = self._rate
        self._limit = None if rate is None else SharedRateLimit.fresh(rate, now)
        self._patience: SharedRateLimit | None = None
        self._failures = 0  # in a row
        self._follows: str | None = None  # who has its breaker open, and will close it

    @property
    def window(self) -> int:
        """How many pushes may be under way here."""
        most = self.endpoint.window
        return most if self._share is None else min(self._share.window, most)

    @property
    def others(self) -> int:
        """How many other dispatchers have a share of its limits."""
        return 0 if self._share is None else self._share.others

    @property
    def _rate_share(self) -> float | None:
        """Pushes a second, in the world's time."""
        limit = self.endpoint.rate_limit
        if self._share is None or limit is None:
            return limit
        if not self._share.window:
            return 0.0
        return limit if self._share.rate is None else min(limit, self._share.rate)

    @property
    def _rate(self) -> float | None:
        """Pushes a second of its clock; None: no limit but its window."""
        rate = self._rate_share or None
        # The customer lives in the world's time, however fast our clock runs.
        return None if rate is None else rate / self._speed

    def use_share(self, share: Share | None, now: datetime) -> None:
        """Keep to this share from now on."""
        if share == self._share:
            return
        had_none = not self.window
        self._share = share
        rate, limit = self._rate, self._limit
        if rate is None:
            self._limit = None
        elif had_none or limit is None:
            self._limit = SharedRateLimit.used_up(rate, now)
        else:
            self._limit = limit.changed_to(rate, now)
        if self._patience is not None:
            self._patience = self._patience.changed_to(self._patient_rate, now)

    @property
    def _patient_rate(self) -> float:
        return max(self.window, 1) / PATIENCE.total_seconds()

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
        places = room(self.window, self._in_flight)
        if self._breaker.is_open:
            may = self._probes and self._breaker.may_probe(now)
            probe = may and places.all > 0 and self._in_flight.all == 0
            places = Room(retries=1, all=1) if probe else CLOSED
        self._limit = self._limit and self._limit.at_instant(now)
        self._patience = self._patience and self._patience.at_instant(now)
        if self._limit is not None:
            places = self._limit.within(places)
        if self._patience is not None:
            places = self._patience.within(places)
        return places

    def flow(self, now: datetime) -> Flow:
        """How it stands. Changes nothing."""
        limit = self._limit and self._limit.at_instant(now)
        return Flow(
            under_way=self._in_flight.all,
            window=self.endpoint.window,
            breaker_failures=self._breaker.failures,
            breaker_open=self._breaker.is_open,
            probe_at=self._breaker.probe_at if self._probes else None,
            rate_limit=self.endpoint.rate_limit,
            rate_left=None if limit is None else limit.all.free,
            slowed=self._patience is not None,
            window_share=self.window,
            rate_share=self._rate_share,
        )

    def for_retries_alone(self, places: Room) -> Room:
        """These places, out of `room`, when no fresh report waits: what the rate limit keeps for
        those is for retries then. Its quarter would stay unused for as long as an outage lasts."""
        if self._limit is None or self._breaker.is_open:
            return places
        free = min(places.all, room(self.window, self._in_flight).retries)
        if self._patience is not None:
            free = min(free, self._patience.retries.free)
        return Room(retries=max(places.retries, free), all=places.all)

    def opens_at(self, now: datetime) -> datetime | None:
        """The next instant after `now` at which there is room that there is not now, though no
        attempt ends before; None when there is none, or it is not known.

        Never one that has passed: what waits for it would be looked for as often as it can be.
        """
        if self.endpoint.paused or not self.window:
            return None
        if self._breaker.is_open and (self._in_flight.all or not self._probes):
            return None
        return next_opening(now, self._limit, self._patience, self._breaker.probe_at)

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
        self.acknowledged = self.acknowledged or acknowledged
        if self._follows is None:
            self._breaker = self._breaker.after(acknowledged, now)
        self._failures = 0 if acknowledged else self._failures + 1
        if acknowledged:
            self._patience = None
        elif self._patience is None and self._failures >= self.window and self._speed == 1:
            self._patience = SharedRateLimit.fresh(self._patient_rate, now)

    # --- what dispatchers tell each other --------------------------------------------------------

    @property
    def _probes(self) -> bool:
        return self._share is None or self._share.probes

    @property
    def breaker_is_open(self) -> bool:
        return self._breaker.is_open

    @property
    def has_opened(self) -> bool:
        """Whether its breaker is open, and not because another one has it open."""
        return self._breaker.is_open and self._follows is None

    @property
    def failing(self) -> int:
        """Failures in a row that count for a breaker which is not open."""
        breaker = self._breaker
        return breaker.failures if breaker.threshold and not breaker.is_open else 0

    def hear(self, heard: Heard, now: datetime) -> None:
        """Have the breaker go along with those of the others."""
        breaker = self._breaker
        if not breaker.threshold:
            return
        closed = Breaker(breaker.threshold, breaker.probe_every)
        if self._follows != heard.decides:  # it has not told yet: what is open stays open
            self._follows = None
        if heard.decides is not None and heard.opened:
            self._follows = heard.decides
        if self._follows is not None:
            self._breaker = closed if not heard.opened else _open(breaker, now)
            self._follows = self._follows if heard.opened else None
        elif heard.acknowledged:
            self._breaker = closed
        elif heard.opened or (breaker.failures and self._all_failed(heard)):
            self._breaker = _open(breaker, now)

    def _all_failed(self, heard: Heard) -> bool:
        return self._breaker.failures + heard.failures >= self._breaker.threshold


def _open(breaker: Breaker, now: datetime) -> Breaker:
    return breaker if breaker.is_open else breaker.opened(now)
