"""What arrives, by its number: when report number i came, and how many had come by an instant.

The cohort engine asks only this, and never has the reports themselves. Numbers count all reports
that arrive; `wanted` says how many of them are for the endpoint. Instants are microseconds since
the start of the scenario.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import accumulate, groupby, pairwise
from random import Random

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming.bucket import Shape, shape_of
from dispatcher.forming.routing import goes_to
from dispatcher.simulation.arrivals import MICROSECOND, Arrivals
from dispatcher.simulation.chance import poisson
from dispatcher.simulation.curve import curve_of
from dispatcher.simulation.scenario import START, MixSettings, Scenario
from receiver.store.base import Message, StoredReport
from receiver.store.callback import Callback

LISTED = 50_000
"""Reports by chance are listed up to so many, and are then those of the exact engine. More are
counted: so many in each of COUNTED stretches, evenly spaced within."""

COUNTED = 5_000


class Stream(ABC):
    """`end` is when nothing arrives any more, `count` how many reports do."""

    end: int
    count: int

    @abstractmethod
    def at(self, number: int) -> int:
        """When report `number` arrives."""

    @abstractmethod
    def before(self, at: int) -> int:
        """How many arrive before `at`."""

    @abstractmethod
    def wanted(self, number: int) -> int:
        """How many of the first `number` are for the endpoint."""

    @abstractmethod
    def alone(self, number: int) -> int:
        """How many pushes bring the first `number` when each callback is pushed as it comes."""

    @abstractmethod
    def densest(self, first: int, last: int, span: int) -> int:
        """No more pushes than this are begun within any `span` (its end not counted) by the
        callbacks of these reports, each pushed as it comes."""


class Formula(Stream):
    """Callbacks of equal size, by arithmetic: `_callbacks_before` and `_callback_at`."""

    def __init__(self, scenario: Scenario, duration: timedelta) -> None:
        self._size = scenario.arrivals.per_callback
        self._final, self._intermediate = _wanted_kinds(scenario)
        self._share = scenario.mix.intermediate
        self._bucket = scenario.customer.bucket_size
        # Of each callback so many are for the endpoint, or one more.
        intermediate = int(self._size * self._share) if self._intermediate else 0
        final = max(0, self._size - int(self._size * self._share) - 1) if self._final else 0
        both = self._final and self._intermediate
        self._least = self._size if both else intermediate + final
        self._pushes = -(-min(self._least + 1, self._size) // self._bucket)
        self._curve = curve_of(scenario.arrivals)
        self.end = duration // MICROSECOND

    def wanted(self, number: int) -> int:
        intermediate = int(number * self._share)  # as arrivals.falls_in spreads them
        return intermediate * self._intermediate + (number - intermediate) * self._final

    def alone(self, number: int) -> int:
        if self._size == 1:
            return self.wanted(number)
        callbacks, rest = divmod(number, self._size)
        wanted = self.wanted(number - rest)
        more = wanted - callbacks * self._least
        pushes = (callbacks - more) * -(-self._least // self._bucket)
        pushes += more * -(-(self._least + 1) // self._bucket)
        return pushes - (wanted - self.wanted(number)) // self._bucket


class Even(Formula):
    """Evenly spaced along a curve, at the very instants of the exact engine."""

    def __init__(self, scenario: Scenario, duration: timedelta) -> None:
        super().__init__(scenario, duration)
        self.count = self._size * self._callbacks_before(self.end)

    def at(self, number: int) -> int:
        return self._comes_at(number // self._size)

    def before(self, at: int) -> int:
        return self.count if at >= self.end else self._size * self._callbacks_before(at)

    def densest(self, first: int, last: int, span: int) -> int:
        most = int(self._curve.fastest * span / 1e6 / self._size) + 1
        return min(most * self._pushes, self.alone(last) - self.alone(first))

    def _callbacks_before(self, at: int) -> int:
        if at <= 0:
            return 0
        number = int(self._curve.total(at / 1e6) / self._size)
        while number and self._comes_at(number - 1) >= at:  # what floats have rounded
            number -= 1
        while self._comes_at(number) < at:
            number += 1
        return number

    def _comes_at(self, callback: int) -> int:
        """As arrivals.even has it."""
        return round(self._curve.at(callback * self._size) * 1e6)


class Counted(Formula):
    """By chance: how many callbacks come in each stretch is drawn, within it they are even."""

    def __init__(self, scenario: Scenario, duration: timedelta) -> None:
        super().__init__(scenario, duration)
        rng = Random(f"{scenario.seed} arrivals")
        self._width = max(1, -(-self.end // COUNTED))
        edges = [min(n * self._width, self.end) for n in range(-(-self.end // self._width) + 1)]
        totals = [self._curve.total(edge / 1e6) / self._size for edge in edges]
        drawn = (poisson(rng, late - early) for early, late in pairwise(totals))
        self._known = list(accumulate(drawn, initial=0))
        self._edges = edges
        self.count = self._size * self._known[-1]

    def at(self, number: int) -> int:
        callback = number // self._size
        part = bisect_right(self._known, callback) - 1
        if part >= len(self._known) - 1:
            return self.end
        of, into = self._known[part + 1] - self._known[part], callback - self._known[part]
        length = self._edges[part + 1] - self._edges[part]
        return self._edges[part] + (2 * into + 1) * length // (2 * of)

    def before(self, at: int) -> int:
        if at <= 0 or at >= self.end:
            return self.count if at > 0 else 0
        part = at // self._width
        of = self._known[part + 1] - self._known[part]
        length = self._edges[part + 1] - self._edges[part]
        # The inverse of `at`: into is below this where (2 into + 1) length // (2 of) < since.
        into = (2 * of * (at - self._edges[part]) + length - 1) // (2 * length)
        return self._size * (self._known[part] + min(of, into))

    def densest(self, first: int, last: int, span: int) -> int:
        pushes = self.alone(last) - self.alone(first)
        lasts = max(self.at(last - 1) - self.at(first), 1)
        mean = min(pushes, pushes * span / lasts)
        return min(pushes, int(mean + 5 * mean**0.5) + self._pushes)


class Listed(Stream):
    """Each instant at which something arrives, as the exact engine has it."""

    def __init__(self, groups: Iterable[Group], end: int) -> None:
        known = list(groups)
        self._at = [each.at for each in known]
        self._reports = list(accumulate((len(each.wanted) for each in known), initial=0))
        self._alone = list(accumulate((each.pushes for each in known), initial=0))
        wanted = [each for group in known for each in group.wanted]
        self._wanted = None if all(wanted) else list(accumulate(wanted, initial=0))
        self.end, self.count = end, self._reports[-1]

    def at(self, number: int) -> int:
        group = bisect_right(self._reports, number) - 1
        return self._at[group] if group < len(self._at) else self.end

    def before(self, at: int) -> int:
        return self._reports[bisect_left(self._at, at)]

    def wanted(self, number: int) -> int:
        return number if self._wanted is None else self._wanted[number]

    def alone(self, number: int) -> int:
        return self._alone[bisect_right(self._reports, number) - 1]

    def densest(self, first: int, last: int, span: int) -> int:
        start = back = bisect_left(self._reports, first)
        most = 0
        for group in range(start, bisect_left(self._reports, last)):
            while self._at[back] <= self._at[group] - span:
                back += 1
            most = max(most, self._alone[group + 1] - self._alone[back])
        return most


class Group(Struct, frozen=True):
    """What arrives at one instant: for each report whether it is for the endpoint, and how many
    pushes they are alone."""

    at: int
    wanted: list[bool]
    pushes: int


def stream_of(scenario: Scenario) -> Stream:
    """The arrivals of a scenario."""
    arrivals = Arrivals(scenario)
    settings, duration = scenario.arrivals, arrivals.duration
    if settings.file:
        return Listed(_groups(arrivals.callbacks(), scenario.customer), duration // MICROSECOND)
    if not settings.by_chance:
        return Even(scenario, duration)
    if arrivals.expected() > LISTED:
        return Counted(scenario, duration)
    return Listed(_groups(arrivals.callbacks(), scenario.customer), duration // MICROSECOND)


def _groups(callbacks: Iterable[Callback], endpoint: Endpoint) -> Iterator[Group]:
    """What arrives at one instant goes into the same buckets, so far as it has one shape."""
    seen: set[tuple[Message, int]] = set()  # the store keeps repeats once
    for at, together in groupby(callbacks, key=lambda each: each.received_at):
        wanted: list[bool] = []
        shapes: Counter[Shape] = Counter()
        for report in (report for callback in together for report in _stored(callback)):
            if (report.message, report.identity) not in seen:
                seen.add((report.message, report.identity))
                wanted.append(goes_to(report, endpoint.rules))
                shapes[shape_of(report, endpoint)] += wanted[-1]
        pushes = sum(-(-count // endpoint.bucket_size) for count in shapes.values())
        yield Group((at - START) // MICROSECOND, wanted, pushes)


def _wanted_kinds(scenario: Scenario) -> tuple[bool, bool]:
    """Whether final and intermediate reports are for the endpoint, by the rules of production."""
    kinds = (replace(scenario, mix=MixSettings(intermediate=share)) for share in (0.0, 1.0))
    firsts = [next(Arrivals(kind).callbacks()) for kind in kinds]
    rules = scenario.customer.rules
    final, intermediate = (goes_to(next(iter(_stored(first))), rules) for first in firsts)
    return final, intermediate


def _stored(callback: Callback) -> Iterable[StoredReport]:
    """As they would lie in the store."""
    for entry in callback.verdict.entries:
        yield StoredReport(
            id=0,
            received_at=callback.received_at,
            source=callback.source,
            format=callback.format,
            generation=entry.generation,
            final=entry.final,
            message_key=entry.message_key,
            identity=entry.identity,
            item=entry.item,
            status_group=entry.status_group,
            duplicates=0,
            notify_to=entry.notify_to,
        )
