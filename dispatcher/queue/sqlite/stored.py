"""Dispatches and attempts as they are stored, for whoever shows them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import structs

from dispatcher.queue.base import StoredAttempt, StoredDispatch
from dispatcher.queue.sqlite.members import members_of
from dispatcher.queue.sqlite.names import DispatchNames
from dispatcher.retrying.dispatch import DispatchState
from receiver.store.instants import instant, instant_or_none
from receiver.store.sqlite.rows import LISTED, listed

# What has ended tells where it went, what is open where it will go.
_STORED = """
    SELECT id, endpoint, iif(state IN ('waiting', 'leased'),
            coalesce((SELECT url FROM endpoint WHERE name = dispatch.endpoint), url), url),
        state, attempts, created_at, due_at, reports, webhook_id_end,
        iif(reports, NULL, (SELECT message_id FROM event_message WHERE dispatch = dispatch.id))
    FROM dispatch
"""


def stored_dispatches(
    connection: sqlite3.Connection, names: DispatchNames, rest: str, values: Sequence[Any]
) -> list[StoredDispatch]:
    """The dispatches that `rest`, the end of a statement, finds."""
    rows = connection.execute(f"{_STORED} {rest}", values).fetchall()
    members = members_of(connection, [row[0] for row in rows])
    return [_stored_dispatch(row, names, members.get(row[0], [])) for row in rows]


def _stored_dispatch(
    row: Sequence[Any], names: DispatchNames, report_ids: Sequence[int]
) -> StoredDispatch:
    number, endpoint, url, state, attempts, created_at, due_at, reports, end, event_of = row
    return StoredDispatch(
        id=names.name(number),
        endpoint=endpoint,
        url=url,
        state=state,
        attempts=attempts,
        created_at=instant(created_at),
        due_at=instant_or_none(due_at),
        reports=reports,
        report_ids=report_ids,
        webhook_id=names.webhook_id(number, end),
        event_of=event_of,
    )


def of_reports(
    reports: Sequence[int], before: int, endpoint: str | None, state: DispatchState | None
) -> tuple[str, list[int | str]]:
    """The condition of dispatches that have one of these reports, and its values."""
    given: dict[str, int | str | None] = {
        f"id IN (SELECT dispatch FROM dispatch_report WHERE report IN {LISTED})": listed(reports),
        "id < ?": before,
        "endpoint = ?": endpoint,
        "state = ?": state,
    }
    conditions = {text: value for text, value in given.items() if value is not None}
    return " AND ".join(conditions), list(conditions.values())


LAST = "number = (SELECT attempts FROM dispatch WHERE id = attempt.dispatch)"
"""Which attempt of a dispatch is its last one."""


def attempts_of(
    connection: sqlite3.Connection, numbers: Iterable[int], which: str = "true"
) -> dict[int, list[StoredAttempt]]:
    """The attempts of each of these dispatches, in order; `which` is a condition on them."""
    these = (listed(numbers),)
    lost = f"SELECT dispatch, number FROM unrecorded_attempt WHERE dispatch IN {LISTED}"
    unrecorded = Counter(connection.execute(lost, these).fetchall())
    found: dict[int, list[StoredAttempt]] = {}
    for dispatch, nth, at, *rest in connection.execute(
        "SELECT dispatch, number, started_at, duration_ms, status, outcome, error, answer, note"
        f" FROM attempt WHERE dispatch IN {LISTED} AND {which} ORDER BY dispatch, number",
        these,
    ):
        attempt = StoredAttempt(nth, instant(at), *rest)
        times = unrecorded[dispatch, nth]
        told = structs.replace(attempt, unrecorded=times) if times else attempt
        found.setdefault(dispatch, []).append(told)
    return found
