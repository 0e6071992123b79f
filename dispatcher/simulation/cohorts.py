"""Cohorts: dispatches that have as many attempts behind them, and whose reports arrived one after
another.

A cohort is a stretch of report numbers with counts. One that *flows* was never held up: each of its
pushes is due so long (`shift`) after its reports arrived, whenever that was. Of one that does not
flow the pushes are due evenly spread from `due` on, over `within`. Instants are microseconds since
the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from msgspec import Struct, structs

from dispatcher.simulation.stream import Stream


class Cohort(Struct, frozen=True):
    """Reports `first` up to and without `last`: `reports` of them, in so many `dispatches`.

    `whole`: all of these reports, each callback in pushes of its own. Else those that belong to it
    are taken to lie evenly among the numbers.
    """

    made: int
    first: int
    last: int
    dispatches: int
    reports: int
    due: int = 0  # while it does not flow
    within: int = 0
    shift: int | None = None
    whole: bool = False

    def due_of(self, stream: Stream, number: int) -> int:
        if self.shift is not None:
            return stream.at(number) + self.shift
        return self.due + self.within * (number - self.first) // (self.last - self.first)

    def due_first(self, stream: Stream) -> int:
        return self.due_of(stream, self.first)

    def due_last(self, stream: Stream) -> int:
        return self.due_of(stream, self.last - 1)


def arriving(stream: Stream, first: int, last: int) -> Cohort | None:
    """What is due for its first attempt when it arrives; None if nothing of it is wanted."""
    return _counted(stream, Cohort(0, first, last, 0, 0, shift=0, whole=True), first, last)


def cut(cohort: Cohort, stream: Stream, at: int) -> tuple[Cohort | None, Cohort | None]:
    """What of it is due before `at`, and what then or later."""
    if cohort.shift is not None:
        return _halves(cohort, stream, stream.before(at - cohort.shift))
    if at >= cohort.due + max(cohort.within, 1):
        return cohort, None
    if at <= cohort.due:
        return None, cohort
    into = -(-(at - cohort.due) * (cohort.last - cohort.first) // cohort.within)
    return _halves(cohort, stream, cohort.first + into)


def taken(cohort: Cohort, dispatches: int, bucket: int) -> tuple[Cohort, Cohort | None]:
    """So many of its first dispatches, at least one, and the rest. Where all buckets but the last
    are full, they are so in the parts too."""
    if dispatches >= cohort.dispatches:
        return cohort, None
    packed = cohort.dispatches == -(-cohort.reports // bucket)
    reports = dispatches * bucket if packed else cohort.reports * dispatches // cohort.dispatches
    length = cohort.last - cohort.first
    if length == 1:  # what chance has left of many cohorts may lie that close
        first, rest = shared(cohort, (dispatches, cohort.dispatches - dispatches))
        return first, rest
    into = reports if packed else length * dispatches // cohort.dispatches
    return _split(cohort, cohort.first + min(max(into, 1), length - 1), dispatches, reports)


def shared(cohort: Cohort, counts: Iterable[int]) -> Iterator[Cohort]:
    """It in parts of so many dispatches, which chance has chosen from all over it."""
    counts = list(counts)
    if len(counts) == 1:
        yield cohort
        return
    before = reports = 0
    for count in counts:
        before += count
        upto = cohort.reports * before // cohort.dispatches
        yield structs.replace(cohort, dispatches=count, reports=upto - reports, whole=False)
        reports = upto


def apart(cohort: Cohort, stream: Stream) -> Iterator[Cohort]:
    """Its dispatches, each for itself and due when the middle of its reports is; a whole one as it
    is, for its callbacks tell."""
    at_once = cohort.shift is None and not cohort.within
    if cohort.whole or (at_once and cohort.dispatches == 1):
        yield cohort
        return
    length, of = cohort.last - cohort.first, cohort.dispatches
    for number in range(of):
        first, last = (cohort.first + length * n // of for n in (number, number + 1))
        first = min(first, cohort.last - 1)
        yield structs.replace(
            cohort,
            first=first,
            last=max(last, first + 1),
            dispatches=1,
            reports=cohort.reports * (number + 1) // of - cohort.reports * number // of,
            due=cohort.due_of(stream, (first + max(last, first + 1)) // 2),
            within=0,
            shift=None,
        )


def starting(cohort: Cohort, stream: Stream, at: int, within: int) -> Cohort:
    """It, begun evenly from `at` on over `within`, if it was due sooner or all closer together."""
    first, last = cohort.due_first(stream), cohort.due_last(stream)
    if first >= at and (last - first >= within or cohort.dispatches == 1):
        return cohort
    within = max(within, last - at, 0)
    return structs.replace(cohort, due=at, within=within, shift=None, whole=False)


def waiting(cohort: Cohort, later: int) -> Cohort:
    """It after one more attempt, due so much later than before."""
    if cohort.shift is not None:
        return structs.replace(cohort, made=cohort.made + 1, shift=cohort.shift + later)
    return structs.replace(cohort, made=cohort.made + 1, due=cohort.due + later)


def together(cohorts: Iterable[Cohort], stream: Stream, most: int) -> Iterator[Cohort]:
    """The same dispatches as at most `most` cohorts for each number of attempts made: those that
    arrived next to each other are taken together, and are due evenly from the first to the last."""
    in_order = sorted(cohorts, key=lambda each: (each.made, each.first + each.last))
    for _, alike in groupby(in_order, key=lambda each: each.made):
        group = list(alike)
        parts = min(most, len(group))
        for part in range(parts):
            some = group[len(group) * part // parts : len(group) * (part + 1) // parts]
            yield some[0] if len(some) == 1 else _one_of(some, stream)


def by_bins(cohort: Cohort, stream: Stream, width: int, later: int) -> Iterator[tuple[int, Cohort]]:
    """What happens `later` than it is due, by the bin of that width into which it falls."""
    rest: Cohort | None = cohort
    index = (cohort.due_first(stream) + later) // width
    last = (cohort.due_last(stream) + later) // width
    while rest is not None and index < last:
        now, rest = cut(rest, stream, (index + 1) * width - later)
        if now is not None:
            yield index, now
        index += 1
    if rest is not None:
        yield last, rest


def _one_of(group: list[Cohort], stream: Stream) -> Cohort:
    due = min(each.due_first(stream) for each in group)
    return Cohort(
        made=group[0].made,
        first=min(each.first for each in group),
        last=max(each.last for each in group),
        dispatches=sum(each.dispatches for each in group),
        reports=sum(each.reports for each in group),
        due=due,
        within=max(each.due_last(stream) for each in group) - due,
    )


def _halves(cohort: Cohort, stream: Stream, number: int) -> tuple[Cohort | None, Cohort | None]:
    """What of it lies below a report number, and what lies above."""
    if number <= cohort.first or number >= cohort.last:
        return (None, cohort) if number <= cohort.first else (cohort, None)
    if cohort.whole:
        low = _counted(stream, cohort, cohort.first, number)
        return low, _counted(stream, cohort, number, cohort.last)
    into, of = number - cohort.first, cohort.last - cohort.first
    dispatches = (2 * cohort.dispatches * into + of) // (2 * of)
    reports = cohort.reports * dispatches // cohort.dispatches
    low, high = _split(cohort, number, dispatches, reports)
    return low if low.dispatches else None, high if high.dispatches else None


def _split(cohort: Cohort, number: int, dispatches: int, reports: int) -> tuple[Cohort, Cohort]:
    within = cohort.within * (number - cohort.first) // (cohort.last - cohort.first)
    low = structs.replace(
        cohort, last=number, dispatches=dispatches, reports=reports, within=within, whole=False
    )
    high = structs.replace(
        cohort,
        first=number,
        dispatches=cohort.dispatches - dispatches,
        reports=cohort.reports - reports,
        due=cohort.due + within,
        within=cohort.within - within,
        whole=False,
    )
    return low, high


def _counted(stream: Stream, cohort: Cohort, first: int, last: int) -> Cohort | None:
    dispatches = stream.alone(last) - stream.alone(first)
    reports = stream.wanted(last) - stream.wanted(first)
    if not dispatches:
        return None
    return structs.replace(cohort, first=first, last=last, dispatches=dispatches, reports=reports)
