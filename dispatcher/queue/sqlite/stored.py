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
from receiver.store.sqlite.database import instant, instant_or_none
from receiver.store.sqlite.rows import LISTED, listed

# What has ended tells where it went, what is open where it will go.
_STORED = """
    SELECT id, endpoint, iif(state IN ('waiting', 'leased'),
            coalesce((SELECT url FROM endpoint WHERE name = dispatch.endpoint), url), url),
        state, attempts, created_at, due_at, reports, webhook_id_end
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
    number, endpoint, url, state, attempts, created_at, due_at, reports, end = row
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


def attempts_of(
    connection: sqlite3.Connection, numbers: Iterable[int]
) -> dict[int, list[StoredAttempt]]:
    """The attempts of each of these dispatches, in order."""
    these = (listed(numbers),)
    lost = f"SELECT dispatch, number FROM unrecorded_attempt WHERE dispatch IN {LISTED}"
    unrecorded = Counter(connection.execute(lost, these).fetchall())
    found: dict[int, list[StoredAttempt]] = {}
    for dispatch, nth, at, *rest in connection.execute(
        "SELECT dispatch, number, started_at, duration_ms, status, outcome, error, answer, note"
        f" FROM attempt WHERE dispatch IN {LISTED} ORDER BY dispatch, number",
        these,
    ):
        attempt = StoredAttempt(nth, instant(at), *rest)
        times = unrecorded[dispatch, nth]
        told = structs.replace(attempt, unrecorded=times) if times else attempt
        found.setdefault(dispatch, []).append(told)
    return found
