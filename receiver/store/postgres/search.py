"""Where a search looks in PostgreSQL (store/searching.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from receiver.store.base import FoundReports, ReportQuery, StoredReport
from receiver.store.excerpt import ReportOutcome, read_outcome
from receiver.store.instants import micros, micros_or_null
from receiver.store.postgres.database import Connection, row_of
from receiver.store.postgres.followup import followed_to
from receiver.store.postgres.partitions import ID_BITS, first_of
from receiver.store.postgres.rows import COLUMNS, ends_of, ids_of, numbers, stored_report
from receiver.store.searching import Piece, find_in
from receiver.store.tally import HOUR

_HOUR_MICROS = HOUR * 1_000_000

_IN_A_ROW = "id BETWEEN %(low)s AND %(high)s"
_BY_ID = "id = ANY(%(ids)s::bigint[])"
_REPORTS = f"""
    SELECT {COLUMNS} FROM report WHERE {{among}}
        AND (%(after)s::bigint IS NULL OR id > %(after)s)
        AND (%(source)s::text IS NULL OR source = %(source)s)
        AND (%(final)s::boolean IS NULL OR final = %(final)s)
        AND (%(groups)s::bigint[] IS NULL OR status_group = ANY(%(groups)s::bigint[]))
        AND (%(since)s::bigint IS NULL OR received_at >= %(since)s)
        AND (%(until)s::bigint IS NULL OR received_at < %(until)s)
    ORDER BY id DESC
"""
_UNDER_TEXT = """
    SELECT report FROM search_key WHERE block = %s AND field = %s AND key = %s AND report <= %s
    ORDER BY report DESC LIMIT %s
"""
_UNDER_PREFIX = """
    SELECT report FROM search_key WHERE block = %(block)s AND field = %(field)s
        AND key >= %(prefix)s AND (%(end)s::text IS NULL OR key < %(end)s)
        AND report <= %(high)s LIMIT %(most)s
"""
_STRETCHES = f"""
    SELECT min(first_report), max(last_report) FROM total WHERE span = {HOUR}
        AND (%(source)s::text IS NULL OR source = %(source)s)
        AND (%(since)s::bigint IS NULL OR start >= %(since)s)
        AND (%(until)s::bigint IS NULL OR start * 1000000 < %(until)s)
        AND (%(outcomes)s::bigint[] IS NULL OR outcome = ANY(%(outcomes)s::bigint[]))
    GROUP BY start
"""


def find(
    connection: Connection, query: ReportQuery, message: Sequence[int] | None = None
) -> FoundReports:
    """One step of a search. `message` are the ids of its reports if the query asks for one."""
    return find_in(_Index(connection), query, message)


class _Index:
    """Implements searching.Index."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ends(self) -> tuple[int, int] | None:
        lowest, highest = ends_of(self._connection, "report")
        return None if lowest is None or highest is None else (lowest, highest)

    def runs(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """One for each partition: between two of them no id was given."""
        while low <= high:
            last = self._end("max", low, high)
            if last is None:
                return
            first = self._end("min", max(low, first_of(last >> ID_BITS)), last)
            yield first or last, last
            high = (first or last) - 1

    def _end(self, which: str, low: int, high: int) -> int | None:
        statement = f"SELECT {which}(id) FROM report WHERE id BETWEEN %s AND %s"
        (id,) = row_of(self._connection.execute(statement, (low, high)))
        return None if id is None else int(id)

    def followed_to(self) -> int:
        return followed_to(self._connection)

    def reports(self, piece: Piece, query: ReportQuery) -> Iterator[StoredReport]:
        wanted = _columns(query)
        if piece.ids is None:
            among = _IN_A_ROW
            wanted |= {"low": piece.low, "high": piece.high}
        else:
            among = _BY_ID
            wanted["ids"] = numbers(piece.ids)
        for row in self._connection.execute(_REPORTS.format(among=among), wanted):
            yield stored_report(row)

    def under_text(self, block: int, field: int, text: str, high: int, most: int) -> list[int]:
        return ids_of(self._connection, _UNDER_TEXT, (block, field, text, high, most))

    def under_prefix(
        self, block: int, field: int, prefix: str, end: str | None, high: int, most: int
    ) -> list[int]:
        wanted = {
            "block": block,
            "field": field,
            "prefix": prefix,
            "end": end,
            "high": high,
            "most": most,
        }
        return ids_of(self._connection, _UNDER_PREFIX, wanted)

    def outcomes(self) -> Iterator[tuple[int, ReportOutcome]]:
        for number, said in self._connection.execute("SELECT id, said FROM outcome"):
            yield number, read_outcome(said)

    def stretches(
        self, query: ReportQuery, outcomes: Sequence[int] | None
    ) -> list[tuple[int, int]] | None:
        since = query.received_since
        wanted = {
            "source": query.source,
            "since": None if since is None else micros(since) // _HOUR_MICROS * HOUR,
            "until": micros_or_null(query.received_until),
            "outcomes": None if outcomes is None else numbers(outcomes),
        }
        if all(value is None for value in wanted.values()):
            return None
        rows = self._connection.execute(_STRETCHES, wanted).fetchall()
        return [(first, last) for first, last in rows]


def _columns(query: ReportQuery) -> dict[str, Any]:
    """What the columns tell, so that PostgreSQL can pass over a report without handing it out."""
    return {
        "after": query.after,
        "source": query.source,
        "final": query.final,
        "groups": numbers(query.status_groups) if query.status_groups else None,
        "since": micros_or_null(query.received_since),
        "until": micros_or_null(query.received_until),
    }
