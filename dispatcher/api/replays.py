"""Replays: the routes under /api, and what they and the command line show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from dispatcher.replay.pace import Original, Rate
from dispatcher.replay.replay import (
    InvalidReplay,
    Item,
    Replay,
    ReplayState,
    Selected,
    UnknownReplay,
    eta,
)
from dispatcher.replay.replaying import Made, Replaying
from dispatcher.replay.request import ReplayRequest, Request, Selection, read_request
from receiver.answers import BadQuery, Count, Id, Instant, Next, answer, fault, timestamp, web
from receiver.api.audit import tell
from receiver.api.parameters import (
    PAGE,
    PageQuery,
    in_path,
    in_query,
    next_cursor,
    number,
    page_of,
    page_query,
)
from receiver.dlr.item import write_item
from receiver.faults import without_credentials
from receiver.routes import AMBIGUOUS, NOT_THERE, Reply, RequestBody, Route, ref
from receiver.store.base import ReportStore

# --- what goes over the wire -------------------------------------------------------------------


class ReplaySelection(Selection, frozen=True):
    __doc__ = Selection.__doc__


NeverDispatched = Annotated[Count, Meta(description=("Reports that match but never went anywhere"))]


class ReplayAnswer(Struct, frozen=True, rename="camel"):
    """All counts are counts of reports. What a replay leaves out is told when it is made."""

    id: Id
    key: str | None
    state: ReplayState
    created_at: Instant
    started_at: Instant | None
    last_fed_at: Instant | None
    ended_at: Instant | None
    selection: Annotated[dict[str, Any], Meta(extra_json_schema=ref("ReplaySelection"))]
    to_endpoint: str | None
    to: str | None
    rate: str | None
    pace: Literal["original"] | None
    speed: float | None
    stop_on_errors: float | None
    total: Count
    fed: Count
    acknowledged: Count
    waiting: Count
    exhausted: Count
    cancelled: Count
    dropped: Count
    attempts: Count
    failed_attempts: Count
    eta: Instant | None
    never_dispatched: NeverDispatched | UnsetType = UNSET
    endpoints_gone: Mapping[str, Count] | UnsetType = UNSET

    @classmethod
    def of(cls, replay: Replay, now: datetime, found: Selected | None = None) -> ReplayAnswer:
        """`found` is what it was made of, when it was made just now."""
        counts, pace = replay.counts, replay.pace
        return cls(
            id=replay.id,
            key=replay.key,
            state=replay.state,
            created_at=timestamp(replay.created_at),
            started_at=timestamp(replay.started_at),
            last_fed_at=timestamp(replay.progress.last_at),
            ended_at=timestamp(replay.ended_at),
            selection=_in_their_words(replay.selection),
            to_endpoint=replay.endpoint,
            to=replay.url,
            rate=str(pace) if isinstance(pace, Rate) else None,
            pace="original" if isinstance(pace, Original) else None,
            speed=pace.speed if isinstance(pace, Original) else None,
            stop_on_errors=replay.stop_on_errors,
            total=replay.total,
            fed=replay.fed,
            acknowledged=counts.get("acknowledged", 0),
            waiting=replay.waiting,
            exhausted=counts.get("exhausted", 0),
            cancelled=counts.get("cancelled", 0),
            dropped=replay.dropped,
            attempts=replay.attempts,
            failed_attempts=replay.failed_attempts,
            eta=timestamp(eta(replay, now)),
            never_dispatched=UNSET if found is None else found.undispatched,
            endpoints_gone=UNSET if found is None else found.gone,
        )


def _in_their_words(selection: Selection) -> dict[str, Any]:
    """A selection in the words in which it was asked for."""
    shown: dict[str, Any] = msgspec.to_builtins(selection)
    instants = {"since": selection.since, "until": selection.until}
    return shown | {name: timestamp(at) for name, at in instants.items() if at is not None}


class ReplayPage(Struct, frozen=True):
    replays: Sequence[ReplayAnswer]
    next: Next


class SelectedReport(Struct, frozen=True, rename="camel"):
    """A report and where it would go."""

    report: Id
    endpoint: str
    received_at: Instant
    source: str
    message_id: str | None
    status: str | None


class DryRun(Struct, frozen=True, rename="camel"):
    """What a replay would do. `first` are the first reports that it would push."""

    dry_run: Literal[True]
    total: Count
    never_dispatched: NeverDispatched
    endpoints_gone: Mapping[str, Count]
    first: Sequence[SelectedReport]


async def selected_reports(store: ReportStore, items: Sequence[Item]) -> list[SelectedReport]:
    """The first rows of a selection, without those that are gone."""
    reports = {each.id: each for each in await store.reports_by_id([i.report for i in items])}
    shown = []
    for item in items:
        if (stored := reports.get(item.report)) is not None:
            written = write_item(stored.read())
            selected = SelectedReport(
                report=item.report,
                endpoint=item.endpoint,
                received_at=timestamp(stored.received_at),
                source=stored.source,
                message_id=written.get("messageId"),
                status=(written.get("status") or {}).get("name"),
            )
            shown.append(selected)
    return shown


async def dry_run_of(replaying: Replaying, store: ReportStore, asked: Request) -> DryRun:
    """What a replay that somebody outside asks for would be. Raises BadQuery, AmbiguousMessage."""
    found = await replaying.find(asked, from_outside=True)
    first = await selected_reports(store, found.first)
    return DryRun(True, found.total, found.undispatched, found.gone, first)


async def replay_page(replaying: Replaying, query: PageQuery) -> ReplayPage:
    """A page of the replays, newest first."""
    # one more tells whether there is a next page
    found = await replaying.replays.all(query.before, query.limit + 1)
    page, following = page_of(found, query.limit)
    now = replaying.now()
    return ReplayPage([ReplayAnswer.of(each, now) for each in page], next_cursor(following))


# --- routes ------------------------------------------------------------------------------------

_IN_PATH = [in_path("id", Id, "The id of the replay")]


class ReplayApi:
    """Makes replays, shows them, and cancels them."""

    def __init__(self, replaying: Replaying, store: ReportStore) -> None:
        self._replaying = replaying
        self._store = store

    @Route(
        "GET",
        "/api/replays",
        "listReplays",
        "Replays, newest first",
        {200: Reply("a page", ReplayPage)},
        in_query(PAGE),
        also=[ReplaySelection],
    )
    async def list(self, request: web.Request) -> web.Response:
        return answer(await replay_page(self._replaying, page_query(request.query)))

    @Route(
        "POST",
        "/api/replays",
        "makeReplay",
        "Pushes stored reports again",
        {
            200: Reply(
                (
                    "A replay with this `key` exists already; or, with `dryRun`, what the replay"
                    " would do"
                ),
                (ReplayAnswer, DryRun),
            ),
            201: Reply("the replay", ReplayAnswer),
            409: AMBIGUOUS,
            413: "The body is larger than server.body_limit",
        },
        body=RequestBody(
            ReplayRequest,
            examples={
                "exhausted": {"state": "exhausted", "since": "2026-11-21T14:00:00+01:00"},
                "elsewhere": {"ids": [1], "to": "https://acme.example/dlr", "rate": "50/s"},
            },
        ),
    )
    async def make(self, request: web.Request) -> web.Response:
        asked, only_tried = read_request(_body(await request.read()), self._replaying.now())
        if only_tried:
            tell(request, outcome="dry run")
            return answer(await dry_run_of(self._replaying, self._store, asked))
        made = await self._replaying.make(asked, from_outside=True)
        tell(request, subject=str(made.replay.id), **told_of_replay(made))
        return answer(self._answer(made.replay, made.found), status=201 if made.new else 200)

    @Route(
        "GET",
        "/api/replays/{id}",
        "showReplay",
        "The progress of a replay",
        {200: Reply("the replay", ReplayAnswer), 404: NOT_THERE},
        _IN_PATH,
    )
    async def show(self, request: web.Request) -> web.Response:
        try:
            found = await self._replaying.replays.one(_id(request))
        except UnknownReplay as unknown:
            raise web.HTTPNotFound(text=str(unknown)) from unknown
        return answer(self._answer(found))

    @Route(
        "POST",
        "/api/replays/{id}/cancel",
        "cancelReplay",
        "Cancels a replay: nothing more of it is pushed",
        {
            200: Reply("The replay as it is now", ReplayAnswer),
            404: NOT_THERE,
            409: "Its state does not allow that",
        },
        _IN_PATH,
    )
    async def cancel(self, request: web.Request) -> web.Response:
        try:
            cancelled = await self._replaying.cancel(_id(request))
        except UnknownReplay as unknown:
            raise web.HTTPNotFound(text=str(unknown)) from unknown
        except InvalidReplay as error:
            return fault(409, "invalid_transition", str(error))
        return answer(self._answer(cancelled))

    def _answer(self, replay: Replay, found: Selected | None = None) -> ReplayAnswer:
        return ReplayAnswer.of(replay, self._replaying.now(), found)


def told_of_replay(made: Made) -> dict[str, Any]:
    """What the audit has of a replay. Which reports it was asked for is kept with the replay."""
    replay = made.replay
    target = replay.endpoint if replay.url is None else without_credentials(replay.url)
    told = {"reports": replay.total, "to": target, "new": made.new}
    return {name: value for name, value in told.items() if value is not None}


def _body(raw: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        text = f'expected a JSON object such as {{"state":"exhausted"}}: {error}'
        raise BadQuery(text) from error


def _id(request: web.Request) -> int:
    return number(request.match_info["id"], "id")
