"""Attempts of all dispatches in the order in which they were recorded, for whoever follows them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from dispatcher.api.dispatches import AttemptEvent
from receiver.answers import timestamp
from receiver.api.event_stream import Happened, Query
from receiver.api.parameters import TEXT, Filter
from receiver.store.sqlite.database import Database, instant

_AFTER = """
    SELECT attempt.id, (SELECT name FROM queue_name) || '-' || dispatch, endpoint, number, reports,
        started_at, duration_ms, status, outcome, error, state, due_at
    FROM attempt JOIN dispatch ON dispatch.id = attempt.dispatch
    WHERE attempt.id > ? ORDER BY attempt.id LIMIT ?
"""


class AttemptTrack:
    """Implements receiver.event_stream.Track: attempts, as they are recorded.

    `state` and `dueAt` are those of the dispatch when it is told, not when it happened.
    """

    name = "attempt"
    filters: Sequence[Filter] = (Filter("endpoint", TEXT, "Attempts to this endpoint only."),)
    told: type[Struct] = AttemptEvent

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self) -> int:
        return await self._database.read(_newest)

    async def after(self, event_id: int, limit: int) -> Sequence[Happened]:
        rows = await self._database.read(
            lambda connection: connection.execute(_AFTER, (event_id, limit)).fetchall()
        )
        return [Happened(row[0], _told(row)) for row in rows]

    def wanted(self, event: Happened, query: Query) -> bool:
        return "endpoint" not in query or event.answer.endpoint == query["endpoint"]


def _newest(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'attempt'").fetchone()
    return row[0] if row else 0


def _told(row: Sequence[Any]) -> AttemptEvent:
    _, dispatch, endpoint, number, reports, started_at, duration_ms, *rest = row
    status, outcome, error, state, due_at = rest
    return AttemptEvent(
        dispatch=dispatch,
        endpoint=endpoint,
        number=number,
        reports=reports,
        started_at=timestamp(instant(started_at)),
        duration_ms=round(duration_ms, 1),
        status=status,
        outcome=outcome,
        error=error,
        state=state,
        due_at=timestamp(None if due_at is None else instant(due_at)),
    )
