"""Finding reports, newest first, in steps of bounded time.

    ids          where a step looks
    ----------------------------------------------------------------------------------------
    the newest   reports after the read model's cursor: each one
    the others   with a text to look up (to, bulkId, sender): the ids under its search key
                 with status, error, source, time of receipt: the ids between the first and the
                 last of those hours that have such reports at all
                 otherwise: each one

In each case every candidate is compared with the whole query: the read model decides only how fast
an answer comes, never what it says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from receiver.store.base import FoundReports, ReportQuery, StoredReport
from receiver.store.excerpt import (
    BULK_ID,
    OTHER_OUTCOMES,
    SENDER,
    TO,
    key_of_text,
    read_outcome,
)
from receiver.store.instants import micros
from receiver.store.matching import asks_for_outcome, item_matches, outcome_matches
from receiver.store.sqlite.followup import BLOCK_BITS, followed_to
from receiver.store.sqlite.rows import (
    COLUMNS,
    LISTED,
    ends_of,
    ids_of,
    listed,
    stored_report,
)
from receiver.store.tally import HOUR

STEP = 20_000
"""Reports that one step looks at: at most 0.1 s (measured)."""

PIECE = 1_000
"""Ids that are looked at between two looks at what has been found."""

PREFIX_MOST = 5_000
"""Ids under a prefix in one block, above which the block is read in a row."""

_LOOK_UP = 4  # what a report costs that is fetched by its id, in reports that are read in a row

_HOUR_MICROS = HOUR * 1_000_000


class _Piece(Struct, frozen=True):
    """Candidates, and their price. All wanted reports from `low` up to the piece before are among
    them."""

    low: int
    where: str
    values: Sequence[Any]
    cost: int


def find(
    connection: sqlite3.Connection, query: ReportQuery, message: Sequence[int] | None = None
) -> FoundReports:
    """One step of a search. `message` are the ids of its reports if the query asks for one."""
    left = STEP
    found: list[StoredReport] = []
    where, values = _columns_where(query)
    for piece in _pieces(connection, query, message):
        rows = connection.execute(
            f"SELECT {COLUMNS} FROM report WHERE {piece.where}{where} ORDER BY id DESC",
            (*piece.values, *values),
        )
        for row in rows:
            report = stored_report(row)
            if item_matches(report, query):
                found.append(report)
                if len(found) >= query.limit:
                    return FoundReports(found, report.id)
        left -= piece.cost
        if left <= 0:
            return FoundReports(found, piece.low)
    return FoundReports(found, None)


# --- where to look -----------------------------------------------------------------------------


def _pieces(
    connection: sqlite3.Connection, query: ReportQuery, message: Sequence[int] | None
) -> Iterator[_Piece]:
    lowest, highest = ends_of(connection, "report")
    if lowest is None or highest is None:
        return
    high = highest if query.before is None else min(highest, query.before - 1)
    lowest = lowest if query.after is None else max(lowest, query.after + 1)
    if lowest > high:
        return
    if message is not None:
        ids = sorted((id for id in message if id <= high), reverse=True)
        for start in range(0, len(ids), PIECE):
            yield _by_id(ids[start : start + PIECE])
        return
    followed = followed_to(connection)
    yield from _in_a_row(max(lowest, followed + 1), high)
    high = min(high, followed)
    if (key := _key(query)) is not None:
        yield from _under_key(connection, *key, lowest, high)
    else:
        for first, last in _stretches(connection, query):
            yield from _in_a_row(max(first, lowest), min(last, high))


def _in_a_row(low: int, high: int) -> Iterator[_Piece]:
    """The ids from high down to low, both included."""
    while high >= low:
        start = max(low, high - PIECE + 1)
        yield _Piece(start, "id BETWEEN ? AND ?", (start, high), high - start + 1)
        high = start - 1


def _by_id(ids: Sequence[int]) -> _Piece:
    """Some ids, newest first."""
    marks = ", ".join("?" * len(ids))
    return _Piece(ids[-1], f"id IN ({marks})", ids, _LOOK_UP * len(ids))


def _key(query: ReportQuery) -> tuple[int, str, bool] | None:
    """Field, text, and whether it is a prefix: what there are fewest of comes first."""
    for field, text in ((TO, query.to), (BULK_ID, query.bulk_id)):
        if text is not None:
            return field, key_of_text(text), False
    if query.to_prefix:
        return TO, key_of_text(query.to_prefix), True
    return None if query.sender is None else (SENDER, key_of_text(query.sender), False)


def _under_key(
    connection: sqlite3.Connection, field: int, text: str, prefix: bool, lowest: int, high: int
) -> Iterator[_Piece]:
    for block in range(high >> BLOCK_BITS, (lowest >> BLOCK_BITS) - 1, -1):
        low = max(lowest, block << BLOCK_BITS)
        if prefix:
            yield from _under_prefix(connection, block, field, text, low, high)
        else:
            yield from _under_text(connection, block, field, text, high)
        high = (block << BLOCK_BITS) - 1
        yield _Piece(low, "id < 0", (), 1)  # this block is done, also if there was nothing in it


def _under_text(
    connection: sqlite3.Connection, block: int, field: int, text: str, high: int
) -> Iterator[_Piece]:
    statement = (
        "SELECT report FROM search_key WHERE block = ? AND field = ? AND key = ? AND report <= ?"
        " ORDER BY report DESC LIMIT ?"
    )
    while ids := ids_of(connection, statement, (block, field, text, high, PIECE // 2)):
        yield _by_id(ids)
        high = ids[-1] - 1


def _under_prefix(
    connection: sqlite3.Connection, block: int, field: int, prefix: str, low: int, high: int
) -> Iterator[_Piece]:
    statement = (
        "SELECT report FROM search_key WHERE block = ? AND field = ? AND key >= ?"
        " AND key < coalesce(?, x'') AND report <= ? LIMIT ?"
    )
    values = (block, field, prefix, _end_of(prefix), high, PREFIX_MOST)
    ids = sorted(ids_of(connection, statement, values), reverse=True)
    if len(ids) == PREFIX_MOST:
        yield from _in_a_row(low, high)
        return
    for start in range(0, len(ids), PIECE):
        yield _by_id(ids[start : start + PIECE])


def _end_of(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`; `None` when there is none."""
    text = prefix.rstrip("\U0010ffff")
    if not text:
        return None
    following = ord(text[-1]) + 1
    return text[:-1] + chr(0xE000 if following == 0xD800 else following)


def _stretches(connection: sqlite3.Connection, query: ReportQuery) -> list[tuple[int, int]]:
    """First and last id of stretches that hold all wanted reports, newest first, disjoint."""
    where, values = _totals_where(connection, query)
    if not where:
        return [(0, followed_to(connection))]
    rows = connection.execute(
        "SELECT min(first_report), max(last_report) FROM total"
        f" WHERE span = {HOUR}{where} GROUP BY start",
        values,
    )
    return _joined(rows.fetchall())


def _joined(stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(stretches):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined[::-1]


def _totals_where(connection: sqlite3.Connection, query: ReportQuery) -> tuple[str, list[Any]]:
    conditions: list[tuple[str, Any]] = []
    if query.source is not None:
        conditions.append((" AND source = ?", query.source))
    if query.received_since is not None:
        hour = micros(query.received_since) // _HOUR_MICROS * HOUR
        conditions.append((" AND start >= ?", hour))
    if query.received_until is not None:
        conditions.append((" AND start * 1000000 < ?", micros(query.received_until)))
    if asks_for_outcome(query):
        numbers = _outcome_numbers(connection, query)
        conditions.append((f" AND outcome IN {LISTED}", listed(numbers)))
    return "".join(text for text, _ in conditions), [value for _, value in conditions]


def _outcome_numbers(connection: sqlite3.Connection, query: ReportQuery) -> list[int]:
    rows = connection.execute("SELECT id, said FROM outcome")
    fitting = [id for id, said in rows if outcome_matches(read_outcome(said), query)]
    return [OTHER_OUTCOMES, *fitting]


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
