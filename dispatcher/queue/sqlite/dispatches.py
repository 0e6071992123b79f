"""The one place where a dispatch comes to be, whoever forms it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint, Target
from dispatcher.queue.base import Bucket, Lease
from dispatcher.queue.sqlite import ordering
from receiver.store.sqlite.database import micros

_INSERT = """
    INSERT INTO dispatch (endpoint, url, content_type, authorization, state, attempts, created_at,
        due_at, lease, lease_until, first_report, last_report, reports, replay)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class NewDispatch(Struct, frozen=True, kw_only=True):
    """A dispatch to be: what it brings and where to. Instants are in microseconds.

    `report_ids` ascend. With a `lease` it is leased from the start, otherwise it waits.
    """

    endpoint: str
    target: Target
    body: bytes
    report_ids: Sequence[int]
    created_at: int
    due_at: int
    attempts: int = 0
    lease: Lease | None = None
    replay: int | None = None


def insert_dispatch(connection: sqlite3.Connection, new: NewDispatch) -> int:
    """Store it with its bytes and its reports. Returns its id. What follows from that, the database
    does by itself (dispatcher/retrying/consequences.py)."""
    to, members = new.target, new.report_ids
    state, lease, until = "waiting", None, None
    if new.lease is not None:
        state, lease, until = "leased", new.lease.token, micros(new.lease.until)
    where = (new.endpoint, to.url, to.content_type, to.authorization)
    when = (state, new.attempts, new.created_at, new.due_at, lease, until)
    span = (members[0], members[-1], len(members))
    number = connection.execute(_INSERT, (*where, *when, *span, new.replay)).lastrowid
    assert number is not None
    connection.execute("INSERT INTO dispatch_body VALUES (?, ?)", (number, new.body))
    connection.executemany(
        "INSERT INTO dispatch_report VALUES (?, ?)", [(report, number) for report in members]
    )
    return number


def form_dispatch(
    connection: sqlite3.Connection,
    endpoint: Endpoint,
    bucket: Bucket,
    body: bytes,
    at: int,
    *,
    lease: Lease | None = None,
    replay: int | None = None,
) -> int:
    """Make a bucket a dispatch that is due at once; at an endpoint that keeps the order, its
    messages are under way then. Returns its id."""
    new = NewDispatch(
        endpoint=endpoint.name,
        target=bucket.target,
        body=body,
        report_ids=[report.id for report in bucket.reports],
        created_at=at,
        due_at=at,
        lease=lease,
        replay=replay,
    )
    number = insert_dispatch(connection, new)
    if endpoint.ordered:
        keys = [report.message_key for report in bucket.reports]
        ordering.set_under_way(connection, endpoint.name, keys, number)
    return number
