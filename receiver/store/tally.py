"""Adding reports up: counts, exact sums of prices and durations, by minute, hour and day.

Every database keeps the sums that are made here, so they are the same in all of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from msgspec import Struct

from receiver.store.excerpt import EXACT, Dimension, ReportOutcome, Summary, outcome_of
from receiver.store.histogram import bin_of, coarse

MINUTE, HOUR, DAY = 60, 3_600, 86_400
SPANS = (MINUTE, HOUR, DAY)
PART_SPANS = (HOUR, DAY)

MINUTES_KEPT = 2 * DAY
"""For how long minutes are kept. Hours and days stay."""

_MINUTE_MICROS = MINUTE * 1_000_000
_CURRENCY = re.compile("[A-Z0-9]{1,8}")


class CountedReport(Struct, frozen=True):
    """What is read of a report to add it up. `received_at` is in microseconds since 1970 UTC."""

    id: int
    received_at: int
    source: str
    final: bool
    status_group: int | None


class Cell(Struct):
    """A count, and between which reports they are."""

    reports: int
    first: int
    last: int


class Amount(Struct):
    """What some reports cost together."""

    reports: int
    sum: Decimal


@dataclass(slots=True)
class Sums:
    """What was added up, by span, start and source; `outcomes` by outcome, the others by final.

    `parts` are the same by dimension and value, without those of minutes.
    """

    outcomes: dict[tuple[int, int, str, ReportOutcome], Cell] = field(default_factory=dict)
    prices: dict[tuple[int, int, str, bool, str], Amount] = field(default_factory=dict)
    durations: Counter[tuple[int, int, str, bool, int]] = field(default_factory=Counter)
    parts: PartSums = field(default_factory=lambda: PartSums())

    def pay(self, key: tuple[int, int, str, bool, str], price: Decimal, reports: int) -> None:
        _pay(self.prices.setdefault(key, Amount(0, Decimal(0))), price, reports)


Part = tuple[Dimension, str]
"""A dimension and one of its values."""


@dataclass(slots=True)
class PartSums:
    """What was added up by part, span, start and source; the last of a key is as in `Sums`."""

    outcomes: Counter[tuple[Part, int, int, str, ReportOutcome]] = field(default_factory=Counter)
    prices: dict[tuple[Part, int, int, str, bool, str], Amount] = field(default_factory=dict)
    durations: Counter[tuple[Part, int, int, str, bool, int]] = field(default_factory=Counter)

    def pay(self, key: tuple[Part, int, int, str, bool, str], price: Decimal, reports: int) -> None:
        _pay(self.prices.setdefault(key, Amount(0, Decimal(0))), price, reports)


def _pay(amount: Amount, price: Decimal, reports: int) -> None:
    amount.reports += reports
    amount.sum = EXACT.add(amount.sum, EXACT.multiply(price, reports))


class Tally:
    """Adds reports up as they come, two look-ups each, and makes sums of it at the end.

    A turn's reports say few different things, and are of one hour or two. So most of the work is
    done once for each thing said: work for each report would take the interpreter away from the
    callbacks.
    """

    def __init__(self) -> None:
        self._said: dict[tuple[Any, ...], Cell] = {}
        self._took: Counter[tuple[Any, ...]] = Counter()

    def add(self, row: CountedReport, summary: Summary) -> None:
        at = row.received_at // _MINUTE_MICROS * MINUTE
        parts = summary.parts()
        said = summary.said()
        cost = summary.cost()
        of = (at, row.source, row.final, parts, row.status_group, said, summary.currency, cost)
        cell = self._said.get(of)
        if cell is None:
            self._said[of] = Cell(1, row.id, row.id)
        else:
            cell.reports += 1
            cell.last = row.id
        if summary.milliseconds is not None:
            self._took[at, row.source, row.final, parts, bin_of(summary.milliseconds)] += 1

    def sums(self) -> Sums:
        counted = _Counted()
        for of, cell in self._said.items():
            counted.add(cell, *of)
        for (at, source, final, parts, bin), count in self._took.items():
            counted.durations[at, source, final, bin] += count
            for part in parts:
                counted.part_durations[part, _hour(at), source, final, coarse(bin)] += count
        return counted.sums()


class _Counted:
    """How many reports said what. The key of each counter is what its sum needs."""

    def __init__(self) -> None:
        self.cells: dict[tuple[Any, ...], Cell] = {}
        self.prices: Counter[tuple[Any, ...]] = Counter()
        self.durations: Counter[tuple[int, str, bool, int]] = Counter()
        self.part_outcomes: Counter[tuple[Any, ...]] = Counter()
        self.part_prices: Counter[tuple[Any, ...]] = Counter()
        self.part_durations: Counter[tuple[Part, int, str, bool, int]] = Counter()

    def add(
        self,
        cell: Cell,
        at: int,
        source: str,
        final: bool,
        parts: Sequence[Part],
        group: int | None,
        said: tuple[Any, ...],
        currency: str | None,
        cost: Decimal | None,
    ) -> None:
        """Take the reports that said all this in the minute `at`."""
        outcome = (source, final, group, said)
        _merge(self.cells, (at, outcome), cell)
        if cost is not None:
            self.prices[at, source, final, currency, cost] += cell.reports
        for part in parts:
            self.part_outcomes[part, _hour(at), outcome] += cell.reports
            if cost is not None:
                self.part_prices[part, _hour(at), source, final, currency, cost] += cell.reports

    def sums(self) -> Sums:
        sums = Sums()
        for (at, (source, final, group, said)), cell in self.cells.items():
            outcome = outcome_of(final, group, *said)
            for span in SPANS:
                _merge(sums.outcomes, (span, at // span * span, source, outcome), cell)
        for (at, source, final, currency, price), count in self.prices.items():
            for span in SPANS:
                sums.pay(
                    (span, at // span * span, source, final, _currency_of(currency)), price, count
                )
        for (at, source, final, bin), count in self.durations.items():
            for span in SPANS:
                sums.durations[span, at // span * span, source, final, bin] += count
        self._add_parts(sums.parts)
        return sums

    def _add_parts(self, sums: PartSums) -> None:
        for (part, hour, (source, final, group, said)), count in self.part_outcomes.items():
            outcome = outcome_of(final, group, *said)
            for span in PART_SPANS:
                sums.outcomes[part, span, hour // span * span, source, outcome] += count
        for (part, hour, source, final, currency, price), count in self.part_prices.items():
            for span in PART_SPANS:
                key = (part, span, hour // span * span, source, final, _currency_of(currency))
                sums.pay(key, price, count)
        for (part, hour, source, final, bin), count in self.part_durations.items():
            for span in PART_SPANS:
                sums.durations[part, span, hour // span * span, source, final, bin] += count


def _hour(at: int) -> int:
    return at // HOUR * HOUR


K = TypeVar("K")


def _merge(cells: dict[K, Cell], key: K, cell: Cell) -> None:
    before = cells.get(key)
    if before is None:
        cells[key] = Cell(cell.reports, cell.first, cell.last)
    else:
        before.reports += cell.reports
        before.first = min(before.first, cell.first)
        before.last = max(before.last, cell.last)


def _currency_of(text: str | None) -> str:
    """The currency under which a price is added up: `?` if the text is not a currency of up to
    eight letters or digits, and empty if it is missing."""
    currency = (text or "").strip().upper()
    return "?" if currency and not _CURRENCY.fullmatch(currency) else currency
