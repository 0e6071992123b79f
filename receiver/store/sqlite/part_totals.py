"""Totals by the values of a dimension, with what is not followed yet added in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import structs

from receiver.store.base import PartTotals, TotalsQuery
from receiver.store.excerpt import Dimension
from receiver.store.merging import (
    Said,
    by_source,
    part_durations,
    part_outcomes,
    part_prices,
    part_shares,
)
from receiver.store.sqlite.rows import listed
from receiver.store.sqlite.totals import COSTS_BEHIND, said_in, tail_of, where_of

_PARTS_BEHIND = "SELECT max(last - report, 0) FROM parts_followed"
_OUTCOMES = "SELECT {value}, outcome, sum(reports) FROM {of} WHERE {where} GROUP BY 1, 2"
_PRICES = "SELECT {value}, currency, final, reports, sum FROM {of} WHERE {where}"
_DURATIONS = "SELECT {value}, bin, sum(reports) FROM {of} WHERE {where} GROUP BY 1, 2"

_SHARES = """
    SELECT {part}, start, sum(reports * (outcome IN (SELECT value FROM json_each(?)))), sum(reports)
    FROM {table} WHERE {where} AND outcome IN (SELECT value FROM json_each(?))
    GROUP BY start, {part}
"""
"""Along the primary key, so that nothing is sorted."""


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
    said = said_in(connection)
    return PartTotals(
        outcomes=part_outcomes(query, dimension, said, counts, tail),
        prices=part_prices(query, dimension, paid, tail),
        durations=part_durations(query, dimension, took, tail),
        shares=part_shares(query, dimension, _shares(connection, said, any_final, dimension), tail),
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


def _shares(
    connection: sqlite3.Connection, said: Said, query: TotalsQuery, dimension: Dimension
) -> Iterator[tuple[str, int, int, int]]:
    """Value, start, delivered and final reports."""
    where, values = where_of(query)
    delivered = listed([id for id, outcome in said.items() if outcome.delivered])
    final = listed([id for id, outcome in said.items() if outcome.final])
    if dimension == "source":
        ask = _SHARES.format(part="source", table="total", where=where)
        yield from connection.execute(ask, (delivered, *values, final))
        return
    names = dict(connection.execute("SELECT id, value FROM part WHERE dimension = ?", (dimension,)))
    ask = _SHARES.format(part="part", table="part_total", where=f"dimension = ? AND {where}")
    for part, *counts in connection.execute(ask, (delivered, dimension, *values, final)):
        yield names[part], *counts
