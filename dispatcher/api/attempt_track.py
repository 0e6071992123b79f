"""Attempts of all dispatches as events, for whoever follows them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from dispatcher.api.dispatches import AttemptEvent
from dispatcher.observe.base import AttemptHistory, RecordedAttempt
from receiver.answers import timestamp
from receiver.api.event_stream import Happened, Query
from receiver.api.parameters import TEXT, Filter


class AttemptTrack:
    """Implements receiver.api.event_stream.Track: attempts, as they are recorded.

    `state` and `dueAt` are those of the dispatch when it is told, not when it happened.
    """

    name = "attempt"
    filters: Sequence[Filter] = (
        Filter("endpoint", "endpoint", TEXT, "Attempts to this endpoint only."),
    )
    told: type[Struct] = AttemptEvent

    def __init__(self, attempts: AttemptHistory) -> None:
        self._attempts = attempts

    async def newest(self) -> int:
        return await self._attempts.newest()

    async def after(self, event_id: int, limit: int) -> Sequence[Happened]:
        found = await self._attempts.after(event_id, limit)
        return [Happened(attempt.id, _told(attempt)) for attempt in found]

    def wanted(self, event: Happened, query: Query) -> bool:
        return "endpoint" not in query or event.answer.endpoint == query["endpoint"]


def _told(attempt: RecordedAttempt) -> AttemptEvent:
    return AttemptEvent(
        dispatch=attempt.dispatch,
        endpoint=attempt.endpoint,
        number=attempt.number,
        reports=attempt.reports,
        started_at=timestamp(attempt.started_at),
        duration_ms=round(attempt.duration_ms, 1),
        status=attempt.status,
        outcome=attempt.outcome,
        error=attempt.error,
        state=attempt.state,
        due_at=timestamp(attempt.due_at),
    )
