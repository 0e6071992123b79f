"""Why a report went where it went: what the API, the command line and the pages show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from dispatcher.api.dispatches import DispatchId
from dispatcher.endpoints.registry import Registry
from dispatcher.forming.why import Judged, Known, Verdict, judged, summary
from dispatcher.queue.base import DispatchQueue, Readings, StoredDispatch
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.settings.settings import OWN_URLS
from receiver.answers import Count, Id, Instant, answer, timestamp, web
from receiver.api.parameters import in_path, number, only
from receiver.routes import NOT_THERE, Reply, Route
from receiver.store.base import ReportStore, StoredReport

DISPATCHES_MOST = 1_000
"""Dispatches of one report that are looked at, the newest: a report has one an endpoint, and one
more for each replay."""


class CarryingDispatch(Struct, frozen=True, rename="camel"):
    id: DispatchId
    state: DispatchState
    attempts: Count
    due_at: Instant | None

    @classmethod
    def of(cls, dispatch: StoredDispatch) -> CarryingDispatch:
        due_at = timestamp(dispatch.due_at)
        return cls(dispatch.id, dispatch.state, dispatch.attempts, due_at)


Following = Annotated[
    str | None, Meta(description="what comes next, or what can be done; null: nothing")
]


class EndpointVerdict(Struct, frozen=True, rename="camel"):
    """Of one endpoint. `verdict` is the state of the dispatch that carries the report; or `paused`,
    `held` (for the order's sake), `unread` (it will take it); or why it does not: `refused` by a
    rule, `later` (added after the report had come), `passed` (its rules were others then),
    `forgotten` (retention has removed the dispatches of that time), `gone` (left the settings
    file), `unusable` (its settings cannot be read)."""

    endpoint: str
    verdict: Verdict
    words: Annotated[str, Meta(description="the same as a sentence; every rule that says no")]
    rule: Annotated[
        str | None,
        Meta(
            description="the first rule that says no, as the settings file calls it; `notifyUrl`:"
            " whether the report came with a URL of its own"
        ),
    ]
    expected: Annotated[str | None, Meta(description="what the rule expects")]
    got: Annotated[str | None, Meta(description="what the report has")]
    dispatches: Annotated[
        Sequence[CarryingDispatch], Meta(description="that carry the report, newest first")
    ]
    next: Following

    @classmethod
    def of(cls, one: Judged) -> EndpointVerdict:
        no = one.refusal
        return cls(
            endpoint=one.endpoint,
            verdict=one.verdict,
            words=one.words,
            rule=None if no is None else no.rule,
            expected=None if no is None else no.expected,
            got=None if no is None else no.got,
            dispatches=[CarryingDispatch.of(each) for each in one.dispatches],
            next=one.following,
        )


class WhyAnswer(Struct, frozen=True, rename="camel"):
    """Where a report went, and where it did not."""

    report: Id
    message_id: str | None
    source: str
    words: Annotated[str, Meta(description="of all endpoints together, as a sentence")]
    next: Following
    endpoints: Sequence[EndpointVerdict]


class Why:
    """Looks up what is known of a report, and has it judged. `set_aside` are the endpoints for
    which this process forms no dispatches now; what another one has set aside is not stored."""

    def __init__(
        self,
        store: ReportStore,
        queue: DispatchQueue,
        registry: Registry,
        now: Callable[[], datetime],
        set_aside: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._store = store
        self._queue = queue
        self._registry = registry
        self._now = now
        self._set_aside = set_aside

    async def of_id(self, report_id: int) -> WhyAnswer | None:
        """None when there is no such report."""
        found = await self._store.reports_by_id([report_id])
        return await self.of(found[0]) if found else None

    async def of(self, report: StoredReport) -> WhyAnswer:
        # In this order: what is taken meanwhile is in a dispatch then, and not lost between both.
        readings = await self._queue.readings(report)
        dispatches = await self._queue.dispatches(report_ids=[report.id], limit=DISPATCHES_MOST)
        known = await self._known(report, dispatches, readings)
        now = self._now()
        every = [judged(report, each, readings.forgotten_to, now) for each in known]
        words, following = summary(report, every)
        return WhyAnswer(
            report=report.id,
            message_id=report.read().message_id,
            source=report.source,
            words=words,
            next=following,
            endpoints=[EndpointVerdict.of(each) for each in every],
        )

    async def _known(
        self, report: StoredReport, dispatches: Sequence[StoredDispatch], readings: Readings
    ) -> list[Known]:
        """Of every endpoint in force and gone, and of removed ones that had the report."""
        listed = await self._registry.listed()
        worked_for = await self._registry.worked_for()
        had = dict.fromkeys(each.endpoint for each in dispatches)
        names = [name for name in listed if _concerns(name, report, had)]
        return [
            Known(
                name=name,
                endpoint=listed.get(name),
                reading=readings.by_endpoint.get(name),
                dispatches=[each for each in dispatches if each.endpoint == name],
                worked_for=name in worked_for,
                set_aside=name in self._set_aside(),
                first=not readings.by_endpoint,
            )
            for name in dict.fromkeys([*names, *had])
        ]


def _concerns(name: str, report: StoredReport, had: Collection[str]) -> bool:
    """The endpoint of reports with a URL of their own has nothing to say to others."""
    return name != OWN_URLS or report.notify_to is not None or name in had


class WhyApi:
    """The route."""

    def __init__(self, why: Why) -> None:
        self._why = why

    @Route(
        "GET",
        "/api/reports/{id}/why",
        "showWhy",
        "Where a report went, and by which rule it did not go elsewhere",
        {200: Reply("a verdict for each endpoint", WhyAnswer), 404: NOT_THERE},
        [in_path("id", Id, "of the report, ours")],
    )
    async def show(self, request: web.Request) -> web.Response:
        only(request.query)
        found = await self._why.of_id(number(request.match_info["id"], "id"))
        if found is None:
            raise web.HTTPNotFound(text=f"there is no report {request.match_info['id']}")
        return answer(found)
