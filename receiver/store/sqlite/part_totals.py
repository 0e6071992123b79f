"""Totals by the values of a dimension, with what is not followed yet added in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from msgspec import structs

from receiver.store.base import PartTotals, TotalsQuery
from receiver.store.excerpt import Dimension
from receiver.store.merging import by_source, part_durations, part_outcomes, part_prices
from receiver.store.sqlite.totals import COSTS_BEHIND, said_in, tail_of, where_of

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
    tail = by_source(sums) if dimension == "source" else sums.parts
    any_final = structs.replace(query, final=None)
    counts = _rows(connection, _OUTCOMES, "total", any_final, dimension)
    paid = _rows(connection, _PRICES, "price_total", query, dimension)
    took = _rows(connection, _DURATIONS, "duration_total", query, dimension)
    return PartTotals(
        outcomes=part_outcomes(query, dimension, said_in(connection), counts, tail),
        prices=part_prices(query, dimension, paid, tail),
        durations=part_durations(query, dimension, took, tail),
        lag=lag + (costs if dimension == "source" else max(costs, parts)),
    )


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
