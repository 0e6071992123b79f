"""A stretch in which nothing is held up: cohorts of any size go through it at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import count

from msgspec import structs

from dispatcher.flow.gate import PATIENCE
from dispatcher.flow.window import InFlight, room
from dispatcher.simulation.cohorts import Cohort, arriving, cut, waiting
from dispatcher.simulation.fate import Lot
from dispatcher.simulation.state import RunState

_PATIENTLY = 0.7
"""Below that part of a limit, what comes evenly is hardly ever held up by it."""

_PARTS = 64
"""Of a stretch, for how many pushes are under way at one time."""


class Flow:
    """What would happen from `start` until `end` to what is due and what arrives, if nothing is
    held up. `holds` says whether that is so; then `commit`."""

    def __init__(
        self, state: RunState, start: int, end: int, due: Iterable[Cohort], begun: Iterable[Lot]
    ) -> None:
        """`begun`: lots that are under way and not counted yet."""
        self._state = state
        self._start, self._end = start, end
        self._read_to = state.stream.before(end)
        self._numbers = count()
        self._due: list[tuple[int, int, Cohort]] = []
        self._later: list[Cohort] = []
        self._over: list[tuple[Lot, bool]] = []  # lots, and whether that was their last attempt
        self._left: list[Cohort] = []
        self._begun_now: list[Cohort] = []
        self._begun = list(begun)
        fresh = arriving(state.stream, state.read_to, self._read_to)
        for cohort in (*due, *([fresh] if fresh else [])):
            self._wait(cohort)
        for lot in self._begun:
            self._follow(lot)
        self._lots = list(self._attempts())

    def holds(self) -> bool:
        """Whether there is room for each push when it is due, whatever came before."""
        state = self._state
        known = (*self._begun, *self._lots)
        if not all(lot.outcome.acknowledges for lot in known) and not self._patiently():
            return False
        empty = room(state.customer.window, InFlight())
        lots = [*state.tails, *self._lots]
        most = state.places.taken + self._most_under_way(lots)
        retries = [lot for lot in lots if lot.cohort.made]
        most_retries = state.places.taken_by_retries + self._most_under_way(retries)
        return most <= empty.all and most_retries <= empty.retries

    def _patiently(self) -> bool:
        """Whether failures hold up nothing for long: no breaker, and no more attempts than an
        endpoint that fails is given (gate.py). Those that come together may wait for a moment."""
        seconds = (self._end - self._start) / 1e6
        most = _PATIENTLY * self._state.customer.window * seconds / PATIENCE.total_seconds()
        begun = sum(lot.cohort.dispatches for lot in self._lots)
        retries = sum(lot.cohort.dispatches for lot in self._lots if lot.cohort.made)
        return not self._state.places.breaks and begun <= most and retries <= most * 3 / 4

    def commit(self) -> None:
        """Let it be so."""
        state, tally = self._state, self._state.tally
        for lot, last in self._over:
            state.places.judge(lot.outcome.acknowledges, lot.cohort.dispatches, self._end)
            tally.attempted(lot.cohort, lot.takes, lot.outcome)
            if last:
                tally.ended(lot.cohort, lot.takes, acknowledged=lot.outcome.acknowledges)
        for cohort in self._begun_now:
            tally.begun(cohort)  # of the last seconds of a scenario some may not end in time
        for cohort in self._later:
            state.calendar.add(cohort)
        state.left += self._left
        state.read_to = self._read_to
        state.tails = [
            lot
            for lot in (*state.tails, *self._lots)
            if lot.takes and lot.cohort.due_last(state.stream) + lot.takes > self._end
        ]

    def _attempts(self) -> Iterator[Lot]:
        while self._due:
            at, _, cohort = heappop(self._due)
            self._begun_now.append(cohort)
            for lot in self._state.fates.meet(cohort, max(at, self._start), 0):
                yield lot
                self._follow(lot)

    def _follow(self, lot: Lot) -> None:
        in_time, late = cut(lot.cohort, self._state.stream, self._state.end - lot.takes)
        if late is not None:
            self._left.append(late)
        if in_time is None:
            return
        lot = structs.replace(lot, cohort=in_time)
        following = self._state.fates.follow(lot)
        self._over.append((lot, not following))
        for cohort, wait in following:
            self._wait(waiting(cohort, max(wait, lot.takes)))

    def _wait(self, cohort: Cohort) -> None:
        now, later = cut(cohort, self._state.stream, self._end)
        if now is not None:
            heappush(self._due, (now.due_first(self._state.stream), next(self._numbers), now))
        if later is not None:
            self._later.append(later)

    def _most_under_way(self, lots: Iterable[Lot]) -> float:
        """No more than this at any instant. Of lots that chance has thinned: hardly ever more."""
        stream, evenly = self._state.stream, Spread(self._start, self._end)
        whole: dict[tuple[int, int | None, int], tuple[int, int]] = {}
        most = 0.0
        for lot in lots:
            cohort, takes = lot.cohort, lot.takes
            if cohort.whole:
                key = cohort.made, cohort.shift, takes
                first, last = whole.get(key, (cohort.first, cohort.last))
                whole[key] = min(first, cohort.first), max(last, cohort.last)
            elif cohort.shift is None and cohort.within < takes:
                most += cohort.dispatches if takes else 0
            elif takes:
                begin, end = cohort.due_first(stream), cohort.due_last(stream)
                evenly.add(begin, end + takes, cohort.dispatches * takes / max(end - begin, takes))
        for (_, _, takes), (first, last) in whole.items():
            most += stream.densest(first, last, takes) if takes else 0
        passing = 1  # what takes no time needs a place all the same
        mean = evenly.most
        return most + mean + 5 * math.sqrt(mean) + (0 if most else passing)


class Spread:
    """The most of what is there at one time, when each thing is there for a while."""

    def __init__(self, start: int, end: int) -> None:
        self._start, self._width = start, max(1, -(-(end - start) // _PARTS))
        self._there = [0.0] * _PARTS

    def add(self, begin: int, end: int, count: float) -> None:
        first, last = ((at - self._start) // self._width for at in (begin, end))
        for part in range(max(0, first), min(_PARTS - 1, last) + 1):
            self._there[part] += count

    @property
    def most(self) -> float:
        return max(self._there)
