"""How endpoints are: what they answered in the last hour and day, what waits for them, and how much
they are given. The API, the command line and the pages call `Healths.of`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from dispatcher.api.settings_types import told_type
from dispatcher.endpoints.registry import Registered, Registry, UnknownEndpoint
from dispatcher.flow.gate import Flows
from dispatcher.observe.base import (
    Activity,
    ActivitySpan,
    AttemptActivity,
    AttemptCount,
    Backlog,
    Depths,
    LatenessCount,
    QueueFigures,
    Waiting,
)
from dispatcher.observe.first_loss import OLDEST, first_loss
from dispatcher.retrying.outcome import Outcome
from dispatcher.retrying.schedule import RetrySchedule
from receiver.answers import Count, Instant, answer, timestamp, web
from receiver.api.parameters import in_path
from receiver.routes import NOT_THERE, Reply, Route
from receiver.settings.settings import Name
from receiver.store.histogram import percentiles

BACKLOG_MOST = 10_000
"""Waiting dispatches that are counted for one answer, of all endpoints together."""

_NOTHING = Backlog(0, 0, 0)
_SECOND = timedelta(seconds=1)
_ACKNOWLEDGED = Outcome.ACKNOWLEDGED.value  # looking it up costs as much as adding up

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


class DurationFigures(Struct, frozen=True):
    """How long attempts took, in milliseconds. null if there were none."""

    p50: float | None
    p95: float | None


class LatenessFigures(Struct, frozen=True):
    """Seconds from the receipt of a report to its acknowledgement, without replays. Each report of
    a push counts as late as the one that waited longest."""

    reports: Count
    p50: float | None
    p95: float | None


class WindowFigures(Struct, frozen=True, rename="camel"):
    """The attempts that began in this period. Percentiles are within 6 %."""

    since: Instant
    attempts: Count
    acknowledged: Count
    acknowledged_share: Annotated[Share | None, Meta(description="null if there were no attempts")]
    failures: Annotated[
        dict[str, Count], Meta(description=("Failed attempts by outcome, the most frequent first"))
    ]
    failed_statuses: Annotated[
        dict[str, Count],
        Meta(description=("Attempts that were answered, by class of status, for example `5xx`")),
    ]
    duration_ms: DurationFigures
    lateness: LatenessFigures


class BacklogFigures(Struct, frozen=True, rename="camel"):
    unread_reports: Annotated[
        Count,
        Meta(
            description=(
                "Stored reports that it has not read yet, including those that"
                " its rules will refuse"
            )
        ),
    ]
    waiting_dispatches: Count
    waiting_reports: Annotated[Count, Meta(description="Reports in waiting dispatches")]
    due_dispatches: Annotated[Count, Meta(description="Waiting dispatches that are due now")]
    at_least: Annotated[
        bool,
        Meta(
            description=(
                "true if more dispatches wait than are counted; then waitingReports"
                " and dueDispatches are too small"
            )
        ),
    ]
    oldest_waiting_seconds: Annotated[
        Seconds | None, Meta(description="Since the oldest waiting dispatch was made")
    ]
    oldest_unread_seconds: Annotated[
        Seconds | None, Meta(description="Since the oldest unread report was received")
    ]


class FirstLoss(Struct, frozen=True):
    """How long until the first dispatch is exhausted if every attempt fails from now on, and how
    many attempts it still has."""

    seconds: Seconds
    attempts: Count


class FlowFigures(Struct, frozen=True, rename="camel"):
    """Its current limits, as far as the process that answers knows them."""

    under_way: Count
    window: Count
    breaker_open: bool
    breaker_failures: Annotated[
        Count, Meta(description=("Failed attempts in a row; 0 if there is no breaker"))
    ]
    breaker_probe_at: Instant | None
    rate_limit: Annotated[
        float | None, Meta(description=("Pushes per second; null if there is no limit"))
    ]
    rate_left: Annotated[Count | None, Meta(description="Pushes that may start now")]
    slowed: Annotated[
        bool,
        Meta(
            description=(
                "It failed at once for a whole window of attempts, and now gets"
                " one window of attempts a second"
            )
        ),
    ]
    set_aside_until: Annotated[
        Instant | None, Meta(description="Present if no dispatch can be made for it")
    ]
    dispatchers: Annotated[
        Count,
        Meta(
            description=(
                "Dispatchers that work on this database, including this one. They share window"
                " and rateLimit"
            )
        ),
    ]
    window_share: Annotated[
        Count,
        Meta(
            description=(
                "This dispatcher's share of window; 0 if other dispatchers push to the endpoint"
            )
        ),
    ]
    rate_share: Annotated[
        float | None,
        Meta(description="This dispatcher's share of rateLimit; null if there is no limit"),
    ]


class EndpointHealth(Struct, frozen=True, rename="camel"):
    name: str
    paused: bool
    held: Annotated[
        bool, Meta(description=("Its stored settings cannot be read, and nothing is pushed to it"))
    ]
    gone: Annotated[bool, Meta(description="The endpoint has left the settings file")]
    last_hour: WindowFigures
    last_day: WindowFigures
    backlog: BacklogFigures
    first_loss: Annotated[FirstLoss | None, Meta(description="null if nothing waits")]
    flow: Annotated[
        FlowFigures | None, Meta(description="null in a process that does not push to it")
    ]


class HealthPage(Struct, frozen=True):
    endpoints: Sequence[EndpointHealth]
    behind: Annotated[Count, Meta(description="Attempts that are not counted yet")]


class Healths:
    """Answers how endpoints are. `flows` is asked at each answer."""

    def __init__(
        self,
        registry: Registry,
        figures: QueueFigures,
        activity: AttemptActivity,
        schedule: RetrySchedule,
        now: Callable[[], datetime],
        flows: Callable[[], Flows] = Flows,
    ) -> None:
        """`schedule` is that of the endpoints which have none of their own."""
        self._registry = registry
        self._figures = figures
        self._activity = activity
        self._schedule = schedule
        self._now = now
        self._flows = flows

    async def of(self, endpoint: str | None = None) -> HealthPage:
        """How all endpoints are, or this one. Raises UnknownEndpoint, StoreUnavailable."""
        found = [await self._registry.one(endpoint)] if endpoint else [*await self._all()]
        names, now = [each.name for each in found], self._now()
        schedules = {
            each.name: each.schedule or self._schedule for each in await self._registry.endpoints()
        }
        hour = await self._activity.activity("minute", now - timedelta(hours=1), endpoint)
        day = await self._activity.activity("hour", now - timedelta(days=1), endpoint)
        depths = await self._figures.depths()
        most = BACKLOG_MOST // max(len(names), 1)
        backlogs = await self._figures.backlogs(names, now, most)
        oldest = await self._figures.oldest_waiting(names, OLDEST)
        windows = _windows(hour, now, "minute"), _windows(day, now, "hour")
        flows = self._flows()
        return HealthPage(
            [
                EndpointHealth(
                    name=each.name,
                    paused=each.paused,
                    held=bool(each.faults),
                    gone=each.gone,
                    last_hour=windows[0](each.name),
                    last_day=windows[1](each.name),
                    backlog=_backlog(each.name, depths, backlogs.get(each.name, _NOTHING), now),
                    first_loss=_first_loss(
                        oldest.get(each.name, ()), schedules.get(each.name, self._schedule), now
                    ),
                    flow=_flow(each.name, flows),
                )
                for each in found
            ],
            day.lag,
        )

    async def _all(self) -> Iterable[Registered]:
        return (await self._registry.listed()).values()


def _windows(
    activity: Activity, now: datetime, span: ActivitySpan
) -> Callable[[str], WindowFigures]:
    """What each endpoint did, out of the counts of all."""
    since = (
        (now - timedelta(hours=1)).replace(second=0, microsecond=0)
        if span == "minute"
        else (now - timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
    )
    attempts: defaultdict[str, list[AttemptCount]] = defaultdict(list)
    for attempt in activity.attempts:
        attempts[attempt.endpoint].append(attempt)
    late: defaultdict[str, list[LatenessCount]] = defaultdict(list)
    for each in activity.lateness:
        late[each.endpoint].append(each)
    return lambda name: _window(since, attempts[name], late[name])


def _window(
    since: datetime, counts: Iterable[AttemptCount], late: Iterable[LatenessCount]
) -> WindowFigures:
    total = acknowledged = 0
    failures: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    durations: Counter[int] = Counter()
    for each in counts:
        total += each.attempts
        durations[each.bin] += each.attempts
        if each.outcome == _ACKNOWLEDGED:
            acknowledged += each.attempts
            continue
        failures[each.outcome] += each.attempts
        if each.status_class:
            statuses[f"{each.status_class}xx"] += each.attempts
    p50, p95 = _percentiles(durations)
    lateness = Counter({each.bin: each.reports for each in late})
    late_p50, late_p95 = _percentiles(lateness)
    return WindowFigures(
        since=timestamp(since),
        attempts=total,
        acknowledged=acknowledged,
        acknowledged_share=round(acknowledged / total, 4) if total else None,
        failures=dict(failures.most_common()),
        failed_statuses=dict(statuses.most_common()),
        duration_ms=DurationFigures(p50, p95),
        lateness=LatenessFigures(lateness.total(), _seconds(late_p50), _seconds(late_p95)),
    )


def _percentiles(bins: Counter[int]) -> tuple[float | None, float | None]:
    """The 50th and the 95th, in milliseconds."""
    if not bins:
        return None, None
    p50, p95 = percentiles(sorted(bins.items()), (50, 95))
    return p50, p95


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds / 1000, 3)


def _backlog(name: str, depths: Depths, waiting: Backlog, now: datetime) -> BacklogFigures:
    dispatches = depths.dispatches.get((name, "waiting"), 0)
    return BacklogFigures(
        unread_reports=depths.unread.get(name, 0),
        waiting_dispatches=dispatches,
        waiting_reports=waiting.reports,
        due_dispatches=waiting.due,
        at_least=dispatches > waiting.dispatches,
        oldest_waiting_seconds=_age(depths.oldest_waiting.get(name), now),
        oldest_unread_seconds=_age(depths.oldest_unread.get(name), now),
    )


def _age(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else round(max((now - since) / _SECOND, 0.0), 3)


def _first_loss(
    waiting: Sequence[Waiting], schedule: RetrySchedule, now: datetime
) -> FirstLoss | None:
    loss = first_loss(waiting, schedule, now)
    return None if loss is None else FirstLoss(loss.time_left / _SECOND, loss.attempts_left)


def _flow(name: str, flows: Flows) -> FlowFigures | None:
    flow = flows.of.get(name)
    if flow is None:
        return None
    return FlowFigures(
        under_way=flow.under_way,
        window=flow.window,
        breaker_open=flow.breaker_open,
        breaker_failures=flow.breaker_failures,
        breaker_probe_at=timestamp(flow.probe_at),
        rate_limit=flow.rate_limit,
        rate_left=flow.rate_left,
        slowed=flow.slowed,
        set_aside_until=timestamp(flows.set_aside.get(name)),
        dispatchers=flows.dispatchers,
        window_share=flow.window_share,
        rate_share=flow.rate_share,
    )


class HealthApi:
    """`Healths` over HTTP."""

    def __init__(self, healths: Healths) -> None:
        self._healths = healths

    @Route(
        "GET",
        "/api/endpoint-health",
        "showHealth",
        (
            "The health of all endpoints: attempts of the last hour and day, what waits, and the"
            " current limits of each"
        ),
        {200: Reply("All endpoints", HealthPage)},
    )
    async def all(self, _: web.Request) -> web.Response:
        return answer(await self._healths.of())

    @Route(
        "GET",
        "/api/endpoints/{name}/health",
        "showEndpointHealth",
        "The health of one endpoint",
        {200: Reply("A list with this endpoint", HealthPage), 404: NOT_THERE},
        [in_path("name", told_type(Name), "its name")],
    )
    async def one(self, request: web.Request) -> web.Response:
        try:
            return answer(await self._healths.of(request.match_info["name"]))
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
