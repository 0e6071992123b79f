"""What statements have in common: lists as values, ids, and the row of a report."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from receiver.store.base import StoredReport
from receiver.store.callback import NotifyTo
from receiver.store.instants import instant

LISTED = "(SELECT value FROM json_each(?))"
"""In a statement: the values of a list. Its parameter is what `listed` writes."""


# Bodies overlap nowhere, so that the last one that begins at a report or before it is its only one:
# a look-up for each report, and not a comparison of each body with each report.
BODIES_OF_REPORTS = """
    (SELECT first_report FROM received_body JOIN
        (SELECT value AS report,
            (SELECT max(first_report) FROM received_body WHERE first_report <= value) AS first
        FROM json_each(?))
    ON first_report = first AND last_report >= report)
"""
"""In a statement: the bodies that some reports came in. Its parameter is what `listed` writes."""


def listed(values: Iterable[object]) -> str:
    return msgspec.json.encode(list(values)).decode()


def ids_of(connection: sqlite3.Connection, statement: str, values: Sequence[Any]) -> list[int]:
    """The first column of the rows that a statement finds."""
    return [row[0] for row in connection.execute(statement, values)]


def ends_of(
    connection: sqlite3.Connection, table: str, key: str = "id"
) -> tuple[int, int] | tuple[None, None]:
    """The lowest and the highest id of a table."""
    # Asked for as min(id), max(id) together, SQLite goes through the whole table.
    ends = f"SELECT (SELECT min({key}) FROM {table}), (SELECT max({key}) FROM {table})"
    lowest, highest = connection.execute(ends).fetchone()
    return lowest, highest


def last_id(connection: sqlite3.Connection, table: str) -> int:
    """The id that a table gave last, even if its row is gone; 0 when it gave none."""
    given = "SELECT seq FROM sqlite_sequence WHERE name = ?"
    row = connection.execute(given, (table,)).fetchone()
    return row[0] if row else 0


def days_of_keys(connection: sqlite3.Connection, after: int = -(2**63)) -> list[int]:
    """The days after this one that have keys of reports, found by one step down the key each."""
    days = []
    following = "SELECT min(day) FROM report_key WHERE day > ?"
    while (day := connection.execute(following, (after,)).fetchone()[0]) is not None:
        days.append(day)
        after = day
    return days


COLUMNS = (
    "id, received_at, source, format, generation, final, status_group, duplicates,"
    " message_key, identity, item, notify_url, notify_format"
)


def stored_report(row: Sequence[Any]) -> StoredReport:
    number, received_at, source, form, generation, final, group, duplicates, *rest = row
    key, told, item, url, wanted = rest
    return StoredReport(
        id=number,
        received_at=instant(received_at),
        source=source,
        format=form,
        generation=generation,
        final=bool(final),
        status_group=group,
        duplicates=duplicates,
        message_key=key,
        identity=told,
        item=item.encode(),
        notify_to=None if url is None else NotifyTo(url, wanted),
    )
