"""The one place where a dispatch comes to be, whoever forms it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dispatcher.endpoints.endpoint import Target
from dispatcher.forming.new_dispatch import NewDispatch, new_event, row_of
from dispatcher.queue.postgres import ordering
from dispatcher.queue.postgres.arrays import columns_of
from dispatcher.queue.rows import are_far_apart
from receiver.store.postgres.database import Connection

# One statement and one round trip, however many dispatches there are.
_INSERT = """
    WITH given AS (
        SELECT * FROM unnest(
            %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::integer[],
            %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[],
            %s::integer[], %s::bigint[], %s::text[], %s::bytea[], %s::boolean[]
        ) WITH ORDINALITY AS new (
            endpoint, url, content_type, authorization_header, generation, state, attempts,
            created_at, due_at, lease, lease_until, first_report, last_report,
            reports, replay, webhook_id_end, body, far, nth
        )
    ),
    numbered AS MATERIALIZED (SELECT nextval('dispatch_id') AS id, given.* FROM given),
    carried AS MATERIALIZED (
        SELECT id, report, far FROM unnest(%s::bigint[], %s::bigint[]) AS member (nth, report)
        JOIN numbered USING (nth)
    ),
    stored AS (
        INSERT INTO dispatch (id, endpoint, url, content_type, authorization_header, generation,
            state, attempts, created_at, due_at, lease, lease_until, first_report, last_report,
            reports, replay, webhook_id_end)
        SELECT id, endpoint, url, content_type, authorization_header, generation,
            state, attempts, created_at, due_at, lease, lease_until, first_report, last_report,
            reports, replay, webhook_id_end
        FROM numbered ORDER BY nth
    ),
    bodies AS (
        INSERT INTO dispatch_body (dispatch, body)
        SELECT id, body FROM numbered WHERE body IS NOT NULL
    ),
    members AS (INSERT INTO dispatch_report (report, dispatch) SELECT report, id FROM carried),
    listed AS (
        INSERT INTO dispatch_members (dispatch, reports)
        SELECT id, array_agg(report ORDER BY report) FROM carried WHERE far GROUP BY id
    )
    SELECT id FROM numbered ORDER BY nth
"""


def insert_dispatches(connection: Connection, new: Sequence[NewDispatch]) -> Sequence[int]:
    """Store dispatches. Returns their ids. What follows, the database does by itself
    (retrying/consequences.py)."""
    if not new:
        return ()
    rows = [(*row_of(each), each.body, _far(each.report_ids)) for each in new]
    members = [(nth, report) for nth, each in enumerate(new, 1) for report in each.report_ids]
    values = [*columns_of(rows, 18), *columns_of(members, 2)]
    numbers = [number for (number,) in connection.execute(_INSERT, values)]
    ordering.set_under_way(
        connection,
        [
            (each.endpoint, message, number)
            for number, each in zip(numbers, new, strict=True)
            for message in dict.fromkeys(each.messages)
        ],
    )
    return numbers


def _far(reports: Sequence[int]) -> bool:
    return bool(reports) and are_far_apart(reports)


def insert_event(
    new_id: Callable[[], str],
    connection: Connection,
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
    SELECT endpoint, url, content_type, authorization_header, body, message_id FROM dispatch
    JOIN dispatch_body ON dispatch_body.dispatch = id
    LEFT JOIN event_message ON event_message.dispatch = id
    WHERE id = %s AND reports = 0
"""


def repeat_event(connection: Connection, dispatch: int, webhook_id_end: str, at: int) -> int | None:
    """Make the bytes of an event's dispatch another one that is due at once. Returns its id; None
    when its bytes are no more."""
    row = connection.execute(_EVENT, (dispatch,)).fetchone()
    if row is None:
        return None
    endpoint, url, content_type, authorization, body, message_id = row
    to = Target(url, content_type, authorization)
    return _insert_event(connection, endpoint, to, body, message_id, webhook_id_end, at)


def _insert_event(
    connection: Connection,
    endpoint: str,
    to: Target,
    body: bytes,
    message_id: str | None,
    webhook_id_end: str,
    at: int,
) -> int:
    event = new_event(endpoint, to, body, webhook_id_end, at)
    (number,) = insert_dispatches(connection, [event])
    if message_id is not None:
        connection.execute(
            "INSERT INTO event_message (dispatch, message_id) VALUES (%s, %s)",
            (number, message_id),
        )
    return number
