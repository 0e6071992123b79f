"""One recipient's data in PostgreSQL: where it lies, and how it goes (store/tracing.py).

Whole tables are searched, because search keys follow later and may be cut off, and what lies in
quarantine has none. What is removed is gone for whoever asks. Its bytes stay in the files until
VACUUM has passed, in the write-ahead log, on standbys and in backups: those are the operator's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from receiver.store.base import Traces
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.retention import remove_quarantine, remove_reports
from receiver.store.postgres.rows import numbers
from receiver.store.recipient import Recipient
from receiver.store.tracing import bodies_of, quarantine_of, reports_of

SPAN = 10_000
"""Rows that are searched in one go."""

Found = tuple[list[int], int | None]
"""The ids that are meant, and the last id that was looked at; None when there was none."""

Search = Callable[[Connection, int, int], Found]
"""Looks at the rows after an id, at most so many."""


async def find_traces(database: Database, recipient: Recipient) -> Traces:
    """All reports, quarantine entries and bodies as received of the recipient."""
    return Traces(
        [number async for number in each_span(database, _reports(recipient))],
        [number async for number in each_span(database, _quarantine(recipient))],
        [number async for number in each_span(database, _bodies(recipient))],
    )


async def each_span(database: Database, search: Search) -> AsyncIterator[int]:
    """What `search` finds, span by span: nobody waits for the whole of it. Rows and no ids are
    counted, because ids have gaps of any length."""
    after: int | None = -(2**63)
    while after is not None:
        found, after = await database.question(partial(_span, search=search, after=after))
        for number in found:
            yield number


def _span(connection: Connection, *, search: Search, after: int) -> Found:
    return search(connection, after, SPAN)


def count_traces(connection: Connection, traces: Traces) -> dict[str, int]:
    """The rows that `erase_traces` would touch."""
    ids = numbers(traces.reports)
    keys = row_of(connection.execute(f"SELECT count(*) FROM report_key AS key {_KEYS}", (ids,)))[0]
    bodies = (ids, numbers(traces.bodies))
    emptied = row_of(connection.execute(f"SELECT count(*) FROM received_body {_BODIES}", bodies))[0]
    return {
        "report": len(traces.reports),
        "report_key": keys,
        "received_body": emptied,
        "quarantine": len(traces.quarantine),
    }


def erase_traces(connection: Connection, traces: Traces) -> dict[str, int]:
    """Remove them, within a transaction. Returns the rows of each table.

    A body as received that others' reports came in is emptied: those reports stay, and how they
    were written is not known any more. What was added up stays: it names nobody.
    """
    touched = count_traces(connection, traces)
    ids = numbers(traces.reports)
    connection.execute(f"DELETE FROM report_key AS key {_KEYS}", (ids,))
    connection.execute(
        f"UPDATE received_body SET body = '' {_BODIES}", (ids, numbers(traces.bodies))
    )
    remove_reports(connection, traces.reports)
    remove_quarantine(connection, traces.quarantine)
    return touched


_KEYS = """
    WHERE (message_key, source, identity) IN
        (SELECT message_key, source, identity FROM report WHERE id = ANY(%s::bigint[]))
"""
_BODIES = """
    WHERE body <> '' AND (id IN (SELECT body FROM report WHERE id = ANY(%s::bigint[]))
        OR id = ANY(%s::bigint[]))
"""

_REPORTS = """
    SELECT id, source, generation, item FROM report WHERE id > %s ORDER BY id LIMIT %s
"""
_QUARANTINE = """
    SELECT id, source, body, content_type, reason, place FROM quarantine
    WHERE id > %s ORDER BY id LIMIT %s
"""
_RECEIVED = """
    SELECT id, report.source, received_body.body, report.format FROM received_body
    LEFT JOIN LATERAL (SELECT source, format FROM report WHERE body = received_body.id LIMIT 1)
        AS report ON true
    WHERE id > %s ORDER BY id LIMIT %s
"""


def _reports(recipient: Recipient) -> Search:
    return partial(_search, statement=_REPORTS, recipient=recipient, of=reports_of)


def _quarantine(recipient: Recipient) -> Search:
    return partial(_search, statement=_QUARANTINE, recipient=recipient, of=quarantine_of)


def _bodies(recipient: Recipient) -> Search:
    return partial(_search, statement=_RECEIVED, recipient=recipient, of=_kept_bodies_of)


def _kept_bodies_of(recipient: Recipient, rows: Sequence[Any]) -> list[int]:
    return bodies_of(recipient, [row for row in rows if row[1] and row[2] is not None])


def _search(
    connection: Connection,
    after: int,
    most: int,
    *,
    statement: str,
    recipient: Recipient,
    of: Callable[[Recipient, list[Any]], list[int]],
) -> Found:
    """A statement's rows are of id and source, and what `of` takes."""
    rows = connection.execute(statement, (after, most)).fetchall()
    if not rows:
        return [], None
    asked = [(id, *rest) for id, source, *rest in rows if recipient.source in (None, source)]
    return of(recipient, asked), rows[-1][0]
