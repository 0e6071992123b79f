"""How many pushes a second an endpoint is given, evenly. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from dispatcher.flow.window import Room

BURST = timedelta(milliseconds=100)
"""What has not been used is kept for so long and no longer: after a pause there is no wave."""

_MICROSECOND = timedelta(microseconds=1)

PUSH = 10**18
"""A push, in parts. Counted in whole parts, so that it makes no difference how often somebody has
looked meanwhile: rounded sums would."""


def _gain(per_second: float) -> int:
    return max(1, round(per_second * PUSH / 1e6))


class RateLimit(Struct, frozen=True):
    """A token bucket: `left` parts of pushes may go at `at`, and `gain` more each microsecond."""

    gain: int
    left: int
    at: datetime

    @classmethod
    def fresh(cls, per_second: float, now: datetime) -> RateLimit:
        """One push may go at once."""
        return cls(_gain(per_second), PUSH, now)

    @property
    def _most(self) -> int:
        return max(PUSH, self.gain * (BURST // _MICROSECOND))

    def at_instant(self, now: datetime) -> RateLimit:
        """As it stands at `now`. A clock that goes back gives nothing."""
        passed = max(0, (now - self.at) // _MICROSECOND)
        return RateLimit(self.gain, min(self._most, self.left + passed * self.gain), now)

    def changed_to(self, per_second: float, now: datetime) -> RateLimit:
        """As it goes on from `now` with another number a second. What is left stays."""
        left = self.at_instant(now).left
        return RateLimit(_gain(per_second), left, now).at_instant(now)

    def moved(self, by: timedelta) -> RateLimit:
        """The same after the clock has gone so far in one step."""
        return RateLimit(self.gain, self.left, self.at + by)

    def taken(self, count: int) -> RateLimit:
        """After `count` more have gone."""
        return RateLimit(self.gain, self.left - count * PUSH, self.at)

    @property
    def free(self) -> int:
        """How many may go now."""
        return max(0, self.left // PUSH)

    def next_at(self) -> datetime:
        """When the next may go: the first microsecond at which one is free."""
        missing = max(0, PUSH - self.left)
        return self.at + -(-missing // self.gain) * _MICROSECOND


class SharedRateLimit(Struct, frozen=True):
    """A limit of which retries take three quarters at most while fresh reports wait, as they do of
    the window: so a backlog of retries never delays fresh reports. While none waits retries have
    all of it, and what they take beyond their share is not owed later."""

    all: RateLimit
    retries: RateLimit

    @classmethod
    def fresh(cls, per_second: float, now: datetime) -> SharedRateLimit:
        return cls(RateLimit.fresh(per_second, now), RateLimit.fresh(per_second * 3 / 4, now))

    @classmethod
    def used_up(cls, per_second: float, now: datetime) -> SharedRateLimit:
        """No push may go at once: somebody else may just have made one."""
        fresh = cls.fresh(per_second, now)
        return cls(fresh.all.taken(1), fresh.retries.taken(1))

    def changed_to(self, per_second: float, now: datetime) -> SharedRateLimit:
        """As it goes on from `now` with another number a second."""
        retries = self.retries.changed_to(per_second * 3 / 4, now)
        return SharedRateLimit(self.all.changed_to(per_second, now), retries)

    def at_instant(self, now: datetime) -> SharedRateLimit:
        return SharedRateLimit(self.all.at_instant(now), self.retries.at_instant(now))

    def moved(self, by: timedelta) -> SharedRateLimit:
        return SharedRateLimit(self.all.moved(by), self.retries.moved(by))

    def taken(self, attempts_made: int) -> SharedRateLimit:
        """After one more has gone, of a dispatch of which so many attempts were made."""
        retries = self.retries.taken(1) if attempts_made else self.retries
        if retries.left < 0:
            retries = RateLimit(retries.gain, 0, retries.at)
        return SharedRateLimit(self.all.taken(1), retries)

    def within(self, places: Room) -> Room:
        """What of these places may be taken now."""
        free = min(places.all, self.all.free)
        return Room(retries=min(places.retries, self.retries.free, free), all=free)


def next_opening(
    now: datetime,
    limit: SharedRateLimit | None,
    patience: SharedRateLimit | None,
    probe_at: datetime | None,
) -> datetime | None:
    """The next instant after `now` at which there may be a place that there is not now, by the rate
    limit, the limit of patience and a breaker that lets a probe through at `probe_at` (None: it is
    closed). Whether fresh reports wait is not known here. If none does, the rate limit keeps no
    share for them, and there may be a place for retries earlier."""
    limits = [each for each in (limit, patience) if each is not None]
    for_fresh = max([now, probe_at or now, *(each.all.next_at() for each in limits)])
    alone = for_fresh if patience is None else max(for_fresh, patience.retries.next_at())
    for_retries = max([alone, *(each.retries.next_at() for each in limits)])
    return min((at for at in (for_fresh, alone, for_retries) if at > now), default=None)
