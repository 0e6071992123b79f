"""Totals out of the read model, with what it has not followed yet added in memory."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

from receiver.store.base import DurationCount, OutcomeCount, PriceSum, Totals, TotalsQuery
from receiver.store.excerpt import EXACT, ReportOutcome, read_outcome
from receiver.store.sqlite.followup import followed_to, rows_after
from receiver.store.tally import Amount, Sums, Tally

TAIL_MOST = 20_000
"""Reports after the cursor that are added up for one answer: 0.2 s (measured)."""

COSTS_BEHIND = "SELECT max(last - report, 0) FROM cost_followed"
"""Reports of which only one part is paid for (followup.py)."""


def totals(connection: sqlite3.Connection, query: TotalsQuery) -> Totals:
    """The totals of one view of the database."""
    tail, lag = tail_of(connection)
    (costs,) = connection.execute(COSTS_BEHIND).fetchone()
    return Totals(
        outcomes=_outcomes(connection, query, tail),
        prices=_prices(connection, query, tail),
        durations=_durations(connection, query, tail),
        lag=lag + costs,
    )


def tail_of(connection: sqlite3.Connection) -> tuple[Sums, int]:
    """What has not been followed, and how many reports of it are left out."""
    tally = Tally()
    last = followed_to(connection)
    for row, summary in rows_after(connection, last, TAIL_MOST):
        tally.add(row, summary)
        last = row.id
    (highest,) = connection.execute("SELECT coalesce(max(id), 0) FROM report").fetchone()
    return tally.sums(), max(0, highest - last)


def _outcomes(connection: sqlite3.Connection, query: TotalsQuery, tail: Sums) -> list[OutcomeCount]:
    said = {id: read_outcome(text) for id, text in connection.execute("SELECT * FROM outcome")}
    where, values = where_of(query)
    rows = connection.execute(
        f"SELECT start, outcome, sum(reports) FROM total WHERE {where} GROUP BY start, outcome",
        values,
    )
    counts: Counter[tuple[int, ReportOutcome | None]] = Counter()
    for start, outcome, reports in rows:
        counts[start, said.get(outcome)] += reports
    for (span, start, source, told), cell in tail.outcomes.items():
        if is_asked(query, span, start, source):
            counts[start, told] += cell.reports
    return [
        OutcomeCount(start, outcome, reports)
        for (start, outcome), reports in sorted(counts.items(), key=lambda item: item[0][0])
        if query.final is None or (outcome is not None and outcome.final == query.final)
    ]


def _prices(connection: sqlite3.Connection, query: TotalsQuery, tail: Sums) -> list[PriceSum]:
    where, values = where_of(query, with_final=True)
    rows = connection.execute(
        f"SELECT start, currency, final, reports, sum FROM price_total WHERE {where}", values
    )
    sums: defaultdict[tuple[int, str, bool], Amount] = defaultdict(lambda: Amount(0, Decimal(0)))
    for start, currency, final, reports, sum in rows:
        pay(sums[start, currency, bool(final)], reports, Decimal(sum))
    for (span, start, source, final, currency), amount in tail.prices.items():
        if is_asked(query, span, start, source, final):
            pay(sums[start, currency, final], amount.reports, amount.sum)
    return [PriceSum(*key, amount.reports, amount.sum) for key, amount in sorted(sums.items())]


def pay(amount: Amount, reports: int, sum: Decimal) -> None:
    amount.reports += reports
    amount.sum = EXACT.add(amount.sum, sum)


def _durations(
    connection: sqlite3.Connection, query: TotalsQuery, tail: Sums
) -> list[DurationCount]:
    where, values = where_of(query, with_final=True)
    rows = connection.execute(
        f"SELECT start, bin, sum(reports) FROM duration_total WHERE {where} GROUP BY start, bin",
        values,
    )
    counts: Counter[tuple[int, int]] = Counter({(start, bin): n for start, bin, n in rows})
    for (span, start, source, final, bin), reports in tail.durations.items():
        if is_asked(query, span, start, source, final):
            counts[start, bin] += reports
    return [DurationCount(*key, reports) for key, reports in sorted(counts.items())]


def where_of(query: TotalsQuery, *, with_final: bool = False) -> tuple[str, list[Any]]:
    where = "span = ? AND start >= ? AND start < ?"
    values: list[Any] = [query.span, query.since, query.until]
    if query.source is not None:
        where += " AND source = ?"
        values.append(query.source)
    if with_final and query.final is not None:
        where += " AND final = ?"
        values.append(query.final)
    return where, values


def is_asked(
    query: TotalsQuery, span: int, start: int, source: str, final: bool | None = None
) -> bool:
    return (
        span == query.span
        and query.since <= start < query.until
        and query.source in (None, source)
        and (final is None or query.final in (None, final))
    )
