"""What the dispatcher counts, and what is looked up at each scrape."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dispatcher.endpoints.endpoint import Endpoint, EndpointsInForce
from dispatcher.observe.base import DatabaseFiles, QueueFigures, Waiting
from dispatcher.observe.events import AttemptMade
from dispatcher.observe.first_loss import OLDEST, Loss, first_loss
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.retrying.outcome import Outcome
from dispatcher.retrying.schedule import RetrySchedule
from receiver.store.base import StoreUnavailable

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0)
_SECOND = timedelta(seconds=1)

_REPLAY = "replay"

COUNTED_MOST = 10_000
"""Reports and dispatches that a scrape goes through."""


def label_of(endpoint: str) -> str:
    """The endpoint as a label. All that are made for a replay to a URL (replay-1, replay-2, …)
    share one: each would otherwise leave its series behind for ever."""
    is_replay = endpoint.startswith("replay-") and endpoint.removeprefix("replay-").isdecimal()
    return _REPLAY if is_replay else endpoint


class AttemptMetrics:
    """Counts attempts. `attempted` is a Listener of the worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "dlr_attempts_total",
            "Attempts made, by outcome.",
            ["endpoint", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "dlr_attempt_seconds",
            "Duration of attempts, until the end of the answer.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._ended = Counter(
            "dlr_dispatches_ended_total",
            "Dispatches ended by an attempt: acknowledged or exhausted.",
            ["endpoint", "state"],
            registry=registry,
        )
        self._pushed = Counter(
            "dlr_reports_acknowledged_total",
            "Reports in acknowledged dispatches.",
            ["endpoint"],
            registry=registry,
        )

        self._of: dict[tuple[str, Outcome, DispatchState], _Children] = {}

    def attempted(self, event: AttemptMade) -> None:
        key = (label_of(event.endpoint), event.outcome, event.state)
        children = self._of.get(key)
        if children is None:
            children = self._of[key] = self._children(*key)
        children.attempts.inc()
        children.seconds.observe(event.answer.duration_ms / 1000)
        if children.ended is not None:
            children.ended.inc()
        if children.pushed is not None:
            children.pushed.inc(event.reports)

    def _children(self, endpoint: str, outcome: Outcome, state: DispatchState) -> _Children:
        return _Children(
            self._attempts.labels(endpoint, outcome.value),
            self._seconds.labels(endpoint),
            None if state == "waiting" else self._ended.labels(endpoint, state),
            self._pushed.labels(endpoint) if state == "acknowledged" else None,
        )


class _Children(Struct, frozen=True):
    """The metrics that an attempt counts in. Looking them up takes as long as counting."""

    attempts: Counter
    seconds: Histogram
    ended: Counter | None
    pushed: Counter | None


class FileMetrics:
    """What the database takes of the disk, asked by `measure` before each scrape."""

    def __init__(self, registry: CollectorRegistry, files: DatabaseFiles) -> None:
        self._files = files
        self._database = Gauge(
            "dlr_database_bytes",
            "Size of the database: its file, or what PostgreSQL says, looked up once a minute.",
            registry=registry,
        )
        self._log = Gauge(
            "dlr_database_wal_bytes",
            "Size of its write-ahead log. It grows while another process reads for a long time. NaN"
            " with PostgreSQL, whose server has it.",
            registry=registry,
        )
        self._free = Gauge(
            "dlr_disk_free_bytes",
            "Free space on the database's disk. NaN with PostgreSQL, whose disk is another one.",
            registry=registry,
        )

    async def measure(self) -> None:
        try:
            sizes = await self._files.sizes()
        except StoreUnavailable:
            return
        if sizes is not None:
            self._database.set(sizes.database)
            self._log.set(_or_nan(sizes.log))
            self._free.set(_or_nan(sizes.free))


def _or_nan(size: int | None) -> float:
    """NaN is neither much nor little: no alert fires for what nobody can know here."""
    return math.nan if size is None else size


class QueueMetrics:
    """Depths and ages, looked up by `measure` before each scrape."""

    def __init__(
        self, registry: CollectorRegistry, figures: QueueFigures, now: Callable[[], datetime]
    ) -> None:
        self._figures = figures
        self._now = now
        self._dispatches = Gauge(
            "dlr_dispatches",
            "Dispatches in the database, by state.",
            ["endpoint", "state"],
            registry=registry,
        )
        self._oldest_waiting = Gauge(
            "dlr_oldest_waiting_dispatch_age_seconds",
            "Age of the oldest dispatch that waits for its next attempt; 0 if none waits.",
            ["endpoint"],
            registry=registry,
        )
        self._unread = Gauge(
            "dlr_unread_reports",
            "Stored reports that the endpoint has not read yet, including those it will not take.",
            ["endpoint"],
            registry=registry,
        )
        self._oldest_unread = Gauge(
            "dlr_oldest_unread_report_age_seconds",
            "Age of the oldest report that the endpoint has not read; 0 if it has read all.",
            ["endpoint"],
            registry=registry,
        )
        self._readable = Gauge(
            "dlr_store_readable",
            "1 if the database could be read for this scrape. At 0 the gauges are older.",
            registry=registry,
        )

    async def measure(self) -> None:
        try:
            found = await self._figures.depths()
        except StoreUnavailable:
            self._readable.set(0)
            return
        self._readable.set(1)
        for gauge in (self._dispatches, self._unread):
            gauge.clear()  # an endpoint that is gone is not shown for ever
        for (endpoint, state), count in found.dispatches.items():
            self._dispatches.labels(label_of(endpoint), state).inc(count)
        for endpoint, unread in found.unread.items():
            self._unread.labels(label_of(endpoint)).inc(unread)
        self._set_ages(self._oldest_waiting, found.unread, found.oldest_waiting)
        self._set_ages(self._oldest_unread, found.unread, found.oldest_unread)

    def _set_ages(
        self, gauge: Gauge, endpoints: Mapping[str, int], since: Mapping[str, datetime]
    ) -> None:
        now = self._now()
        gauge.clear()
        ages: dict[str, float] = {}
        for endpoint in endpoints:
            age = max((now - since.get(endpoint, now)) / _SECOND, 0.0)
            ages[label_of(endpoint)] = max(age, ages.get(label_of(endpoint), 0.0))
        for label, age in ages.items():
            gauge.labels(label).set(age)


class RemainingMetrics:
    """What was not brought to anybody, and how far back the store goes. `measure` is asked before
    each scrape."""

    def __init__(
        self,
        registry: CollectorRegistry,
        figures: QueueFigures,
        endpoints: EndpointsInForce,
        now: Callable[[], datetime],
    ) -> None:
        self._figures = figures
        self._endpoints = endpoints
        self._now = now
        self._unrouted = Gauge(
            "dlr_unrouted_reports",
            "Reports that no endpoint took, among the newest 10000 that all endpoints have read.",
            ["final"],
            registry=registry,
        )
        self._exhausted = Gauge(
            "dlr_exhausted_not_replayed",
            "Exhausted dispatches whose reports were not pushed to the endpoint again since,"
            " among the newest 10000.",
            ["endpoint"],
            registry=registry,
        )
        self._oldest = Gauge(
            "dlr_oldest_report_age_seconds",
            "Age of the oldest report that is kept; 0 if there is none.",
            registry=registry,
        )

    async def measure(self) -> None:
        try:
            names = [each.name for each in await self._endpoints.endpoints()]
            found = await self._figures.remaining(names, COUNTED_MOST)
        except StoreUnavailable:
            return  # dlr_store_readable says so
        self._unrouted.labels("true").set(found.unrouted_final)
        self._unrouted.labels("false").set(found.unrouted - found.unrouted_final)
        self._exhausted.clear()
        for name in names:
            self._exhausted.labels(label_of(name)).set(0)
        for endpoint, count in found.exhausted.items():
            self._exhausted.labels(label_of(endpoint)).inc(count)
        oldest = found.oldest_report
        self._oldest.set(0 if oldest is None else max((self._now() - oldest) / _SECOND, 0.0))


class HeldMetrics:
    """What retention could not remove, by who still needs it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._held = Gauge(
            "dlr_retention_held_reports",
            "Reports past retention, kept because this endpoint or replay still needs them.",
            ["holder"],
            registry=registry,
        )

    def held(self, reports: Mapping[str, int]) -> None:
        self._held.clear()
        for holder, count in reports.items():
            replay = holder.startswith("replay ")
            self._held.labels(_REPLAY if replay else label_of(holder)).inc(count)


class DispatcherMetrics:
    """How many dispatchers share the limits of endpoints, as far as this one knows."""

    def __init__(self, registry: CollectorRegistry, count: Callable[[], int]) -> None:
        gauge = Gauge(
            "dlr_dispatchers",
            "Dispatchers that work on the database, including this one.",
            registry=registry,
        )
        gauge.set_function(count)


class LossMetrics:
    """Shows the first loss of each endpoint that has something waiting."""

    def __init__(
        self,
        registry: CollectorRegistry,
        figures: QueueFigures,
        endpoints: EndpointsInForce,
        schedule: RetrySchedule,
        now: Callable[[], datetime],
    ) -> None:
        """`schedule` is that of the endpoints which have none of their own."""
        self._figures = figures
        self._endpoints = endpoints
        self._schedule = schedule
        self._now = now
        self._seconds = Gauge(
            "dlr_endpoint_seconds_to_first_loss",
            "Time until the first waiting dispatch is exhausted, if every attempt fails from now.",
            ["endpoint"],
            registry=registry,
        )
        self._attempts = Gauge(
            "dlr_endpoint_attempts_to_first_loss",
            "Attempts that this dispatch still has.",
            ["endpoint"],
            registry=registry,
        )

    async def measure(self) -> None:
        try:
            endpoints = {each.name: each for each in await self._endpoints.endpoints()}
            waiting = await self._figures.oldest_waiting(endpoints.keys(), OLDEST)
        except StoreUnavailable:
            return  # dlr_store_readable says so
        self._show(endpoints, waiting)

    def _show(
        self, endpoints: Mapping[str, Endpoint], waiting: Mapping[str, Sequence[Waiting]]
    ) -> None:
        now = self._now()
        self._seconds.clear()
        self._attempts.clear()
        first: dict[str, Loss] = {}
        for name, rows in waiting.items():
            loss = first_loss(rows, endpoints[name].schedule or self._schedule, now)
            before = first.get(label_of(name))
            if loss is not None and (before is None or loss.time_left < before.time_left):
                first[label_of(name)] = loss
        for label, loss in first.items():
            self._seconds.labels(label).set(loss.time_left.total_seconds())
            self._attempts.labels(label).set(loss.attempts_left)
