"""Adding reports up: counts, exact sums of prices and durations, by minute, hour and day.

Every database keeps the sums that are made here, so they are the same in all of them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from msgspec import Struct

from receiver.store.excerpt import EXACT, Dimension, ReportOutcome, Summary, outcome_of
from receiver.store.histogram import bin_of, coarse

MINUTE, HOUR, DAY = 60, 3_600, 86_400
SPANS = (MINUTE, HOUR, DAY)
PART_SPANS = (HOUR, DAY)

MINUTES_KEPT = 2 * DAY
"""For how long minutes are kept. Hours and days stay."""

_MINUTE_MICROS = MINUTE * 1_000_000
_HOUR_MICROS = HOUR * 1_000_000
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

    def count(self, key: tuple[int, int, str, ReportOutcome], cell: Cell) -> None:
        before = self.outcomes.get(key)
        if before is None:
            self.outcomes[key] = cell
        else:
            before.reports += cell.reports
            before.first = min(before.first, cell.first)
            before.last = max(before.last, cell.last)

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
    """Adds reports up as they come, one look-up each, and makes sums of it at the end.

    A turn's reports say few different things, and are of one hour or two. So most of the work is
    done once for each thing said: work for each report would take the interpreter away from the
    callbacks.
    """

    def __init__(self) -> None:
        self._cells: dict[tuple[Any, ...], list[int]] = {}
        self._prices: Counter[tuple[int, str, bool, str | None, Decimal]] = Counter()
        self._durations: Counter[tuple[int, str, bool, int]] = Counter()
        self.parts = PartTally()

    def add(self, row: CountedReport, summary: Summary) -> None:
        minute = row.received_at // _MINUTE_MICROS * MINUTE
        said = (minute, row.source, row.final, row.status_group, *summary.said())
        cell = self._cells.get(said)
        if cell is None:
            self._cells[said] = [1, row.id, row.id]
        else:
            cell[0] += 1
            cell[2] = row.id
        if (cost := summary.cost()) is not None:
            self._prices[minute, row.source, row.final, summary.currency, cost] += 1
        if summary.milliseconds is not None:
            self._durations[minute, row.source, row.final, bin_of(summary.milliseconds)] += 1
        self.parts.add(row, summary, cost)

    def sums(self) -> Sums:
        sums = Sums(parts=self.parts.sums())
        for (minute, source, final, group, *said), (count, first, last) in self._cells.items():
            outcome = outcome_of(final, group, *said)
            for span in SPANS:
                start = minute // span * span
                sums.count((span, start, source, outcome), Cell(count, first, last))
        for (minute, source, final, currency, price), count in self._prices.items():
            for span in SPANS:
                key = (span, minute // span * span, source, final, _currency_of(currency))
                sums.pay(key, price, count)
        for (minute, source, final, bin), count in self._durations.items():
            for span in SPANS:
                sums.durations[span, minute // span * span, source, final, bin] += count
        return sums


class PartTally:
    """As `Tally`, by the parts of reports."""

    def __init__(self) -> None:
        self._outcomes: Counter[tuple[Any, ...]] = Counter()
        self._prices: Counter[tuple[Any, ...]] = Counter()
        self._durations: Counter[tuple[Any, ...]] = Counter()

    def add(self, row: CountedReport, summary: Summary, cost: Decimal | None) -> None:
        hour = row.received_at // _HOUR_MICROS * HOUR
        for part in summary.parts():
            of = (part, hour, row.source, row.final)
            self._outcomes[of, row.status_group, summary.said()] += 1
            if cost is not None:
                self._prices[of, summary.currency, cost] += 1
            if summary.milliseconds is not None:
                self._durations[of, coarse(bin_of(summary.milliseconds))] += 1

    def sums(self) -> PartSums:
        sums = PartSums()
        for ((part, hour, source, final), group, said), count in self._outcomes.items():
            outcome = outcome_of(final, group, *said)
            for span in PART_SPANS:
                sums.outcomes[part, span, hour // span * span, source, outcome] += count
        for ((part, hour, source, final), currency, price), count in self._prices.items():
            for span in PART_SPANS:
                key = (part, span, hour // span * span, source, final, _currency_of(currency))
                sums.pay(key, price, count)
        for ((part, hour, source, final), bin), count in self._durations.items():
            for span in PART_SPANS:
                sums.durations[part, span, hour // span * span, source, final, bin] += count
        return sums


def _currency_of(text: str | None) -> str:
    """The currency under which a price is added up: `?` for what is none of up to eight letters,
    empty when it is missing."""
    currency = (text or "").strip().upper()
    return "?" if currency and not _CURRENCY.fullmatch(currency) else currency
