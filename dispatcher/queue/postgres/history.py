"""Attempts of all dispatches in the order in which they were recorded."""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.observe.base import RecordedAttempt, recorded_attempt
from receiver.store.postgres.database import Database

_AFTER = """
    SELECT attempt.id, (SELECT name FROM queue_name) || '-' || dispatch, endpoint, number, reports,
        started_at, duration_ms, status, outcome, error, state, due_at, note
    FROM attempt JOIN dispatch ON dispatch.id = attempt.dispatch
    WHERE attempt.id > %s AND attempt.id <= %s ORDER BY attempt.id LIMIT %s
"""


class PostgresHistory:
    """Implements AttemptHistory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self) -> int:
        return await self._database.read_settled("attempt_id", lambda _, settled: settled)

    async def after(self, attempt: int, limit: int) -> Sequence[RecordedAttempt]:
        rows = await self._database.read_settled(
            "attempt_id", lambda c, settled: c.execute(_AFTER, (attempt, settled, limit)).fetchall()
        )
        return [recorded_attempt(row) for row in rows]
