"""Totals by the values of a dimension, with what is not followed yet added in memory."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from msgspec import structs

from receiver.store.base import PartDuration, PartOutcome, PartPrice, PartTotals, TotalsQuery
from receiver.store.excerpt import Dimension, ReportOutcome, read_outcome
from receiver.store.sqlite.parts import OTHER
from receiver.store.sqlite.totals import COSTS_BEHIND, is_asked, pay, tail_of, where_of
from receiver.store.tally import Amount, PartSums, Sums

_PARTS_BEHIND = "SELECT max(last - report, 0) FROM parts_followed"
_OUTCOMES = "SELECT {value}, outcome, sum(reports) FROM {of} WHERE {where} GROUP BY 1, 2"
_PRICES = "SELECT {value}, currency, final, reports, sum FROM {of} WHERE {where}"
_DURATIONS = "SELECT {value}, bin, sum(reports) FROM {of} WHERE {where} GROUP BY 1, 2"


def part_totals(
    connection: sqlite3.Connection, query: TotalsQuery, dimension: Dimension
) -> PartTotals:
    """The totals of one view of the database."""
    sums, lag = tail_of(connection)
    (costs,) = connection.execute(COSTS_BEHIND).fetchone()
    (parts,) = connection.execute(_PARTS_BEHIND).fetchone()
    tail = _by_source(sums) if dimension == "source" else sums.parts
    return PartTotals(
        outcomes=_outcomes(connection, query, dimension, tail),
        prices=_prices(connection, query, dimension, tail),
        durations=_durations(connection, query, dimension, tail),
        lag=lag + (costs if dimension == "source" else max(costs, parts)),
    )


def _outcomes(
    connection: sqlite3.Connection, query: TotalsQuery, dimension: Dimension, tail: PartSums
) -> list[PartOutcome]:
    said = {id: read_outcome(text) for id, text in connection.execute("SELECT * FROM outcome")}
    counts: Counter[tuple[str, ReportOutcome | None]] = Counter()
    rows = _rows(connection, _OUTCOMES, "total", structs.replace(query, final=None), dimension)
    for value, outcome, reports in rows:
        counts[value, said.get(outcome)] += reports
    for (part, span, start, source, told), reports in tail.outcomes.items():
        if part[0] == dimension and is_asked(query, span, start, source):
            counts[part[1], told] += reports
    return [
        PartOutcome(_told(value), outcome, reports)
        for (value, outcome), reports in sorted(counts.items(), key=lambda item: item[0][0])
        if query.final is None or (outcome is not None and outcome.final == query.final)
    ]


def _prices(
    connection: sqlite3.Connection, query: TotalsQuery, dimension: Dimension, tail: PartSums
) -> list[PartPrice]:
    sums: defaultdict[tuple[str, str, bool], Amount] = defaultdict(lambda: Amount(0, Decimal(0)))
    rows = _rows(connection, _PRICES, "price_total", query, dimension)
    for value, currency, final, reports, sum in rows:
        pay(sums[value, currency, bool(final)], reports, Decimal(sum))
    for (part, span, start, source, final, currency), amount in tail.prices.items():
        if part[0] == dimension and is_asked(query, span, start, source, final):
            pay(sums[part[1], currency, final], amount.reports, amount.sum)
    return [
        PartPrice(_told(value), currency, final, amount.reports, amount.sum)
        for (value, currency, final), amount in sorted(sums.items())
    ]


def _durations(
    connection: sqlite3.Connection, query: TotalsQuery, dimension: Dimension, tail: PartSums
) -> list[PartDuration]:
    counts: Counter[tuple[str, int]] = Counter()
    for value, bin, reports in _rows(connection, _DURATIONS, "duration_total", query, dimension):
        counts[value, bin] += reports
    for (part, span, start, source, final, bin), reports in tail.durations.items():
        if part[0] == dimension and is_asked(query, span, start, source, final):
            counts[part[1], bin] += reports
    return [
        PartDuration(_told(value), bin, reports) for (value, bin), reports in sorted(counts.items())
    ]


def _rows(
    connection: sqlite3.Connection, ask: str, table: str, query: TotalsQuery, dimension: Dimension
) -> Iterable[tuple[Any, ...]]:
    """What `ask` says of a table of totals, by source or by part."""
    where, values = where_of(query, with_final=table != "total")
    if dimension == "source":
        return connection.execute(ask.format(value="source", of=table, where=where), values)
    of = f"part_{table} JOIN part ON part.id = part"
    where = f"part_{table}.dimension = ? AND {where}"
    return connection.execute(ask.format(value="value", of=of, where=where), (dimension, *values))


def _by_source(sums: Sums) -> PartSums:
    """What is not written yet, by source."""
    by = PartSums()
    for (span, start, source, outcome), cell in sums.outcomes.items():
        by.outcomes[("source", source), span, start, source, outcome] += cell.reports
    for (span, start, source, final, currency), amount in sums.prices.items():
        by.prices[("source", source), span, start, source, final, currency] = amount
    for (span, start, source, final, bin), reports in sums.durations.items():
        by.durations[("source", source), span, start, source, final, bin] += reports
    return by


def _told(value: str) -> str | None:
    return None if value == OTHER else value
