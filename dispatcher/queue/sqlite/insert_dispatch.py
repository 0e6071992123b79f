"""The one place where a dispatch comes to be, whoever forms it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint, Target
from dispatcher.forming.bucket import is_as_stored
from dispatcher.queue.base import Bucket, Lease
from dispatcher.queue.sqlite import ordering
from dispatcher.queue.sqlite.many_rows import insert_rows
from dispatcher.queue.sqlite.members import write_members
from receiver.dlr.model import Generation
from receiver.store.base import Message
from receiver.store.instants import micros

_INSERT = """
    INSERT INTO dispatch (id, endpoint, url, content_type, authorization, generation, state,
        attempts, created_at, due_at, lease, lease_until, first_report, last_report, reports,
        replay, webhook_id_end)
"""
_LAST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'dispatch'"


class NewDispatch(Struct, frozen=True):
    """A dispatch to be stored, with its reports, whose messages are under way from then on.

    With a `lease` it is leased from the start, otherwise it waits. `body` None: its bytes are not
    kept. Reports ascend, instants are in microseconds; what carries no report has none. `messages`
    are those of an endpoint that keeps the order. `webhook_id_end` is new, and random.
    """

    endpoint: str
    to: Target
    generation: Generation | None
    body: bytes | None
    report_ids: Sequence[int]
    webhook_id_end: str
    created_at: int
    due_at: int
    messages: Sequence[Message] = ()
    attempts: int = 0
    lease: Lease | None = None
    replay: int | None = None


def insert_dispatches(connection: sqlite3.Connection, new: Sequence[NewDispatch]) -> Sequence[int]:
    """Store dispatches. Returns their ids. What follows, the database does by itself
    (retrying/consequences.py)."""
    last: int = connection.execute(_LAST).fetchone()[0]
    numbers = range(last + 1, last + 1 + len(new))
    numbered = list(zip(numbers, new, strict=True))
    insert_rows(connection, _INSERT, [_row(number, each) for number, each in numbered])
    bodies = [(number, each.body) for number, each in numbered if each.body is not None]
    insert_rows(connection, "INSERT INTO dispatch_body", bodies)
    members = [(number, each.report_ids) for number, each in numbered if each.report_ids]
    write_members(connection, members)
    for number, each in numbered:
        ordering.set_under_way(connection, each.endpoint, each.messages, number)
    return numbers


def _row(number: int, new: NewDispatch) -> tuple[Any, ...]:
    lease, to, ids = new.lease, new.to, new.report_ids
    span = (ids[0], ids[-1], len(ids)) if ids else (0, 0, 0)
    return (
        number,
        new.endpoint,
        to.url,
        to.content_type,
        to.authorization,
        new.generation,
        "waiting" if lease is None else "leased",
        new.attempts,
        new.created_at,
        new.due_at,
        None if lease is None else lease.token,
        None if lease is None else micros(lease.until),
        *span,
        new.replay,
        new.webhook_id_end,
    )


def new_dispatch(
    endpoint: Endpoint,
    bucket: Bucket,
    body: bytes | None,
    at: int,
    *,
    webhook_id_end: str,
    lease: Lease | None = None,
    replay: int | None = None,
) -> NewDispatch:
    """A bucket as a dispatch that is due at once. With a lease its bytes are kept only if they
    could not be made again as they are."""
    reports = bucket.reports
    return NewDispatch(
        endpoint=endpoint.name,
        to=bucket.target,
        generation=bucket.generation,
        body=None if lease is not None and is_as_stored(bucket) else body,
        report_ids=[report.id for report in reports],
        messages=[report.message for report in reports] if endpoint.ordered else (),
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
    message_id: str,
    at: int,
) -> int:
    """Make the bytes of an event that is no report a dispatch that is due at once. Returns its id.
    `new_id` makes what its webhook-id ends with. `message_id`: of which message it is."""
    return _insert_event(connection, endpoint, to, body, message_id, new_id(), at)


_EVENT = """
    SELECT endpoint, url, content_type, authorization, body, message_id FROM dispatch
    JOIN dispatch_body ON dispatch_body.dispatch = id
    LEFT JOIN event_message ON event_message.dispatch = id
    WHERE id = ? AND reports = 0
"""


def repeat_event(
    connection: sqlite3.Connection, dispatch: int, webhook_id_end: str, at: int
) -> int | None:
    """Make the bytes of an event's dispatch another one that is due at once. Returns its id; None
    when its bytes are no more."""
    row = connection.execute(_EVENT, (dispatch,)).fetchone()
    if row is None:
        return None
    endpoint, url, content_type, authorization, body, message_id = row
    to = Target(url, content_type, authorization)
    return _insert_event(connection, endpoint, to, body, message_id, webhook_id_end, at)


def _insert_event(
    connection: sqlite3.Connection,
    endpoint: str,
    to: Target,
    body: bytes,
    message_id: str | None,
    webhook_id_end: str,
    at: int,
) -> int:
    """`message_id` None: nobody knows it, of an event from before 0018."""
    event = NewDispatch(
        endpoint=endpoint,
        to=to,
        generation=None,
        body=body,
        report_ids=(),
        webhook_id_end=webhook_id_end,
        created_at=at,
        due_at=at,
    )
    (number,) = insert_dispatches(connection, [event])
    if message_id is not None:
        connection.execute("INSERT INTO event_message VALUES (?, ?)", (number, message_id))
    return number
