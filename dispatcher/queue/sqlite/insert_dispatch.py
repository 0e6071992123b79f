"""The one place where a dispatch comes to be, whoever forms it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from dispatcher.endpoints.endpoint import Endpoint, Target
from dispatcher.queue.base import Bucket, Lease
from dispatcher.queue.sqlite import ordering
from dispatcher.queue.sqlite.members import write_members
from receiver.store.base import Message
from receiver.store.sqlite.database import micros

_INSERT = """
    INSERT INTO dispatch (endpoint, url, content_type, authorization, state, attempts, created_at,
        due_at, lease, lease_until, first_report, last_report, reports, replay, webhook_id_end)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def insert_dispatch(
    connection: sqlite3.Connection,
    endpoint: str,
    to: Target,
    body: bytes | None,
    report_ids: Sequence[int],
    messages: Sequence[Message] = (),
    *,
    webhook_id_end: str,
    created_at: int,
    due_at: int,
    attempts: int = 0,
    lease: Lease | None = None,
    replay: int | None = None,
) -> int:
    """Store a dispatch with its bytes and its reports, whose messages are under way from now on.
    Returns its id. What follows, the database does by itself (retrying/consequences.py).

    With a `lease` it is leased from the start, otherwise it waits. `body` None: it has none yet.
    Reports ascend, instants are in microseconds; what carries no report has none. `messages` are
    those of an endpoint that keeps the order. `webhook_id_end` is new, and random.
    """
    state, token, until = "waiting", None, None
    if lease is not None:
        state, token, until = "leased", lease.token, micros(lease.until)
    where = (endpoint, to.url, to.content_type, to.authorization)
    when = (state, attempts, created_at, due_at, token, until)
    span = (report_ids[0], report_ids[-1], len(report_ids)) if report_ids else (0, 0, 0)
    number = connection.execute(_INSERT, (*where, *when, *span, replay, webhook_id_end)).lastrowid
    assert number is not None
    if body is not None:
        connection.execute("INSERT INTO dispatch_body VALUES (?, ?)", (number, body))
    if report_ids:
        write_members(connection, number, report_ids)
    ordering.set_under_way(connection, endpoint, messages, number)
    return number


def form_dispatch(
    connection: sqlite3.Connection,
    endpoint: Endpoint,
    bucket: Bucket,
    body: bytes | None,
    at: int,
    *,
    webhook_id_end: str,
    lease: Lease | None = None,
    replay: int | None = None,
) -> int:
    """Make a bucket a dispatch that is due at once. Returns its id."""
    reports = bucket.reports
    return insert_dispatch(
        connection,
        endpoint.name,
        bucket.target,
        body,
        [report.id for report in reports],
        [report.message for report in reports] if endpoint.ordered else (),
        webhook_id_end=webhook_id_end,
        created_at=at,
        due_at=at,
        lease=lease,
        replay=replay,
    )


def insert_event(
    new_id: Callable[[], str],
    connection: sqlite3.Connection,
    endpoint: str,
    to: Target,
    body: bytes,
    at: int,
) -> None:
    """Make the bytes of an event that is no report a dispatch that is due at once. `new_id` makes
    what its webhook-id ends with."""
    insert_dispatch(
        connection,
        endpoint,
        to,
        body,
        (),
        webhook_id_end=new_id(),
        created_at=at,
        due_at=at,
    )
