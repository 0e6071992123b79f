"""Attempts of all dispatches as events, for whoever follows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from dispatcher.api.dispatches import DispatchId, HttpStatus, Note, OutcomeName
from dispatcher.observe.base import AttemptHistory, RecordedAttempt
from dispatcher.retrying.dispatch import DispatchState
from receiver.answers import Count, Instant, timestamp
from receiver.api.event_stream import Happened, Query
from receiver.api.parameters import TEXT, Filter


class AttemptEvent(Struct, frozen=True, rename="camel"):
    """`state` and `dueAt` are those of the dispatch at the time of the event."""

    dispatch: DispatchId
    endpoint: str
    number: Annotated[int, Meta(ge=1)]
    reports: Count
    started_at: Instant
    duration_ms: float
    status: HttpStatus
    outcome: OutcomeName
    error: str | None
    state: DispatchState
    due_at: Instant | None
    note: Note

    @classmethod
    def of(cls, attempt: RecordedAttempt) -> AttemptEvent:
        return cls(
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
            note=attempt.note,
        )


class AttemptTrack:
    """Implements receiver.api.event_stream.Track: attempts, as they are recorded."""

    name = "attempt"
    filters: Sequence[Filter] = (Filter("endpoint", TEXT, "Only attempts to this endpoint."),)
    told: type[Struct] = AttemptEvent

    def __init__(self, attempts: AttemptHistory) -> None:
        self._attempts = attempts

    async def newest(self) -> int:
        return await self._attempts.newest()

    async def after(self, event_id: int, limit: int) -> Sequence[Happened]:
        found = await self._attempts.after(event_id, limit)
        return [Happened(attempt.id, AttemptEvent.of(attempt)) for attempt in found]

    def wanted(self, event: Happened, query: Query) -> bool:
        return "endpoint" not in query or event.answer.endpoint == query["endpoint"]
