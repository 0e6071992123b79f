"""Totals out of the read model, with what it has not followed yet added in memory."""

from __future__ import annotations

from typing import Any

from receiver.store.base import Totals, TotalsQuery
from receiver.store.excerpt import ReportOutcome, read_outcome
from receiver.store.merging import TAIL_MOST, durations, outcomes, prices
from receiver.store.postgres.database import Connection, row_of
from receiver.store.postgres.followup import followed_to, rows_after
from receiver.store.tally import Sums, Tally

ASKED = """
    span = %(span)s AND start >= %(since)s AND start < %(until)s
        AND (%(source)s::text IS NULL OR source = %(source)s)
"""
OF_FINALITY = "AND (%(final)s::boolean IS NULL OR final = %(final)s)"

_OUTCOMES = f"""
    SELECT start, outcome, sum(reports)::bigint FROM total WHERE {ASKED} GROUP BY start, outcome
"""
_PRICES = f"""
    SELECT start, currency, final, reports, sum FROM price_total WHERE {ASKED} {OF_FINALITY}
"""
_DURATIONS = f"""
    SELECT start, bin, sum(reports)::bigint FROM duration_total
    WHERE {ASKED} {OF_FINALITY} GROUP BY start, bin
"""


def totals(connection: Connection, query: TotalsQuery) -> Totals:
    """The totals of one view of the database."""
    tail, lag = tail_of(connection)
    asked = asked_of(query)
    return Totals(
        outcomes=outcomes(
            query, said_in(connection), connection.execute(_OUTCOMES, asked).fetchall(), tail
        ),
        prices=prices(query, connection.execute(_PRICES, asked).fetchall(), tail),
        durations=durations(query, connection.execute(_DURATIONS, asked).fetchall(), tail),
        lag=lag,
    )


def tail_of(connection: Connection) -> tuple[Sums, int]:
    """What has not been followed, and how many reports of it are left out."""
    tally = Tally()
    last = followed_to(connection)
    for row, summary in rows_after(connection, last, TAIL_MOST):
        tally.add(row, summary)
        last = row.id
    left = "SELECT count(*) FROM report WHERE id > %s"  # ids have gaps
    return tally.sums(), row_of(connection.execute(left, (last,)))[0]


def said_in(connection: Connection) -> dict[int, ReportOutcome]:
    return {id: read_outcome(said) for id, said in connection.execute("SELECT * FROM outcome")}


def asked_of(query: TotalsQuery) -> dict[str, Any]:
    """The parameters of ASKED and OF_FINALITY."""
    return {
        "span": query.span,
        "since": query.since,
        "until": query.until,
        "source": query.source,
        "final": query.final,
    }
