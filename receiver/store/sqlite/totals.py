"""Totals out of the read model, with what it has not followed yet added in memory."""

from __future__ import annotations

import sqlite3
from typing import Any

from receiver.store.base import Totals, TotalsQuery
from receiver.store.excerpt import ReportOutcome, read_outcome
from receiver.store.merging import TAIL_MOST, durations, outcomes, prices
from receiver.store.sqlite.followup import followed_to, rows_after
from receiver.store.tally import Sums, Tally

COSTS_BEHIND = "SELECT max(last - report, 0) FROM cost_followed"
"""Reports of which only one part is paid for (followup.py)."""


def totals(connection: sqlite3.Connection, query: TotalsQuery) -> Totals:
    """The totals of one view of the database."""
    tail, lag = tail_of(connection)
    (costs,) = connection.execute(COSTS_BEHIND).fetchone()
    where, values = where_of(query)
    where_final, values_final = where_of(query, with_final=True)
    counts = connection.execute(
        f"SELECT start, outcome, sum(reports) FROM total WHERE {where} GROUP BY start, outcome",
        values,
    )
    paid = connection.execute(
        f"SELECT start, currency, final, reports, sum FROM price_total WHERE {where_final}",
        values_final,
    )
    took = connection.execute(
        f"SELECT start, bin, sum(reports) FROM duration_total WHERE {where_final}"
        " GROUP BY start, bin",
        values_final,
    )
    return Totals(
        outcomes=outcomes(query, said_in(connection), counts, tail),
        prices=prices(query, paid, tail),
        durations=durations(query, took, tail),
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


def said_in(connection: sqlite3.Connection) -> dict[int, ReportOutcome]:
    return {id: read_outcome(text) for id, text in connection.execute("SELECT * FROM outcome")}


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
