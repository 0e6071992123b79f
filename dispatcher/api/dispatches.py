"""Dispatches: the routes under /api, and what they and the command line show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self, get_args

from aiohttp import web
from msgspec import Meta, Struct

from dispatcher.queue.base import DispatchQueue, StoredAttempt, StoredDispatch, UnknownDispatch
from dispatcher.retrying.dispatch import DispatchState, InvalidTransition
from dispatcher.retrying.outcome import Outcome
from receiver.answers import BadQuery, Count, Instant, Next, answer, fault, timestamp
from receiver.api.parameters import (
    LIMIT,
    LIMIT_DEFAULT,
    TEXT,
    Filter,
    Kind,
    Parameters,
    choice,
    cursor,
    in_path,
    in_query,
    page_of,
    read_query,
)
from receiver.faults import without_credentials
from receiver.routes import NOT_THERE, Reply, Route
from receiver.store.base import ReportStore

# --- answers -----------------------------------------------------------------------------------

Note = Annotated[str | None, Meta(description="what was odd about the answer; null: nothing")]
DispatchId = Annotated[str, Meta(min_length=1, examples=["1f2e3d4c-7"])]
OutcomeName = Annotated[str, Meta(extra_json_schema={"enum": [each.value for each in Outcome]})]
HttpStatus = Annotated[int | None, Meta(description="of HTTP; null: there was no answer")]


class AttemptAnswer(Struct, frozen=True, rename="camel"):
    number: Annotated[int, Meta(ge=1)]
    started_at: Instant
    duration_ms: float
    status: HttpStatus
    outcome: OutcomeName
    error: str | None
    answer: Annotated[str, Meta(description="at most its first KB")]
    note: Note
    unrecorded: Annotated[
        int,
        Meta(ge=0, description="times that it was, or may have been, made before without a record"),
    ]

    @classmethod
    def of(cls, attempt: StoredAttempt) -> AttemptAnswer:
        return cls(
            number=attempt.number,
            started_at=timestamp(attempt.started_at),
            duration_ms=round(attempt.duration_ms, 1),
            status=attempt.status,
            outcome=attempt.outcome,
            error=attempt.error,
            answer=attempt.answer.decode("utf-8", "replace"),
            note=attempt.note,
            unrecorded=attempt.unrecorded,
        )


class DispatchAnswer(Struct, frozen=True, rename="camel"):
    id: DispatchId
    endpoint: str
    url: Annotated[str, Meta(description="without user, password and query")]
    state: DispatchState
    attempts: Count
    created_at: Instant
    due_at: Instant | None
    message_ids: Sequence[str]
    reports: Count
    webhook_id: Annotated[str, Meta(description="what its pushes carry as `webhook-id`")]

    @classmethod
    def of(cls, dispatch: StoredDispatch, message_ids: Sequence[str], **more: Any) -> Self:
        """`more` are the fields that it has beyond those."""
        return cls(
            id=dispatch.id,
            endpoint=dispatch.endpoint,
            url=without_credentials(dispatch.url),
            state=dispatch.state,
            attempts=dispatch.attempts,
            created_at=timestamp(dispatch.created_at),
            due_at=timestamp(dispatch.due_at),
            message_ids=message_ids,
            reports=dispatch.reports,
            webhook_id=dispatch.webhook_id,
            **more,
        )


class DispatchWithHistory(DispatchAnswer, frozen=True):
    history: Sequence[AttemptAnswer]


class DispatchPage(Struct, frozen=True):
    dispatches: Sequence[DispatchAnswer]
    next: Next


async def dispatch_answer(store: ReportStore, dispatch: StoredDispatch) -> DispatchAnswer:
    """A dispatch with the messageIds of its reports."""
    return DispatchAnswer.of(dispatch, await _message_ids(store, dispatch.report_ids))


async def with_history(
    store: ReportStore, dispatch: StoredDispatch, attempts: Sequence[StoredAttempt]
) -> DispatchWithHistory:
    message_ids = await _message_ids(store, dispatch.report_ids)
    history = [AttemptAnswer.of(attempt) for attempt in attempts]
    return DispatchWithHistory.of(dispatch, message_ids, history=history)


async def dispatches_with_history(
    store: ReportStore, queue: DispatchQueue, report_ids: Sequence[int]
) -> list[DispatchWithHistory]:
    """The dispatches that carry these reports, newest first, each with its attempts."""
    shown = []
    for dispatch in await queue.dispatches(report_ids=report_ids):
        found = await queue.dispatch(dispatch.id)
        attempts = found[1] if found else []  # retention may be faster than we are
        shown.append(await with_history(store, dispatch, attempts))
    return shown


async def _message_ids(store: ReportStore, report_ids: Sequence[int]) -> list[str]:
    reports = await store.reports_by_id(report_ids)
    ids = (report.read().message_id for report in reports)
    return list(dict.fromkeys(message_id for message_id in ids if message_id))


# --- what is asked for -------------------------------------------------------------------------

DISPATCH_FILTERS = (
    Filter("endpoint", TEXT, "Only to this endpoint."),
    Filter("state", choice(get_args(DispatchState)), "Only in this state."),
)
DISPATCH_PARAMETERS = (LIMIT, cursor(Kind(TEXT.read, DispatchId)), *DISPATCH_FILTERS)


class DispatchQuery(Struct, frozen=True):
    """Which dispatches are wanted, newest first; `before` is the cursor."""

    limit: int = LIMIT_DEFAULT
    before: str | None = None
    endpoint: str | None = None
    state: DispatchState | None = None


def dispatch_query(query: Parameters) -> DispatchQuery:
    """The filters of GET /api/dispatches. Raises BadQuery."""
    return DispatchQuery(**read_query(query, DISPATCH_PARAMETERS))


# --- routes ------------------------------------------------------------------------------------

_IN_PATH = [in_path("id", DispatchId, "of the dispatch")]


class DispatchApi:
    """The routes under /api that concern dispatches."""

    def __init__(self, store: ReportStore, queue: DispatchQueue) -> None:
        self._store = store
        self._queue = queue

    async def dispatches_of(self, report_ids: Sequence[int]) -> list[DispatchWithHistory]:
        """The dispatches that carry these reports, each with its attempts."""
        return await dispatches_with_history(self._store, self._queue, report_ids)

    @Route(
        "GET",
        "/api/dispatches",
        "listDispatches",
        "Dispatches, newest first",
        {200: Reply("a page", DispatchPage)},
        in_query(DISPATCH_PARAMETERS),
    )
    async def dispatches(self, request: web.Request) -> web.Response:
        query = dispatch_query(request.query)
        try:
            found = await self._queue.dispatches(
                before=query.before,
                limit=query.limit + 1,  # one more tells whether there is a next page
                endpoint=query.endpoint,
                state=query.state,
            )
        except UnknownDispatch as unknown:
            raise BadQuery(f"cursor: expected the id of a dispatch, got {unknown}") from unknown
        page, following = page_of(found, query.limit)
        shown = [await dispatch_answer(self._store, dispatch) for dispatch in page]
        return answer(DispatchPage(shown, following))

    @Route(
        "GET",
        "/api/dispatches/{id}",
        "showDispatch",
        "One dispatch with its attempts",
        {200: Reply("the dispatch", DispatchWithHistory), 404: NOT_THERE},
        _IN_PATH,
    )
    async def dispatch(self, request: web.Request) -> web.Response:
        found = await self._queue.dispatch(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text=f"there is no dispatch {request.match_info['id']}")
        return answer(await with_history(self._store, *found))

    @Route(
        "POST",
        "/api/dispatches/{id}/cancel",
        "cancelDispatch",
        "From waiting to cancelled",
        {
            200: Reply("the dispatch as it is now", DispatchWithHistory),
            404: NOT_THERE,
            409: "its state does not allow that",
        },
        _IN_PATH,
    )
    async def cancel(self, request: web.Request) -> web.Response:
        try:
            await self._queue.cancel(request.match_info["id"])
        except UnknownDispatch as unknown:
            raise web.HTTPNotFound(text=f"there is no dispatch {unknown}") from unknown
        except InvalidTransition as error:
            return fault(409, "invalid_transition", str(error))
        return await self.dispatch(request)
