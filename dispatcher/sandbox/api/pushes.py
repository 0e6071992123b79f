"""GET /sandbox/pushes: each attempt to push, with what was sent and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta, Struct, structs

from dispatcher.api.dispatches import DispatchId, HttpStatus, Note, OutcomeName, dispatch_answers
from dispatcher.queue.base import DispatchQueue
from dispatcher.sandbox.explained import what_happened
from dispatcher.sandbox.seen import Newest, SeenPush, text_of
from receiver.answers import Id, Instant, Next, answer, timestamp
from receiver.api.parameters import (
    CURSOR,
    EXACT,
    LIMIT,
    LIMIT_DEFAULT,
    Filter,
    in_query,
    next_cursor,
    page_of,
    read_query,
)
from receiver.faults import without_credentials
from receiver.routes import Reply, Route
from receiver.store.base import ReportStore


class SandboxPush(Struct, frozen=True, kw_only=True, rename="camel"):
    """an attempt"""

    id: Id
    dispatch: DispatchId
    endpoint: str
    url: Annotated[str, Meta(description="Without user name, password and query")]
    message_ids: Sequence[str]
    number: Annotated[int, Meta(ge=1, description="The number of the attempt; 1 is the first")]
    at: Instant
    duration_ms: float
    status: HttpStatus
    outcome: OutcomeName
    explanation: Annotated[str, Meta(description="What happened, in words")]
    error: str | None
    note: Note
    headers: Annotated[Mapping[str, str], Meta(description="Secrets are shown as …")]
    body: Annotated[str, Meta(description="What was sent; at most its first 64 KiB")]
    answer: Annotated[str, Meta(description="At most its first KiB")]
    due_at: Annotated[
        Instant | None, Meta(description=("When the next attempt is due; null if there is none"))
    ]


class SandboxPushPage(Struct, frozen=True):
    pushes: list[SandboxPush]
    next: Next


class PushQuery(Struct, frozen=True):
    after: int = 0
    limit: int = LIMIT_DEFAULT
    message_id: str | None = None


_FILTERS: Final = (
    LIMIT,
    structs.replace(CURSOR, field="after"),
    Filter("messageId", EXACT, "Only attempts with a report of this message."),
)


class PushesApi:
    """The route under /sandbox."""

    def __init__(
        self, pushes: Newest[SeenPush], queue: DispatchQueue, reports: ReportStore
    ) -> None:
        self._pushes = pushes
        self._queue = queue
        self._reports = reports

    @Route(
        "GET",
        "/sandbox/pushes",
        "getSandboxPushes",
        "The newest push attempts, oldest first",
        {200: Reply("A page", SandboxPushPage)},
        parameters=in_query(_FILTERS),
        caller="tester",
    )
    async def pushes(self, request: web.Request) -> web.Response:
        """What was pushed, in its order; at most the newest 1000 since the start or a reset."""
        query = PushQuery(**read_query(request.query, _FILTERS))
        seen = list(self._pushes.after(query.after))
        told = await pushes_told(seen, self._queue, self._reports)
        found = (each for each in told if query.message_id in (None, *each.message_ids))
        shown, last = page_of(list(islice(found, query.limit + 1)), query.limit)
        return answer(SandboxPushPage(list(shown), next_cursor(last)))


async def pushes_told(
    seen: Sequence[tuple[int, SeenPush]], queue: DispatchQueue, reports: ReportStore
) -> list[SandboxPush]:
    """These attempts, in words and with the messages whose reports they brought. Raises
    StoreUnavailable."""
    message_ids = await _message_ids({each.dispatch for _, each in seen}, queue, reports)
    return [_told(number, each, message_ids[each.dispatch]) for number, each in seen]


async def _message_ids(
    dispatches: set[str], queue: DispatchQueue, reports: ReportStore
) -> dict[str, Sequence[str]]:
    """The messages of each of these dispatches; none of one that is no longer kept."""
    found = [await queue.dispatch(name) for name in dispatches]
    stored = [each[0] for each in found if each is not None]
    told = await dispatch_answers(reports, stored)
    return {**dict.fromkeys(dispatches, ()), **{each.id: each.message_ids for each in told}}


def _told(number: int, push: SeenPush, message_ids: Sequence[str]) -> SandboxPush:
    url = without_credentials(push.url)
    return SandboxPush(
        id=number,
        dispatch=push.dispatch,
        endpoint=push.endpoint,
        url=url,
        message_ids=message_ids,
        number=push.number,
        at=timestamp(push.at),
        duration_ms=round(push.answer.duration_ms, 1),
        status=push.answer.status,
        outcome=push.outcome.value,
        explanation=what_happened(url, push.outcome, push.answer),
        error=push.answer.error,
        note=push.answer.note,
        headers=push.headers,
        body=push.body,
        answer=text_of(push.answer.body),
        due_at=timestamp(push.due_at),
    )
