"""Attempts of all dispatches in the order in which they were recorded."""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.observe.base import RecordedAttempt, recorded_attempt
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.rows import last_id

_AFTER = """
    SELECT attempt.id, (SELECT name FROM queue_name) || '-' || dispatch, endpoint, number, reports,
        started_at, duration_ms, status, outcome, error, state, due_at, note
    FROM attempt JOIN dispatch ON dispatch.id = attempt.dispatch
    WHERE attempt.id > ? ORDER BY attempt.id LIMIT ?
"""


class SqliteHistory:
    """Implements AttemptHistory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self) -> int:
        return await self._database.question(lambda c: last_id(c, "attempt"))

    async def after(self, attempt: int, limit: int) -> Sequence[RecordedAttempt]:
        rows = await self._database.question(
            lambda connection: connection.execute(_AFTER, (attempt, limit)).fetchall()
        )
        return [recorded_attempt(row) for row in rows]
