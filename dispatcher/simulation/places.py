"""How much an endpoint may be given, for crowds: window, rate limit, breaker and patience together.

The rules are production's (window.py, rate_limit.py, breaker.py). What gate.py counts one by one is
counted here by numbers, and a push that is over within a step takes only a part of a place.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.flow.breaker import Breaker
from dispatcher.flow.gate import PATIENCE
from dispatcher.flow.rate_limit import PUSH, RateLimit, SharedRateLimit, next_opening
from dispatcher.flow.window import InFlight, room
from dispatcher.simulation.arrivals import MICROSECOND
from dispatcher.simulation.scenario import START

_NOTHING = 1e-9  # what floats leave behind when as much was given back as taken


class Free(Struct, frozen=True):
    """Places for retries, and places in all. However soon they are given back, no more than
    `pushes` may begin, and no more than `retry_pushes` of these be retries."""

    retries: float
    all: float
    retry_pushes: float = math.inf
    pushes: float = math.inf


CLOSED = Free(0.0, 0.0)


class Places:
    """Of one endpoint. Instants are microseconds since the start."""

    def __init__(self, endpoint: Endpoint) -> None:
        empty = room(endpoint.window, InFlight())
        self._all, self._for_retries = empty.all, empty.retries
        self._first = self._retries = 0.0
        self._breaker = Breaker(endpoint.breaker_failures, endpoint.breaker_probe)
        rate = endpoint.rate_limit
        self._limit = None if rate is None else SharedRateLimit.fresh(rate, START)
        self._patience: SharedRateLimit | None = None
        self._failures = 0  # in a row

    @property
    def taken(self) -> float:
        return self._first + self._retries

    @property
    def left(self) -> float:
        """Below 0 when more are taken than there are."""
        return self._all - self.taken

    @property
    def taken_by_retries(self) -> float:
        return self._retries

    @property
    def limited(self) -> bool:
        return self._limit is not None

    @property
    def breaks(self) -> bool:
        """Whether failures can open a breaker."""
        return self._breaker.threshold > 0

    @property
    def breaker_open(self) -> bool:
        return self._breaker.is_open

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def free(self, now: int, step: int, fresh: float = math.inf) -> Free:
        """At this instant, or for what begins within a step of so long, when so many first attempts
        wait or come in it."""
        free = max(0.0, self._all - self.taken)
        retries = max(0.0, min(free, self._for_retries - self._retries))
        places = Free(retries, free)
        if self._breaker.is_open:
            probe = self._breaker.may_probe(instant(now)) and self.taken < _NOTHING
            places = Free(1.0, 1.0, 1, 1) if probe else CLOSED
        self._limit = self._limit and self._limit.at_instant(instant(now))
        self._patience = self._patience and self._patience.at_instant(instant(now))
        for limit in self._limits():
            kept_for = fresh if limit is self._limit and not self._breaker.is_open else math.inf
            places = _within(limit, places, step, kept_for)
        return places

    def most_within(self, span: int) -> float:
        """No more than that can begin within so long, as far as rate limit and patience say."""
        limits = (limit.all for limit in self._limits())
        return min(
            (1 + (limit.left + limit.gain * span) / PUSH for limit in limits), default=math.inf
        )

    def opens_at(self, now: int) -> int | None:
        """When there are more places than now though no push ends before; None when that is not
        known."""
        if self._breaker.is_open and self.taken >= _NOTHING:
            return None
        probe_at = self._breaker.probe_at
        return _since(next_opening(instant(now), self._limit, self._patience, probe_at))

    def begin(self, pushes: int, retries: int, step: int) -> None:
        """So many, of which so many are retries, have begun at an instant or within a step."""
        self._limit = self._limit and _paid(self._limit, pushes, retries, step)
        self._patience = self._patience and _paid(self._patience, pushes, retries, step)

    def take(self, places: float, retry: bool) -> None:
        """So many places more (or, below 0, less) are taken."""
        if retry:
            self._retries = _without_rest(self._retries + places)
        else:
            self._first = _without_rest(self._first + places)

    def judge(self, acknowledged: bool, pushes: int, now: int) -> None:
        """So many told how the endpoint is."""
        for _ in range(1 if acknowledged else min(pushes, max(1, self._breaker.threshold))):
            self._breaker = self._breaker.after(acknowledged, instant(now))
        before, self._failures = self._failures, 0 if acknowledged else self._failures + pushes
        if acknowledged:
            self._patience = None
        elif before < self._all <= self._failures:
            self._patience = SharedRateLimit.fresh(
                self._all / PATIENCE.total_seconds(), instant(now)
            )

    def _limits(self) -> list[SharedRateLimit]:
        return [limit for limit in (self._limit, self._patience) if limit is not None]


def _without_rest(places: float) -> float:
    """What floats leave behind would be missing from a place that is whole."""
    return places if places > _NOTHING else 0.0


def instant(at: int) -> datetime:
    return START + timedelta(microseconds=at)


def _since(at: datetime | None) -> int | None:
    return None if at is None else (at - START) // MICROSECOND


def _within(limit: SharedRateLimit, places: Free, step: int, fresh: float) -> Free:
    allowed = _allowed(limit.all, step)
    pushes = min(places.pushes, allowed)
    for_retries = max(allowed - fresh, _allowed(limit.retries, step))
    retry_pushes = min(places.retry_pushes, for_retries, pushes)
    return Free(places.retries, places.all, retry_pushes, pushes)


def _allowed(limit: RateLimit, step: int) -> int:
    return max(0, (limit.left + limit.gain * step) // PUSH)


def _paid(limit: SharedRateLimit, pushes: int, retries: int, step: int) -> SharedRateLimit:
    """What a step brings is paid in before, and limits keep nothing beyond their burst."""
    later = limit.at_instant(limit.all.at + step * MICROSECOND)
    for_all = _spent(pushes, limit.all, later.all, step)
    for_retries = _spent(retries, limit.retries, later.retries, step)
    if for_retries.left < 0:  # what nobody else wanted is not owed
        for_retries = RateLimit(for_retries.gain, 0, for_retries.at)
    return SharedRateLimit(for_all, for_retries)


def _spent(count: int, before: RateLimit, after: RateLimit, step: int) -> RateLimit:
    left = before.left + before.gain * step - count * PUSH
    return RateLimit(before.gain, min(left, max(after.left, before.left)), after.at)
