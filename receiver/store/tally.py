"""Adding reports up: counts, exact sums of prices and durations, by hour and by day.

Every database keeps the sums that are made here, so they are the same in all of them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact
from typing import Any

from msgspec import Struct

from receiver.store.excerpt import ReportOutcome, Summary, outcome_of
from receiver.store.histogram import bin_of

HOUR, DAY = 3_600, 86_400
SPANS = (HOUR, DAY)

EXACT = Context(prec=250, traps=[Inexact])
"""Sums of prices are exact, or not at all: 80 digits of a price leave room for any count."""

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
    """A sum of prices."""

    reports: int
    sum: Decimal


@dataclass(slots=True)
class Sums:
    """What was added up, by span, start and source; `outcomes` by outcome, the others by final."""

    outcomes: dict[tuple[int, int, str, ReportOutcome], Cell] = field(default_factory=dict)
    prices: dict[tuple[int, int, str, bool, str], Amount] = field(default_factory=dict)
    durations: Counter[tuple[int, int, str, bool, int]] = field(default_factory=Counter)

    def count(self, key: tuple[int, int, str, ReportOutcome], cell: Cell) -> None:
        before = self.outcomes.get(key)
        if before is None:
            self.outcomes[key] = cell
        else:
            before.reports += cell.reports
            before.first = min(before.first, cell.first)
            before.last = max(before.last, cell.last)

    def pay(self, key: tuple[int, int, str, bool, str], price: Decimal, reports: int) -> None:
        amount = self.prices.setdefault(key, Amount(0, Decimal(0)))
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

    def add(self, row: CountedReport, summary: Summary) -> None:
        hour = row.received_at // _HOUR_MICROS * HOUR
        said = (hour, row.source, row.final, row.status_group, *summary.said())
        cell = self._cells.get(said)
        if cell is None:
            self._cells[said] = [1, row.id, row.id]
        else:
            cell[0] += 1
            cell[2] = row.id
        if summary.price is not None:
            self._prices[hour, row.source, row.final, summary.currency, summary.price] += 1
        if summary.milliseconds is not None:
            self._durations[hour, row.source, row.final, bin_of(summary.milliseconds)] += 1

    def sums(self) -> Sums:
        sums = Sums()
        for (hour, source, final, group, *said), (count, first, last) in self._cells.items():
            outcome = outcome_of(final, group, *said)
            for span in SPANS:
                start = hour // span * span
                sums.count((span, start, source, outcome), Cell(count, first, last))
        for (hour, source, final, currency, price), count in self._prices.items():
            for span in SPANS:
                key = (span, hour // span * span, source, final, _currency_of(currency))
                sums.pay(key, price, count)
        for (hour, source, final, bin), count in self._durations.items():
            for span in SPANS:
                sums.durations[span, hour // span * span, source, final, bin] += count
        return sums


def _currency_of(text: str | None) -> str:
    """The currency under which a price is added up: `?` for what is none of up to eight letters,
    empty when it is missing."""
    currency = (text or "").strip().upper()
    return "?" if currency and not _CURRENCY.fullmatch(currency) else currency
