"""What happened in a window, for a capture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dispatcher.capsule.base import CapturedReport, Span, Window
from dispatcher.capsule.capsule import SharedDispatch
from dispatcher.capsule.rows import asked_of, dispatches_of, reports_of, span_of
from receiver.store.sqlite.database import Database

REPORT_SPAN = """
    SELECT min(id), max(id) FROM report INDEXED BY report_received
    WHERE received_at >= :since AND received_at < :until
"""
DISPATCH_SPAN = """
    SELECT min(d.id), max(d.id) FROM dispatch_report m CROSS JOIN dispatch d ON d.id = m.dispatch
    WHERE m.report BETWEEN :first AND :last AND d.endpoint = :endpoint AND d.replay IS NULL
"""
_REPORTS = """
    SELECT received_at, source, format, item FROM report r
    WHERE id BETWEEN :first AND :last AND received_at >= :since AND received_at < :until
    AND (:endpoint IS NULL OR EXISTS (
        SELECT 1 FROM dispatch_report m JOIN dispatch d ON d.id = m.dispatch
        WHERE m.report = r.id AND d.endpoint = :endpoint
    )) ORDER BY id
"""
_DISPATCHES = """
    SELECT d.id, d.created_at, d.reports, d.state, a.started_at, a.duration_ms, a.outcome, a.status
    FROM dispatch d LEFT JOIN attempt a ON a.dispatch = d.id
    WHERE d.id BETWEEN :first AND :last AND d.endpoint = :endpoint AND d.replay IS NULL
    AND EXISTS (
        SELECT 1 FROM dispatch_report m JOIN report r ON r.id = m.report
        WHERE m.report BETWEEN d.first_report AND d.last_report AND m.dispatch = d.id
        AND r.received_at >= :since AND r.received_at < :until
    ) ORDER BY d.id, a.number
"""


class SqliteRecording:
    """Implements Recording."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report_span(self, window: Window) -> Span | None:
        return span_of(await self._rows(REPORT_SPAN, window))

    async def dispatch_span(self, window: Window, first: int, last: int) -> Span | None:
        return span_of(await self._rows(DISPATCH_SPAN, window, first, last))

    async def reports(self, window: Window, first: int, last: int) -> Sequence[CapturedReport]:
        return reports_of(await self._rows(_REPORTS, window, first, last))

    async def dispatches(self, window: Window, first: int, last: int) -> Sequence[SharedDispatch]:
        return list(dispatches_of(await self._rows(_DISPATCHES, window, first, last)))

    async def _rows(
        self, query: str, window: Window, first: int = 0, last: int = 0
    ) -> Sequence[tuple[Any, ...]]:
        asked = asked_of(window, first, last)
        return await self._database.question(lambda c: c.execute(query, asked).fetchall())
