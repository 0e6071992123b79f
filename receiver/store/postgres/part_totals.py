"""Totals by the values of a dimension, with what is not followed yet added in memory."""

from __future__ import annotations

from typing import Any

from receiver.store.base import PartTotals, TotalsQuery
from receiver.store.excerpt import Dimension
from receiver.store.merging import (
    by_source,
    part_durations,
    part_outcomes,
    part_prices,
    part_shares,
)
from receiver.store.postgres.database import Connection
from receiver.store.postgres.totals import ASKED, OF_FINALITY, asked_of, said_in, tail_of

_OF_SOURCE = "{table} AS told WHERE"
_OF_PART = """
    part_{table} AS told JOIN part ON part.id = told.part WHERE told.dimension = %(dimension)s AND
"""
_OUTCOMES = (
    f"SELECT {{value}}, outcome, sum(reports)::bigint FROM {{of}} {ASKED} GROUP BY 1, 2",
    "total",
)
_PRICES = (
    f"SELECT {{value}}, currency, final, reports, sum FROM {{of}} {ASKED} {OF_FINALITY}",
    "price_total",
)
_DURATIONS = (
    f"SELECT {{value}}, bin, sum(reports)::bigint FROM {{of}} {ASKED} {OF_FINALITY} GROUP BY 1, 2",
    "duration_total",
)
_SHARES = (
    """
    SELECT {value}, start, sum(reports * (outcome = ANY(%(delivered_outcomes)s))::int)::bigint,
        sum(reports)::bigint
    FROM {of}
    """
    f"{ASKED} AND outcome = ANY(%(final_outcomes)s) GROUP BY 1, 2",
    "total",
)


def part_totals(connection: Connection, query: TotalsQuery, dimension: Dimension) -> PartTotals:
    """The totals of one view of the database."""
    sums, lag = tail_of(connection)
    tail = by_source(sums) if dimension == "source" else sums.parts
    said = said_in(connection)
    asked = asked_of(query) | {
        "dimension": dimension,
        "delivered_outcomes": [id for id, outcome in said.items() if outcome.delivered],
        "final_outcomes": [id for id, outcome in said.items() if outcome.final],
    }

    def rows(ask: tuple[str, str]) -> list[Any]:
        statement, table = ask
        value, of = ("source", _OF_SOURCE) if dimension == "source" else ("value", _OF_PART)
        statement = statement.format(value=value, of=of.format(table=table))
        return connection.execute(statement, asked).fetchall()

    return PartTotals(
        outcomes=part_outcomes(query, dimension, said, rows(_OUTCOMES), tail),
        prices=part_prices(query, dimension, rows(_PRICES), tail),
        durations=part_durations(query, dimension, rows(_DURATIONS), tail),
        shares=part_shares(query, dimension, rows(_SHARES), tail),
        lag=lag,
    )
