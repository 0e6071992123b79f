"""Dispatches: the routes under /api, and what they and the command line show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Self, get_args

from msgspec import Meta, Struct, structs

from dispatcher.queue.base import (
    DispatchQueue,
    DispatchSearch,
    FoundDispatches,
    NotWaiting,
    OfMessage,
    StatusClass,
    StoredAttempt,
    StoredDispatch,
    UnknownDispatch,
)
from dispatcher.retrying.dispatch import DispatchState, InvalidTransition
from dispatcher.retrying.outcome import Outcome
from dispatcher.settings.settings import SANDBOX
from receiver.answers import BadQuery, Count, Instant, Next, answer, fault, timestamp, web
from receiver.api.filters import GROUPS
from receiver.api.parameters import (
    EXACT,
    IDS_OR_NAMES,
    INSTANT,
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
    number,
    read_query,
)
from receiver.faults import without_credentials
from receiver.routes import NOT_THERE, Reply, Route
from receiver.store.base import ReportQuery, ReportStore
from receiver.store.matching import matches

# --- answers -----------------------------------------------------------------------------------

Note = Annotated[
    str | None, Meta(description=("What was unusual about the answer; null if nothing was"))
]
DispatchId = Annotated[str, Meta(min_length=1, examples=["1f2e3d4c-7"])]
OutcomeName = Annotated[str, Meta(extra_json_schema={"enum": [each.value for each in Outcome]})]
HttpStatus = Annotated[int | None, Meta(description="HTTP status; null if there was no answer")]


class AttemptAnswer(Struct, frozen=True, rename="camel"):
    number: Annotated[int, Meta(ge=1)]
    started_at: Instant
    duration_ms: float
    status: HttpStatus
    outcome: OutcomeName
    error: str | None
    answer: Annotated[str, Meta(description="At most the first KiB of the answer's body")]
    note: Note
    unrecorded: Annotated[
        int,
        Meta(
            ge=0,
            description=(
                "How often this attempt was, or may have been, made before without being recorded"
            ),
        ),
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
    url: Annotated[str, Meta(description="Without user name, password and query")]
    state: DispatchState
    attempts: Count
    created_at: Instant
    due_at: Instant | None
    message_ids: Annotated[
        Sequence[str], Meta(description="Of the reports or the event that it carries")
    ]
    reports: Count
    webhook_id: Annotated[str, Meta(description="The header `webhook-id` of its pushes")]

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


REPORTS_AT_ONCE = 2_000
"""Reports that are looked up in one go: some milliseconds."""

DISPATCHES_AT_ONCE = 200
"""Dispatches whose reports are compared with what is asked for."""


async def dispatch_answers(
    store: ReportStore, dispatches: Sequence[StoredDispatch]
) -> list[DispatchAnswer]:
    """Dispatches with the messageIds of their reports, which are looked up for all together."""
    message_ids = await _message_ids(store, dispatches)
    return [DispatchAnswer.of(each, message_ids[each.id]) for each in dispatches]


async def with_history(
    store: ReportStore, dispatch: StoredDispatch, attempts: Sequence[StoredAttempt]
) -> DispatchWithHistory:
    return (await _with_histories(store, [dispatch], {dispatch.id: attempts}))[0]


async def _with_histories(
    store: ReportStore,
    dispatches: Sequence[StoredDispatch],
    attempts: Mapping[str, Sequence[StoredAttempt]],
) -> list[DispatchWithHistory]:
    message_ids = await _message_ids(store, dispatches)
    return [
        DispatchWithHistory.of(
            each,
            message_ids[each.id],
            history=[AttemptAnswer.of(attempt) for attempt in attempts[each.id]],
        )
        for each in dispatches
    ]


async def dispatches_with_history(
    store: ReportStore, queue: DispatchQueue, report_ids: Sequence[int]
) -> list[DispatchWithHistory]:
    """The dispatches that carry these reports, newest first, each with its attempts."""
    dispatches = await queue.dispatches(report_ids=report_ids)
    attempts = await queue.attempts([dispatch.id for dispatch in dispatches])
    return await _with_histories(store, dispatches, attempts)


async def _message_ids(
    store: ReportStore, dispatches: Sequence[StoredDispatch]
) -> dict[str, list[str]]:
    """The messages of each of these dispatches, by its id."""
    wanted = sorted({report for dispatch in dispatches for report in dispatch.report_ids})
    of_report: dict[int, str] = {}
    for start in range(0, len(wanted), REPORTS_AT_ONCE):
        for report in await store.reports_by_id(wanted[start : start + REPORTS_AT_ONCE]):
            if message_id := report.read().message_id:
                of_report[report.id] = message_id
    return {
        dispatch.id: list(
            dict.fromkeys(of_report[each] for each in dispatch.report_ids if each in of_report)
        )
        if dispatch.event_of is None
        else [dispatch.event_of]
        for dispatch in dispatches
    }


# --- what is asked for -------------------------------------------------------------------------

DISPATCH_FILTERS = (
    Filter("endpoint", TEXT, "Only dispatches to this endpoint."),
    Filter("state", choice(get_args(DispatchState)), "Only dispatches in this state."),
    Filter(
        "outcome",
        choice(each.value for each in Outcome),
        "Only dispatches whose last attempt had this outcome.",
    ),
    Filter(
        "statusClass",
        choice(get_args(StatusClass)),
        (
            "Only dispatches whose last attempt was answered with a status of this class; none: no"
            " answer."
        ),
    ),
    Filter(
        "createdSince",
        INSTANT,
        "Created at this time or later.",
        option="--since",
        old_option="--created-since",
    ),
    Filter(
        "createdUntil",
        INSTANT,
        "Created before this time.",
        option="--until",
        old_option="--created-until",
    ),
    Filter("attemptedSince", INSTANT, "Only if the last attempt began at this time or later."),
    Filter("attemptedUntil", INSTANT, "Only if the last attempt began before this time."),
    Filter(
        "statusGroup",
        GROUPS,
        "Only with a report of one of these groups, ids or names: DELIVERED,EXPIRED.",
        field="status_groups",
    ),
    Filter(
        "status",
        IDS_OR_NAMES,
        "Only with a report of one of these statuses, ids or names: 5,EXPIRED_EXPIRED.",
        field="statuses",
    ),
    Filter(
        "replay", Kind(number, {"type": "integer"}), ("Only dispatches of the replay with this id.")
    ),
    Filter(
        "messageId",
        EXACT,
        "Only dispatches that carry a report or an event of this message.",
        more=(
            "If several sources have a message with this id, all of them count unless"
            " `source` names one."
        ),
    ),
    Filter("source", EXACT, "The source of the message; only together with messageId."),
)
DISPATCH_PARAMETERS = (LIMIT, cursor(Kind(TEXT.read, DispatchId)), *DISPATCH_FILTERS)


class DispatchQuery(Struct, frozen=True, kw_only=True):
    """Which dispatches are wanted, newest first; `before` is the cursor. The rest is as in
    DispatchSearch, but for the message and the status of the reports."""

    limit: int = LIMIT_DEFAULT
    before: str | None = None
    endpoint: str | None = None
    state: DispatchState | None = None
    outcome: str | None = None
    status_class: StatusClass | None = None
    created_since: datetime | None = None
    created_until: datetime | None = None
    attempted_since: datetime | None = None
    attempted_until: datetime | None = None
    status_groups: tuple[int, ...] = ()
    statuses: tuple[int | str, ...] = ()
    replay: int | None = None
    message_id: str | None = None
    source: str | None = None

    @property
    def of_reports(self) -> ReportQuery | None:
        """What one of its reports must be; `None`: any."""
        if not self.status_groups and not self.statuses:
            return None
        return ReportQuery(status_groups=self.status_groups, statuses=self.statuses)


def dispatch_query(query: Parameters) -> DispatchQuery:
    """The filters of GET /api/dispatches. Raises BadQuery."""
    asked = DispatchQuery(**read_query(query, DISPATCH_PARAMETERS))
    if asked.source is not None and asked.message_id is None:
        raise BadQuery("source: can only be used together with messageId")
    return asked


async def dispatch_page(
    store: ReportStore, queue: DispatchQueue, query: DispatchQuery
) -> DispatchPage:
    """One page, in bounded time. It can be short, even empty, and still have a `next`. Raises
    BadQuery for a cursor that is none."""
    said = structs.asdict(query)
    message_id, source = said.pop("message_id"), said.pop("source")
    del said["status_groups"], said["statuses"]
    message = None if message_id is None else await _of_message(store, message_id, source)
    # one more tells whether there is a next page
    search = DispatchSearch(**{**said, "limit": query.limit + 1}, message=message)
    try:
        found = await _find(store, queue, search, query.of_reports)
    except UnknownDispatch as unknown:
        raise BadQuery(f"cursor: expected the id of a dispatch, got {unknown}") from unknown
    page, following = found.dispatches, found.next
    if len(page) > query.limit:
        page, following = page[:-1], page[-2].id
    return DispatchPage(await dispatch_answers(store, page), following)


async def _find(
    store: ReportStore, queue: DispatchQueue, search: DispatchSearch, wanted: ReportQuery | None
) -> FoundDispatches:
    """A step of the search; with `wanted` several, each dispatch being compared by its reports."""
    if wanted is None:
        return await queue.find(search)
    found: list[StoredDispatch] = []
    before, looked_at = search.before, 0
    while looked_at < REPORTS_AT_ONCE:
        step = await queue.find(structs.replace(search, before=before, limit=DISPATCHES_AT_ONCE))
        found += await _with_report(store, step.dispatches, wanted)
        if len(found) >= search.limit:
            return FoundDispatches(found[: search.limit], found[search.limit - 1].id)
        if (before := step.next) is None:
            break
        # A search in which nothing is found has looked at as many as it may, too.
        looked_at += sum(each.reports for each in step.dispatches) or REPORTS_AT_ONCE
    return FoundDispatches(found, before)


async def _with_report(
    store: ReportStore, dispatches: Sequence[StoredDispatch], wanted: ReportQuery
) -> list[StoredDispatch]:
    """Those that carry a report which is wanted."""
    ids = sorted({report for each in dispatches for report in each.report_ids})
    fitting: set[int] = set()
    for start in range(0, len(ids), REPORTS_AT_ONCE):
        reports = await store.reports_by_id(ids[start : start + REPORTS_AT_ONCE])
        fitting.update(report.id for report in reports if matches(report, wanted))
    return [each for each in dispatches if not fitting.isdisjoint(each.report_ids)]


async def _of_message(store: ReportStore, message_id: str, source: str | None) -> OfMessage:
    """Events are of the sandbox's own messages."""
    reports = await store.reports_of(message_id, source)
    event = message_id if source in (None, SANDBOX) else None
    return OfMessage([report.id for report in reports], event)


# --- routes ------------------------------------------------------------------------------------

_IN_PATH = [in_path("id", DispatchId, "The id of the dispatch")]


class DispatchApi:
    """The routes under /api that concern dispatches. `on_due` is called when one may have become
    due."""

    def __init__(
        self,
        store: ReportStore,
        queue: DispatchQueue,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_due: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._now = now
        self._on_due = on_due

    async def dispatches_of(self, report_ids: Sequence[int]) -> list[DispatchWithHistory]:
        """The dispatches that carry these reports, each with its attempts."""
        return await dispatches_with_history(self._store, self._queue, report_ids)

    @Route(
        "GET",
        "/api/dispatches",
        "listDispatches",
        "Dispatches, newest first. A page can be short or even empty and still have a `next`",
        {200: Reply("a page", DispatchPage)},
        in_query(DISPATCH_PARAMETERS),
    )
    async def dispatches(self, request: web.Request) -> web.Response:
        query = dispatch_query(request.query)
        return answer(await dispatch_page(self._store, self._queue, query))

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
        "Cancels a waiting dispatch",
        {
            200: Reply("The dispatch as it is now", DispatchWithHistory),
            404: NOT_THERE,
            409: "Its state does not allow that",
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

    @Route(
        "POST",
        "/api/dispatches/{id}/retry",
        "retryDispatch",
        "Makes a waiting dispatch due now. It is pushed as soon as its endpoint's window and"
        " rate limit allow it; it still waits while the endpoint is paused or its breaker is"
        " open. This uses the next attempt of its schedule",
        {
            200: Reply("The dispatch as it is now", DispatchWithHistory),
            404: NOT_THERE,
            409: "The dispatch is not waiting. The message says what to do instead",
        },
        _IN_PATH,
    )
    async def retry(self, request: web.Request) -> web.Response:
        try:
            await self._queue.retry(request.match_info["id"], self._now())
        except UnknownDispatch as unknown:
            raise web.HTTPNotFound(text=f"there is no dispatch {unknown}") from unknown
        except NotWaiting as error:
            return fault(409, "not_waiting", str(error))
        self._on_due()
        return await self.dispatch(request)
