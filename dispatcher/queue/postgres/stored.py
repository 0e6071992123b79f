"""Dispatches and attempts as they are stored, for whoever shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dispatcher.queue.base import StoredAttempt, StoredDispatch
from dispatcher.queue.names import DispatchNames
from dispatcher.queue.postgres.members import members_of
from dispatcher.queue.rows import stored_attempts, stored_dispatch
from dispatcher.retrying.dispatch import DispatchState
from receiver.store.postgres.database import Connection

# What has ended tells where it went, what is open where it will go.
_STORED = """
    SELECT id, endpoint, CASE WHEN state IN ('waiting', 'leased')
            THEN coalesce((SELECT url FROM endpoint WHERE name = dispatch.endpoint), url)
            ELSE url END,
        state, attempts, created_at, due_at, reports, webhook_id_end,
        CASE WHEN reports = 0
            THEN (SELECT message_id FROM event_message WHERE dispatch = dispatch.id) END
    FROM dispatch
"""


def stored_dispatches(
    connection: Connection, names: DispatchNames, rest: str, values: Sequence[Any]
) -> list[StoredDispatch]:
    """The dispatches that `rest`, the end of a statement, finds."""
    rows = connection.execute(f"{_STORED} {rest}", values).fetchall()
    members = members_of(connection, [row[0] for row in rows]) if rows else {}
    return [stored_dispatch(row, names, members.get(row[0], [])) for row in rows]


def of_reports(
    reports: Sequence[int], before: int, endpoint: str | None, state: DispatchState | None
) -> tuple[str, list[Any]]:
    """The condition of dispatches that have one of these reports, and its values."""
    given: dict[str, Any] = {
        "id IN (SELECT dispatch FROM dispatch_report WHERE report = ANY(%s::bigint[]))": [*reports],
        "id < %s": before,
        "endpoint = %s": endpoint,
        "state = %s": state,
    }
    conditions = {text: value for text, value in given.items() if value is not None}
    return " AND ".join(conditions), list(conditions.values())


LAST = "number = (SELECT attempts FROM dispatch WHERE id = attempt.dispatch)"
"""Which attempt of a dispatch is its last one."""

_UNRECORDED = "SELECT dispatch, number FROM unrecorded_attempt WHERE dispatch = ANY(%s::bigint[])"
_ATTEMPTS = """
    SELECT dispatch, number, started_at, duration_ms, status, outcome, error, answer, note
    FROM attempt WHERE dispatch = ANY(%s::bigint[]) AND {which} ORDER BY dispatch, number
"""


def attempts_of(
    connection: Connection, numbers: Iterable[int], which: str = "true"
) -> dict[int, list[StoredAttempt]]:
    """The attempts of each of these dispatches, in order; `which` is a condition on them."""
    these = (list(numbers),)
    rows = connection.execute(_ATTEMPTS.format(which=which), these).fetchall()
    unrecorded = connection.execute(_UNRECORDED, these).fetchall()
    return stored_attempts(rows, ((dispatch, number) for dispatch, number in unrecorded))
