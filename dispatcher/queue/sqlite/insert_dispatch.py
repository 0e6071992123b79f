"""The one place where a dispatch comes to be, whoever forms it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from dispatcher.endpoints.endpoint import Target
from dispatcher.forming.new_dispatch import COLUMNS, NewDispatch, new_event, row_of
from dispatcher.queue.sqlite import ordering
from dispatcher.queue.sqlite.members import write_members
from receiver.store.sqlite.many_rows import insert_rows

_INSERT = f"INSERT INTO dispatch (id, {', '.join(COLUMNS)})"
_LAST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'dispatch'"


def insert_dispatches(connection: sqlite3.Connection, new: Sequence[NewDispatch]) -> Sequence[int]:
    """Store dispatches. Returns their ids. What follows, the database does by itself
    (retrying/consequences.py)."""
    last: int = connection.execute(_LAST).fetchone()[0]
    numbers = range(last + 1, last + 1 + len(new))
    numbered = list(zip(numbers, new, strict=True))
    insert_rows(connection, _INSERT, [(number, *row_of(each)) for number, each in numbered])
    bodies = [(number, each.body) for number, each in numbered if each.body is not None]
    insert_rows(connection, "INSERT INTO dispatch_body", bodies)
    members = [(number, each.report_ids) for number, each in numbered if each.report_ids]
    write_members(connection, members)
    for number, each in numbered:
        if each.messages:
            ordering.set_under_way(connection, each.endpoint, each.messages, number)
    return numbers


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
    event = new_event(endpoint, to, body, webhook_id_end, at)
    (number,) = insert_dispatches(connection, [event])
    if message_id is not None:
        connection.execute("INSERT INTO event_message VALUES (?, ?)", (number, message_id))
    return number
