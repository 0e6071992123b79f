"""Which of the reports that nobody has read yet go into pushes now."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from msgspec import Struct

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
    """Pushes in the order in which reports arrive, evenly as far as there is room for `most` in a
    step. What had arrived before goes in full buckets. What arrives while some of that still waits
    goes when its turn has come, and the rest as it comes."""
    stream, bucket = state.stream, state.customer.bucket_size
    old, pushes, after = state.unread(now), 0, 0
    if old > 0:
        pushes = min(most, -(-old // bucket))
        after = step * pushes // most
        yield from _pushed(state, min(old, pushes * bucket), pushes, now, max(1, after))
    fresh = arriving(stream, state.read_to, stream.before(now + step))
    if most <= pushes or state.unread(now) > 0:
        return
    if fresh is None:
        state.read_to = stream.before(now + step)
    elif fresh.dispatches > most - pushes:
        most -= pushes
        reports = min(fresh.last - fresh.first, most * bucket)
        yield from _pushed(state, reports, most, now + after, step - after)
    else:
        yield from _as_it_comes(state, now, step, Pace(step / most, pushes))


class Pace(Struct, frozen=True):
    """A push begins each `every` microseconds, and so many have begun already."""

    every: float
    begun: int


def _as_it_comes(state: RunState, now: int, step: int, pace: Pace) -> Iterator[Cohort]:
    stream, first = state.stream, state.read_to
    if pace.begun:
        caught_up = _caught_up(state, now, step, pace)
        late = arriving(stream, first, stream.before(caught_up))
        if late is not None:
            begins = now + int(pace.begun * pace.every)
            within = max(1, caught_up - begins)
            yield from _pushed(state, late.last - late.first, late.dispatches, begins, within)
    fresh = arriving(stream, state.read_to, stream.before(now + step))
    state.read_to = stream.before(now + step)
    if fresh is not None:
        yield fresh


def _caught_up(state: RunState, now: int, step: int, pace: Pace) -> int:
    """From when on in the step what arrives begins at once, if pushes keep that pace before."""
    alone = state.stream.alone
    before = alone(state.read_to)

    def behind(at: int) -> bool:
        return pace.begun + alone(state.stream.before(at)) - before < (at - now) / pace.every

    return bisect_left(range(now, now + step), True, key=behind) + now


def _pushed(state: RunState, reports: int, pushes: int, now: int, step: int) -> Iterator[Cohort]:
    """So many reports that come next, in so many pushes."""
    first = state.read_to
    state.read_to = last = first + reports
    wanted = state.stream.wanted(last) - state.stream.wanted(first)
    if wanted:
        yield Cohort(0, first, last, min(pushes, wanted), wanted, due=now, within=step)
