"""When cohorts fall due, in cells of equal length."""

from __future__ import annotations

from collections import defaultdict
from heapq import heappop, heappush

from dispatcher.simulation.cohorts import Cohort, by_bins, cut
from dispatcher.simulation.stream import Stream


class Calendar:
    """Cohorts by the cell in which they are due. `cell` is its length in microseconds."""

    def __init__(self, stream: Stream, cell: int) -> None:
        self._stream = stream
        self.cell = cell
        self._cells: defaultdict[int, list[Cohort]] = defaultdict(list)
        self._order: list[int] = []

    def add(self, cohort: Cohort) -> None:
        for index, part in by_bins(cohort, self._stream, self.cell, 0):
            if index not in self._cells:
                heappush(self._order, index)
            self._cells[index].append(part)

    def take(self, before: int) -> list[Cohort]:
        """All that is due before that instant."""
        due, later = [], []
        while self._order and self._order[0] * self.cell < before:
            for cohort in self._cells.pop(heappop(self._order)):
                now, rest = cut(cohort, self._stream, before)
                due += [now] if now is not None else []
                later += [rest] if rest is not None else []
        for cohort in later:
            self.add(cohort)
        return due

    def next_at(self) -> int | None:
        """Nothing is due before."""
        return self._order[0] * self.cell if self._order else None

    def rest(self) -> list[Cohort]:
        return [cohort for cohorts in self._cells.values() for cohort in cohorts]
