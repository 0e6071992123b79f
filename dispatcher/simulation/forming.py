"""Which of the reports that nobody has read yet go into pushes now."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from dispatcher.forming.former import READ_AHEAD, XML_AHEAD
from dispatcher.simulation.cohorts import Cohort, arriving
from dispatcher.simulation.state import RunState


def formed(state: RunState, now: int, most: int) -> Iterator[Cohort]:
    """Buckets of what has arrived, each by itself, as bucket.fill makes them in one look."""
    bucket = state.customer.bucket_size
    if state.customer.may_be_xml:
        most = min(most, max(1, XML_AHEAD // bucket))
    first = state.read_to
    state.read_to += min(most * bucket, READ_AHEAD, state.unread(now + 1))
    wanted = state.stream.wanted
    while (reports := min(bucket, wanted(state.read_to) - wanted(first))) > 0:
        upto = wanted(first) + reports
        last = bisect_left(range(state.read_to), upto, first + reports, key=wanted)
        yield Cohort(0, first, last, 1, reports, due=now)
        first = last


def in_step(state: RunState, now: int, step: int, most: int) -> Iterator[Cohort]:
    """What had arrived before the step goes in full buckets; what arrives in it goes as it
    comes, in as many pushes as there is room for."""
    stream, bucket = state.stream, state.customer.bucket_size
    old = state.unread(now)
    if old > 0:
        pushes = min(most, -(-old // bucket))
        yield from _pushed(state, min(old, pushes * bucket), pushes, now, step)
        most -= pushes
    fresh = arriving(stream, state.read_to, stream.before(now + step))
    if most <= 0 or state.unread(now) > 0:
        return
    if fresh is None or fresh.dispatches <= most:
        state.read_to = stream.before(now + step)
        if fresh is not None:
            yield fresh
    else:
        yield from _pushed(state, min(fresh.last - fresh.first, most * bucket), most, now, step)


def _pushed(state: RunState, reports: int, pushes: int, now: int, step: int) -> Iterator[Cohort]:
    """So many reports that come next, in so many pushes."""
    first = state.read_to
    state.read_to = last = first + reports
    wanted = state.stream.wanted(last) - state.stream.wanted(first)
    if wanted:
        yield Cohort(0, first, last, min(pushes, wanted), wanted, due=now, within=step)
