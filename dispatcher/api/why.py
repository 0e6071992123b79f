"""Why a report went where it went: what the API, the command line and the pages show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from dispatcher.api.dispatches import DispatchId
from dispatcher.endpoints.registry import Registry
from dispatcher.forming.why import Judged, Known, Verdict, judged, summary
from dispatcher.queue.base import DispatchQueue, Readings, StoredAttempt, StoredDispatch
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.settings.settings import OWN_URLS
from receiver.answers import Count, Id, Instant, answer, timestamp, web
from receiver.api.parameters import in_path, number, only
from receiver.routes import NOT_THERE, Reply, Route
from receiver.store.base import ReportStore, StoredReport

DISPATCHES_MOST = 1_000
"""Dispatches of one report that are looked at, the newest: a report has one an endpoint, and one
more for each replay."""


class LastAttempt(Struct, frozen=True, rename="camel"):
    started_at: Instant
    status: Annotated[int | None, Meta(description="HTTP status; null if there was no answer")]
    outcome: str
    error: str | None

    @classmethod
    def of(cls, attempt: StoredAttempt) -> LastAttempt:
        return cls(timestamp(attempt.started_at), attempt.status, attempt.outcome, attempt.error)


class CarryingDispatch(Struct, frozen=True, rename="camel"):
    id: DispatchId
    state: DispatchState
    attempts: Count
    due_at: Instant | None
    last_attempt: LastAttempt | None

    @classmethod
    def of(cls, dispatch: StoredDispatch, last: StoredAttempt | None) -> CarryingDispatch:
        due_at = timestamp(dispatch.due_at)
        told = None if last is None else LastAttempt.of(last)
        return cls(dispatch.id, dispatch.state, dispatch.attempts, due_at, told)


Following = Annotated[
    str | None, Meta(description="What happens next, or what you can do; null if nothing")
]


class EndpointVerdict(Struct, frozen=True, rename="camel"):
    """What one endpoint did with the report. If the endpoint took it, `verdict` is the state of the
    dispatch that carries it, or `paused`, `held` (it waits for an earlier report of its message) or
    `unread` (the endpoint will take it). Otherwise it says why not: `refused` by a rule, `later`
    (the endpoint was added after the report came in), `passed` (its rules were different at that
    time), `forgotten` (retention has removed the dispatches of that time), `gone` (the endpoint has
    left the settings file) or `unusable` (its settings cannot be read)."""

    endpoint: str
    verdict: Verdict
    words: Annotated[
        str, Meta(description="The verdict as a sentence, with every rule that says no")
    ]
    rule: Annotated[
        str | None,
        Meta(
            description="The first rule that says no, by its name in the settings file. `notifyUrl`"
            " stands for whether the report came with its own URL"
        ),
    ]
    expected: Annotated[str | None, Meta(description="What the rule requires")]
    got: Annotated[str | None, Meta(description="What the report has")]
    dispatches: Annotated[
        Sequence[CarryingDispatch],
        Meta(description="The dispatches that carry the report, newest first"),
    ]
    next: Following

    @classmethod
    def of(cls, one: Judged, last_attempts: Mapping[str, StoredAttempt]) -> EndpointVerdict:
        no = one.refusal
        return cls(
            endpoint=one.endpoint,
            verdict=one.verdict,
            words=one.words,
            rule=None if no is None else no.rule,
            expected=None if no is None else no.expected,
            got=None if no is None else no.got,
            dispatches=[
                CarryingDispatch.of(each, last_attempts.get(each.id)) for each in one.dispatches
            ],
            next=one.following,
        )


class WhyAnswer(Struct, frozen=True, rename="camel"):
    """Where a report went, and where it did not."""

    report: Id
    message_id: str | None
    source: str
    words: Annotated[str, Meta(description="A summary of all endpoints")]
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
        last = await self._queue.last_attempts([each.id for each in dispatches])
        known = await self._known(report, dispatches, readings, last)
        now = self._now()
        every = [judged(report, each, readings.forgotten_to, now) for each in known]
        words, following = summary(report, every)
        return WhyAnswer(
            report=report.id,
            message_id=report.read().message_id,
            source=report.source,
            words=words,
            next=following,
            endpoints=[EndpointVerdict.of(each, last) for each in every],
        )

    async def _known(
        self,
        report: StoredReport,
        dispatches: Sequence[StoredDispatch],
        readings: Readings,
        last_attempts: Mapping[str, StoredAttempt],
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
                last_attempts=last_attempts,
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
        "Shows where a report went, and by which rule it did not go elsewhere",
        {200: Reply("A verdict for each endpoint", WhyAnswer), 404: NOT_THERE},
        [in_path("id", Id, "The id that dlr gave the report")],
    )
    async def show(self, request: web.Request) -> web.Response:
        only(request.query)
        found = await self._why.of_id(number(request.match_info["id"], "id"))
        if found is None:
            raise web.HTTPNotFound(text=f"there is no report {request.match_info['id']}")
        return answer(found)
