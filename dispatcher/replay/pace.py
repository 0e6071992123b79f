"""How many reports of a replay may go now. Pure: the instant comes in, a count goes out.

A pace counts from an anchor, which is kept with the replay. What it means is the pace's own:

    no pace    nothing; all may go, as far as the endpoints take them
    Rate       the instant up to which the rate is used up
    Original   the instant at which the first report was due

While nobody feeds (the process is down, the endpoints are full) nothing is saved up: of lost time
at most CATCH_UP is made good, so that a rate is a rate after a restart too. When the clock was set
back the next report goes at once, and the pace counts from there.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

CATCH_UP = timedelta(seconds=1)
"""The lost time that is made good at once. Longer than the feeder sleeps."""

_MICROSECOND = timedelta(microseconds=1)
_LONGEST = timedelta(days=36_500) / _MICROSECOND
"""No gap is longer, however slow the pace: instants have an end."""

_PERIODS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}
_RATE = re.compile(r"([0-9]{1,9})/(s|m|h)", re.ASCII)


class Rate(Struct, frozen=True):
    """`count` reports in each `unit` (s, m or h), evenly."""

    count: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count}/{self.unit}"

    @property
    def per_second(self) -> float:
        return self.count / _PERIODS[self.unit].total_seconds()

    @property
    def period(self) -> timedelta:
        return _PERIODS[self.unit]


class Original(Struct, frozen=True):
    """The gaps between the times of receipt, divided by `speed`."""

    speed: float = 1.0


Pace = Rate | Original | None


def rate(text: str) -> Rate:
    """`50/s`, `100/m` or `1000/h`. Raises ValueError with a text for the user."""
    found = _RATE.fullmatch(text)
    if found is None or not int(found[1]):
        raise ValueError(f'expected a rate such as 50/s, 100/m or 1000/h, got "{text}"')
    return Rate(int(found[1]), found[2])


class Fed(Struct, frozen=True):
    """How far a replay has come, as its pace needs to know it. `None`: nothing was fed yet."""

    anchor_at: datetime | None = None
    last_at: datetime | None = None


class Allowance(Struct, frozen=True):
    """How many reports may go now, the anchor when they have gone, and when the next one may if
    none may now (None: one may, or there is none)."""

    count: int
    anchor_at: datetime
    next_at: datetime | None = None


def allowance(pace: Pace, fed: Fed, offsets: Sequence[int], now: datetime) -> Allowance:
    """How many of the next reports, whose offsets these are (ascending, in microseconds)."""
    match pace:
        case Rate():
            return _at_a_rate(pace, fed, len(offsets), now)
        case Original():
            return _as_they_came(pace, fed, offsets, now)
        case _:
            return Allowance(len(offsets), now)


def _at_a_rate(pace: Rate, fed: Fed, most: int, now: datetime) -> Allowance:
    if fed.anchor_at is None or fed.anchor_at > now:
        return Allowance(min(most, 1), now)  # the first one goes at once
    interval = -(-pace.period // pace.count)
    start = max(fed.anchor_at, now - CATCH_UP - interval)
    count = min(most, (now - start) // _MICROSECOND * pace.count // (pace.period // _MICROSECOND))
    # Rounded up: never faster than the rate, and slower by a microsecond a look at most.
    used = -(-(count * (pace.period // _MICROSECOND)) // pace.count)
    anchor = start + used * _MICROSECOND
    return Allowance(count, anchor, None if count or not most else anchor + interval)


def _as_they_came(pace: Original, fed: Fed, offsets: Sequence[int], now: datetime) -> Allowance:
    if not offsets:
        return Allowance(0, fed.anchor_at or now)
    anchor = fed.anchor_at
    set_back = fed.last_at is not None and fed.last_at > now
    if anchor is None or set_back or now - anchor > _after(offsets[0], pace) + CATCH_UP:
        anchor = now - _after(offsets[0], pace)  # the next one goes at once
    reached = (now - anchor) / _MICROSECOND * pace.speed
    count = bisect_right(offsets, reached)
    return Allowance(count, anchor, None if count else anchor + _after(offsets[0], pace))


def _after(offset: int, pace: Original) -> timedelta:
    return min(offset / pace.speed, _LONGEST) * _MICROSECOND
