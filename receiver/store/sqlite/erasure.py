"""One recipient's data: where it lies, and how it goes.

Whole tables are searched, because search keys follow later and may be cut off, and what lies in
quarantine has none: a few seconds for each million reports. A report is the recipient's by its `to`
or its messageId. A quarantined body is if any text that it may stand for (texts.py) names the
number or the id. A body as received is if one of its items is the recipient's, be it stored of this
body, or a repeat, or unreadable.

The text is overwritten, not only unlinked (`secure_delete`), and the write-ahead log that may still
have it is emptied. Backups and logs are the operator's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable

from receiver.dlr.formats import items_of_kept
from receiver.dlr.model import Format, Report
from receiver.store.base import Traces
from receiver.store.excerpt import excerpt_of
from receiver.store.instants import MICROS_PER_DAY
from receiver.store.recipient import Recipient
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.retention import remove_reports
from receiver.store.sqlite.rows import BODIES_OF_REPORTS, LISTED, ends_of, listed

SPAN = 10_000
"""Ids that are searched in one go: 30 ms."""


async def find_traces(database: Database, recipient: Recipient) -> Traces:
    """All reports, quarantine entries and bodies as received of the recipient."""
    received = each_span(database, "received_body", _received(recipient), "first_report")
    return Traces(
        [number async for number in each_span(database, "report", _reports(recipient))],
        [number async for number in each_span(database, "quarantine", _bodies(recipient))],
        [number async for number in received],
    )


def count_traces(connection: sqlite3.Connection, traces: Traces) -> dict[str, int]:
    """The rows that `erase_traces` would touch."""
    ids = listed(traces.reports)
    keys = connection.execute(f"SELECT count(*) {_KEYS}", (ids,)).fetchone()[0]
    statement = f"SELECT count(*) FROM received_body {_BODIES}"
    bodies = connection.execute(statement, (ids, listed(traces.bodies))).fetchone()[0]
    return {
        "report": len(traces.reports),
        "report_key": keys,
        "received_body": bodies,
        "quarantine": len(traces.quarantine),
    }


def erase_traces(connection: sqlite3.Connection, traces: Traces) -> dict[str, int]:
    """Remove them, within a transaction. Returns the rows of each table.

    A body as received that others' reports came in is emptied: those reports stay, and how they
    were written is not known any more. What was added up stays: it names nobody.
    """
    touched = count_traces(connection, traces)
    ids = listed(traces.reports)
    connection.execute(f"DELETE {_KEYS}", (ids,))
    connection.execute(
        f"UPDATE received_body SET body = x'' {_BODIES}", (ids, listed(traces.bodies))
    )
    remove_reports(connection, traces.reports)
    connection.execute(f"DELETE FROM quarantine WHERE id IN {LISTED}", (listed(traces.quarantine),))
    return touched


_KEYS = f"""
    FROM report_key WHERE (day, message_key, source, identity) IN
        (SELECT received_at / {MICROS_PER_DAY}, message_key, source, identity FROM report
        WHERE id IN {LISTED})
"""
_BODIES = f"WHERE body <> x'' AND (first_report IN {BODIES_OF_REPORTS} OR first_report IN {LISTED})"

_OF_SOURCE = "source = coalesce(?, source)"

Search = Callable[[sqlite3.Connection, int, int], list[int]]
"""The ids that are meant, after one id and up to another."""


async def each_span(
    database: Database, table: str, search: Search, key: str = "id"
) -> AsyncIterator[int]:
    """What `search` finds in a table, span by span: nobody waits for the whole of it."""
    lowest, highest = await database.question(lambda connection: ends_of(connection, table, key))
    if lowest is None or highest is None:
        return
    for after in range(lowest - 1, highest, SPAN):
        for number in await database.question(_span(search, after, after + SPAN)):
            yield number


def _span(search: Search, after: int, last: int) -> Callable[[sqlite3.Connection], list[int]]:
    return lambda connection: search(connection, after, last)


def _reports(recipient: Recipient) -> Search:
    def search(connection: sqlite3.Connection, after: int, last: int) -> list[int]:
        rows = connection.execute(
            "SELECT id, generation, item FROM report WHERE id > ? AND id <= ?"
            f" AND {_OF_SOURCE} ORDER BY id",
            (after, last, recipient.source),
        )
        return [
            number
            for number, generation, item in rows
            if recipient.has(excerpt_of(item, generation))
        ]

    return search


def _bodies(recipient: Recipient) -> Search:
    def search(connection: sqlite3.Connection, after: int, last: int) -> list[int]:
        rows = connection.execute(
            "SELECT id, body, content_type, reason, place FROM quarantine"
            f" WHERE id > ? AND id <= ? AND {_OF_SOURCE} ORDER BY id",
            (after, last, recipient.source),
        )
        return [
            number
            for number, body, content_type, reason, place in rows
            if recipient.is_named_in(reason)
            or recipient.is_named_in(place)
            or recipient.is_named_in_bytes(body, content_type)
        ]

    return search


def _received(recipient: Recipient) -> Search:
    def search(connection: sqlite3.Connection, after: int, last: int) -> list[int]:
        rows = connection.execute(
            "SELECT first_report, body, min(format) FROM received_body CROSS JOIN report"
            " ON report.id BETWEEN first_report AND last_report"
            f" WHERE first_report > ? AND first_report <= ? AND body <> x'' AND {_OF_SOURCE}"
            " GROUP BY first_report",
            (after, last, recipient.source),
        )
        return [first for first, body, format in rows if _is_in(recipient, body, format)]

    return search


def _is_in(recipient: Recipient, body: bytes, format: Format) -> bool:
    """Whether a body as received has an item of the recipient's."""
    if not (recipient.may_be_in(body) or b"\\" in body or b"&" in body):  # no escapes either
        return False
    return any(
        recipient.has(item) if isinstance(item, Report) else recipient.is_named_in_bytes(item.raw)
        for item in items_of_kept(body, format)
    )
