"""Where a search looks in a SQLite file (store/searching.py)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from receiver.store.base import FoundReports, ReportQuery, StoredReport
from receiver.store.excerpt import ReportOutcome, read_outcome
from receiver.store.instants import micros
from receiver.store.searching import Piece, find_in
from receiver.store.sqlite.followup import followed_to
from receiver.store.sqlite.rows import COLUMNS, LISTED, ends_of, ids_of, listed, stored_report
from receiver.store.tally import HOUR

_HOUR_MICROS = HOUR * 1_000_000

_UNDER_TEXT = """
    SELECT report FROM search_key WHERE block = ? AND field = ? AND key = ? AND report <= ?
    ORDER BY report DESC LIMIT ?
"""
_UNDER_PREFIX = """
    SELECT report FROM search_key WHERE block = ? AND field = ? AND key >= ?
        AND key < coalesce(?, x'') AND report <= ? LIMIT ?
"""


def find(
    connection: sqlite3.Connection, query: ReportQuery, message: Sequence[int] | None = None
) -> FoundReports:
    """One step of a search. `message` are the ids of its reports if the query asks for one."""
    return find_in(_Index(connection), query, message)


class _Index:
    """Implements searching.Index."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def ends(self) -> tuple[int, int] | None:
        lowest, highest = ends_of(self._connection, "report")
        return None if lowest is None or highest is None else (lowest, highest)

    def runs(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        if low <= high:
            yield low, high

    def followed_to(self) -> int:
        return followed_to(self._connection)

    def reports(self, piece: Piece, query: ReportQuery) -> Iterator[StoredReport]:
        among, ids = _among(piece)
        where, values = _columns_where(query)
        statement = f"SELECT {COLUMNS} FROM report WHERE {among}{where} ORDER BY id DESC"
        for row in self._connection.execute(statement, (*ids, *values)):
            yield stored_report(row)

    def under_text(self, block: int, field: int, text: str, high: int, most: int) -> list[int]:
        return ids_of(self._connection, _UNDER_TEXT, (block, field, text, high, most))

    def under_prefix(
        self, block: int, field: int, prefix: str, end: str | None, high: int, most: int
    ) -> list[int]:
        return ids_of(self._connection, _UNDER_PREFIX, (block, field, prefix, end, high, most))

    def outcomes(self) -> Iterator[tuple[int, ReportOutcome]]:
        for number, said in self._connection.execute("SELECT id, said FROM outcome"):
            yield number, read_outcome(said)

    def stretches(
        self, query: ReportQuery, outcomes: Sequence[int] | None
    ) -> list[tuple[int, int]] | None:
        where, values = _totals_where(query, outcomes)
        if not where:
            return None
        return self._connection.execute(
            "SELECT min(first_report), max(last_report) FROM total"
            f" WHERE span = {HOUR}{where} GROUP BY start",
            values,
        ).fetchall()


def _among(piece: Piece) -> tuple[str, Sequence[int]]:
    if piece.ids is None:
        return "id BETWEEN ? AND ?", (piece.low, piece.high)
    return f"id IN ({', '.join('?' * len(piece.ids))})", piece.ids


def _totals_where(query: ReportQuery, outcomes: Sequence[int] | None) -> tuple[str, list[Any]]:
    conditions: list[tuple[str, Any]] = []
    if query.source is not None:
        conditions.append((" AND source = ?", query.source))
    if query.received_since is not None:
        hour = micros(query.received_since) // _HOUR_MICROS * HOUR
        conditions.append((" AND start >= ?", hour))
    if query.received_until is not None:
        conditions.append((" AND start * 1000000 < ?", micros(query.received_until)))
    if outcomes is not None:
        conditions.append((f" AND outcome IN {LISTED}", listed(outcomes)))
    return "".join(text for text, _ in conditions), [value for _, value in conditions]


def _columns_where(query: ReportQuery) -> tuple[str, list[Any]]:
    """What the columns tell, so that SQLite can pass over a report without handing it out."""
    conditions: list[tuple[str, Sequence[Any]]] = []
    if query.after is not None:
        conditions.append((" AND id > ?", (query.after,)))
    if query.source is not None:
        conditions.append((" AND source = ?", (query.source,)))
    if query.final is not None:
        conditions.append((" AND final = ?", (query.final,)))
    if query.status_groups:
        marks = ", ".join("?" * len(query.status_groups))
        conditions.append((f" AND status_group IN ({marks})", query.status_groups))
    if query.received_since is not None:
        conditions.append((" AND received_at >= ?", (micros(query.received_since),)))
    if query.received_until is not None:
        conditions.append((" AND received_at < ?", (micros(query.received_until),)))
    return "".join(text for text, _ in conditions), [v for _, vs in conditions for v in vs]
