"""What statements have in common: lists as values, and the row of a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from receiver.store.base import StoredReport
from receiver.store.postgres.database import Connection, row_of
from receiver.store.report_rows import COLUMNS, stored_report

__all__ = [
    "COLUMNS",
    "REPORT_ID",
    "ends_of",
    "ids_of",
    "last_id",
    "numbers",
    "reports_in",
    "stored_report",
    "texts",
]

REPORT_ID = "report_id"
"""The sequence of the reports' ids."""


def numbers(values: Iterable[int | None]) -> str:
    """An array of whole numbers, as PostgreSQL reads it: `%s::bigint[]`. psycopg would write each
    element by itself, which costs five times as much."""
    return "{" + ",".join(["NULL" if each is None else str(each) for each in values]) + "}"


def texts(values: Iterable[str]) -> str:
    """A list of texts without U+0000, for `jsonb_array_elements_text(%s::jsonb)`."""
    return msgspec.json.encode(list(values)).decode()


def ids_of(connection: Connection, statement: str, values: Any) -> list[int]:
    """The first column of the rows that a statement finds."""
    return [row[0] for row in connection.execute(statement, values)]


def reports_in(connection: Connection, rest: str, values: Sequence[Any]) -> list[StoredReport]:
    """The reports that a statement finds; `rest` is what comes after FROM report."""
    statement = f"SELECT {COLUMNS} FROM report {rest}"
    return [stored_report(row) for row in connection.execute(statement, values)]


def ends_of(connection: Connection, table: str) -> tuple[int, int] | tuple[None, None]:
    """The lowest and the highest id of a table."""
    lowest, highest = row_of(connection.execute(f"SELECT min(id), max(id) FROM {table}"))
    return lowest, highest


def last_id(connection: Connection, sequence: str) -> int:
    """The id that a sequence gave last, to whatever transaction; 0 when it gave none."""
    given = "SELECT coalesce(pg_sequence_last_value(%s::regclass), 0)"
    return int(row_of(connection.execute(given, (sequence,)))[0])
