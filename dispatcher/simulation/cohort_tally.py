"""Counts what happens to cohorts into a timeline. Instants are microseconds since the start."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import accumulate

from msgspec import Struct

from dispatcher.retrying.outcome import Outcome
from dispatcher.simulation.cohorts import Cohort, by_bins, cut
from dispatcher.simulation.scenario import Scenario, bin_width, troubles
from dispatcher.simulation.stream import Stream
from dispatcher.simulation.timeline import (
    LATE_SECONDS,
    Band,
    Bins,
    Lateness,
    RunTotals,
    Timeline,
    recovery,
)
from receiver.store.histogram import bin_of, least_of

_SECOND = 1_000_000

SECONDS_LOOKED_AT = 16
"""Of a stretch, for its peak: all when it has no more, else so many, evenly."""

_PIECES = 16
"""Of a cohort that is spread over time, for its lateness."""

_FEW = 300
"""So many dispatches are counted in each second, so many seconds long."""

_SMALL = 2_000
"""So are all of a scenario with no more reports."""

Column = Counter[int]


class _Begun(Struct, frozen=True):
    """Attempts that began between these instants."""

    cohort: Cohort
    first: int
    last: int


class CohortTally:
    """`begun`, `attempted`, `ended` as they happen, `peaks` after a stretch; then `timeline`."""

    def __init__(self, scenario: Scenario, stream: Stream) -> None:
        self._scenario = scenario
        self._stream = stream
        duration = timedelta(microseconds=stream.end)
        self._width = bin_width(scenario, duration) // timedelta(microseconds=1)
        self._attempts: Column = Counter()
        self._failed: dict[str, Column] = {}
        self._ended: dict[bool, Column] = {True: Counter(), False: Counter()}
        self._peak: dict[int, int] = {}
        self._seconds: Counter[int] = Counter()
        self._begun: list[_Begun] = []  # in this stretch, over more than a second
        self._lateness = Lateness()
        self._bands = [_band(*each) for each in troubles(scenario.phase)]
        over = recovery(self._bands)
        self._recovered_at = None if over is None else round(over * _SECOND)
        self._drained_at = self._recovered_at
        self._old = 0 if self._recovered_at is None else stream.before(self._recovered_at + 1)
        self._old_ended: Column = Counter()  # reports that had arrived by the recovery
        self.last_at = 0
        """When something happened last."""

    def attempted(self, cohort: Cohort, takes: int, outcome: Outcome) -> None:
        """An attempt of each of its dispatches, begun when they were due."""
        column = None
        if not outcome.acknowledges:
            column = self._failed.setdefault(outcome.value, Counter())
        for index, part in by_bins(cohort, self._stream, self._width, 0):
            self._attempts[index] += part.dispatches
            if column is not None:
                column[index] += part.dispatches
        self.last_at = max(self.last_at, cohort.due_last(self._stream) + takes)

    def begun(self, cohort: Cohort) -> None:
        """So many attempts begin when they are due."""
        first, last = cohort.due_first(self._stream), cohort.due_last(self._stream)
        few = cohort.dispatches <= _FEW and last - first <= _FEW * _SECOND
        if few or self._stream.count <= _SMALL:
            for second, part in by_bins(cohort, self._stream, _SECOND, 0):
                self._seconds[second] += part.dispatches
        else:
            self._begun.append(_Begun(cohort, first, last))

    def ended(self, cohort: Cohort, takes: int, *, acknowledged: bool) -> None:
        """Its attempt, which took so long, was the last."""
        column = self._ended[acknowledged]
        for index, part in by_bins(cohort, self._stream, self._width, takes):
            column[index] += part.reports
            self._old_ended[index] += self._old_of(part)
        if acknowledged:
            for seconds, reports in _lateness(cohort, self._stream, takes):
                self._lateness.add(seconds, reports)
        self._drain(cohort, takes)

    def peaks(self, start: int, end: int) -> None:
        """The stretch is over: how many attempts began in its busiest second."""
        first, last = start // _SECOND, (end - 1) // _SECOND
        looked_at = set(self._seconds)
        if self._begun:
            looked_at = {second for second, _ in self._seconds.most_common(SECONDS_LOOKED_AT)}
            looked_at |= {
                first + n * (last - first) // (SECONDS_LOOKED_AT - 1)
                for n in range(SECONDS_LOOKED_AT)
            }
        for second in looked_at:
            begun = self._seconds[second] + round(
                sum(self._in_second(each, second) for each in self._begun)
            )
            index = second * _SECOND // self._width
            self._peak[index] = max(self._peak.get(index, 0), begun)
        self._begun.clear()
        # A second that goes on in the next stretch keeps its count.
        self._seconds = Counter({s: n for s, n in self._seconds.items() if s >= end // _SECOND})

    def timeline(self, left: int | None, *, ended_at: int, partial: bool) -> Timeline:
        """`left` is the number of the first report that still waits; None when none does."""
        stream = self._stream
        bands = [band for band in self._bands if band.start * _SECOND <= ended_at]
        bins = self._bins(ended_at)
        reports, acknowledged, exhausted = map(
            sum, (bins.arrivals, bins.acknowledged, bins.exhausted)
        )
        drained = self._drained_at
        if (
            drained is None
            or drained < (self._recovered_at or 0)
            or (self._recovered_at or 0) > ended_at
        ):
            drained = None
        if left is not None and left < stream.before((self._recovered_at or 0) + 1):
            drained = None
        return Timeline(
            engine="cohort",
            seed=self._scenario.seed,
            schedule=self._scenario.retry_schedule.name,
            partial=partial,
            ended_at=ended_at / _SECOND,
            totals=RunTotals(
                reports=reports,
                acknowledged=acknowledged,
                exhausted=exhausted,
                waiting=reports - acknowledged - exhausted,
                attempts=sum(bins.attempts),
                wasted=sum(map(sum, bins.failed.values())),
            ),
            lateness=self._lateness,
            bins=bins,
            bands=bands,
            drained_at=None if drained is None else drained / _SECOND,
        )

    def _bins(self, ended_at: int) -> Bins:
        count = 1 + ended_at // self._width
        columns = (self._arrivals(ended_at), *(self._ended[each] for each in (True, False)))
        arrivals, acknowledged, exhausted = (_column(each, count) for each in columns)
        changes = (a - b - c for a, b, c in zip(arrivals, acknowledged, exhausted, strict=True))
        return Bins(
            width=self._width / _SECOND,
            arrivals=arrivals,
            attempts=_column(self._attempts, count),
            failed={name: _column(self._failed[name], count) for name in sorted(self._failed)},
            acknowledged=acknowledged,
            exhausted=exhausted,
            backlog=list(accumulate(changes)),
            before=self._before(ended_at, count),
            peak=_column(self._peak, count),
        )

    def _before(self, ended_at: int, count: int) -> list[int]:
        """How many of those that had arrived by the recovery wait at the end of each bin."""
        if self._recovered_at is None or self._recovered_at > ended_at:
            return []
        came = _column(self._arrivals(self._recovered_at), count)
        ended = _column(self._old_ended, count)
        return list(accumulate(a - b for a, b in zip(came, ended, strict=True)))

    def _old_of(self, part: Cohort) -> int:
        """How many of its reports had arrived by the recovery."""
        if part.last <= self._old or part.first >= self._old:
            return part.reports if part.last <= self._old else 0
        if part.whole:
            return self._stream.wanted(self._old) - self._stream.wanted(part.first)
        return part.reports * (self._old - part.first) // (part.last - part.first)

    def _arrivals(self, ended_at: int) -> Column:
        stream, column, index, before = self._stream, Counter[int](), 0, 0
        end = min(ended_at + 1, stream.end)
        while index * self._width < end:
            arrived = stream.wanted(stream.before(min((index + 1) * self._width, end)))
            column[index], before = arrived - before, arrived
            index += 1
        return column

    def _in_second(self, begun: _Begun, second: int) -> float:
        start, end = second * _SECOND, (second + 1) * _SECOND
        if begun.first >= end or begun.last < start:
            return 0
        if not begun.cohort.whole:
            shared = min(end, begun.last + 1) - max(start, begun.first)
            return begun.cohort.dispatches * shared / (begun.last + 1 - begun.first)
        before, _ = cut(begun.cohort, self._stream, end)
        within = None if before is None else cut(before, self._stream, start)[1]
        return 0 if within is None else within.dispatches

    def _drain(self, cohort: Cohort, takes: int) -> None:
        if self._recovered_at is None or self._drained_at is None:
            return
        before = min(cohort.last, self._stream.before(self._recovered_at + 1))
        if before > cohort.first:
            over = cohort.due_of(self._stream, before - 1) + takes
            self._drained_at = max(self._drained_at, over)


def _lateness(cohort: Cohort, stream: Stream, takes: int) -> Iterator[tuple[float, int]]:
    """Seconds from arrival to acknowledgement, and of how many reports."""
    if cohort.shift is not None:
        yield (cohort.shift + takes) / _SECOND, cohort.reports
    elif cohort.within:
        length = cohort.last - cohort.first
        ends = [_late(cohort, stream, takes, n) for n in (cohort.first, cohort.last - 1)]
        parts = min(_PIECES, length, 1 + int(abs(ends[0] - ends[1]) * _PIECES / max(*ends, 1)))
        for part in range(parts):
            low, high = length * part // parts, length * (part + 1) // parts
            reports = cohort.reports * high // length - cohort.reports * low // length
            middle = cohort.first + (low + high) // 2
            if reports:
                yield _late(cohort, stream, takes, middle) / _SECOND, reports
    else:
        yield from _lateness_at_once(cohort, stream, cohort.due + takes)


def _late(cohort: Cohort, stream: Stream, takes: int, number: int) -> int:
    return max(0, cohort.due_of(stream, number) - stream.at(number)) + takes


def _lateness_at_once(cohort: Cohort, stream: Stream, over: int) -> Iterator[tuple[float, int]]:
    """By the bins of Lateness: it is walked from bin to bin, not from report to report."""
    all_of_it = stream.wanted(cohort.last) - stream.wanted(cohort.first) == cohort.reports
    length = cohort.last - cohort.first
    number = cohort.first
    while number < cohort.last:
        if all_of_it and stream.wanted(number + 1) == stream.wanted(number):
            number = _next_wanted(stream, number)
        late = over - stream.at(number)
        after = min(cohort.last, _next_bin(stream, over, late))
        if all_of_it:
            reports = stream.wanted(after) - stream.wanted(number)
        else:
            low, high = number - cohort.first, after - cohort.first
            reports = cohort.reports * high // length - cohort.reports * low // length
        if reports:
            yield late / _SECOND, reports
        number = after


def _next_wanted(stream: Stream, number: int) -> int:
    """The first report from this number on that is for the endpoint; there is one."""
    known = stream.wanted(number)
    return bisect_right(range(stream.count), known, lo=number, key=stream.wanted) - 1


def _next_bin(stream: Stream, over: int, late: int) -> int:
    """The first report that is less late, so much that it is in another bin or not late at all."""
    limit = int(LATE_SECONDS * _SECOND)
    bin = bin_of(round(late / _SECOND * 1000))
    lowest = least_of(bin) * 1000 - 500
    after = max(stream.before(over - lowest), stream.before(over - late + 1))
    return min(after, stream.before(over - limit)) if late > limit else after


def _band(start: timedelta, end: timedelta | None, what: str) -> Band:
    return Band(start.total_seconds(), None if end is None else end.total_seconds(), what)


def _column(counts: dict[int, int], length: int) -> list[int]:
    return [counts.get(index, 0) for index in range(length)]
