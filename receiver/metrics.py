"""`/metrics` for Prometheus, and what the receiver counts.

Each service has a registry of its own, so that several can run in one process. Label values are
bounded: a source that is not in the settings is "unknown", and reasons are a handful of kinds. What
a callback costs here is a look-up in a dict and a few additions: it is gathered, and counted when
somebody looks. prometheus-client's own `labels()` would cost ten times as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from platform import python_version
from time import perf_counter

from aiohttp import web
from msgspec import Struct
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from receiver.callbacks.auth import Refusal
from receiver.callbacks.events import CallbackAnswered
from receiver.callbacks.other_events import (
    CLICK,
    DELETED,
    INBOUND,
    NOTHING_SAID,
    ONE_API,
    OTHER,
    SEEN,
)
from receiver.dlr.errors import Unreadable
from receiver.dlr.statuses import GROUP_NAMES
from receiver.routes import Reply, Route
from receiver.store.base import Counts
from receiver.store.callback import Callback

_OUTCOMES: dict[int | str, str] = {
    "wrong_path": "wrong_path",
    200: "taken",
    400: "unreadable",
    401: "unauthorized",
    403: "unauthorized",
    404: "unknown_source",
    405: "wrong_method",
    408: "too_slow",
    413: "too_large",
    415: "unsupported",
    500: "failed",
    503: "unavailable",
}
"""Status of the answer, or the reason, to the name it is counted under; any other is "refused"."""

_OTHER_EVENTS = {
    CLICK: "click_event",
    INBOUND: "inbound_sms",
    ONE_API: "oneapi",
    SEEN: "seen_event",
    DELETED: "deleted_event",
    OTHER: "other_event",
    NOTHING_SAID: "other_event",
}

_COMMIT_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_COMMIT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


def bare_registry() -> CollectorRegistry:
    """A registry with nothing in it."""
    # Otherwise each counter has a second series, which nobody asks for.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    return CollectorRegistry()


def new_registry() -> CollectorRegistry:
    """A registry with what every process tells of itself."""
    registry = bare_registry()
    ProcessCollector(registry=registry)  # process_…: the names all dashboards know
    GCCollector(registry=registry)
    build = Info("dlr_build", "The version that is running.", registry=registry)
    build.info({"version": version("dlr-relay"), "python": python_version()})
    return registry


class Scrape:
    """`GET /metrics`. What is measured only when somebody asks is measured by `before`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._before: list[Callable[[], Awaitable[None]]] = []

    def before(self, measure: Callable[[], Awaitable[None]]) -> None:
        self._before.append(measure)

    async def measured(self) -> CollectorRegistry:
        """The registry with the figures of now, asked for at once: while the database is gone each
        waits a moment."""
        await asyncio.gather(*(measure() for measure in self._before))
        return self._registry

    @Route(
        "GET",
        "/metrics",
        "showMetrics",
        "For Prometheus",
        {200: Reply("metrics", others={"text/plain": str})},
    )
    async def metrics(self, _: web.Request) -> web.Response:
        body = generate_latest(await self.measured())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


class Readiness:
    """Shows what `/readyz` says."""

    def __init__(
        self, registry: CollectorRegistry, reasons: Callable[[], Awaitable[Sequence[str]]]
    ) -> None:
        self._reasons = reasons
        self._ready = Gauge(
            "dlr_ready", "1 if GET /readyz answers 200, otherwise 0.", registry=registry
        )

    async def measure(self) -> None:
        self._ready.set(0 if await self._reasons() else 1)


class Places:
    """Shows how many connections or pushes there are, of how many there may be. `measure` is asked
    before each scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._kinds: list[tuple[str, Callable[[], tuple[int, int, bool]]]] = []
        texts = {
            "dlr_places_used": "Connections and pushes in progress.",
            "dlr_places": "Most connections or pushes at once.",
            "dlr_places_short": "1 if more are needed than are allowed, otherwise 0.",
        }
        self._gauges = [
            Gauge(name, text, ["kind"], registry=registry) for name, text in texts.items()
        ]

    def add(self, kind: str, look: Callable[[], tuple[int, int, bool]]) -> None:
        """`look` gives those in use, those there are, and whether they run short."""
        self._kinds.append((kind, look))

    async def measure(self) -> None:
        for kind, look in self._kinds:
            for gauge, value in zip(self._gauges, look(), strict=True):
                gauge.labels(kind).set(value)


class RefusedCallbacks(Collector):
    """Shows the receiver's own count of callbacks that were not let in, by source and reason."""

    def __init__(
        self, registry: CollectorRegistry, refused: Mapping[tuple[str, Refusal], int]
    ) -> None:
        self._refused = refused
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "dlr_callbacks_refused",
            "Callbacks refused with 401, by reason.",
            labels=["source", "reason"],
        )
        for labels, count in self._refused.items():
            family.add_metric(labels, count)
        yield family


class _Gathered(Collector):
    """Has what was gathered counted before the counters are looked at: it is registered first."""

    def __init__(self, registry: CollectorRegistry, count: Callable[[], None]) -> None:
        self._count = count
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        self._count()
        return iter(())


class ReceiverMetrics:
    """Counts callbacks and commits. `answered` is a Listener."""

    def __init__(self, registry: CollectorRegistry) -> None:
        _Gathered(registry, self._count)
        self._callbacks = Counter(
            "dlr_callbacks_total",
            "Callbacks answered, by outcome.",
            ["source", "format", "outcome"],
            registry=registry,
        )
        self._reports = Counter(
            "dlr_reports_total",
            "Reports in callbacks: stored, or duplicates of stored reports.",
            ["source", "format", "result"],
            registry=registry,
        )
        self._by_status = Counter(
            "dlr_reports_by_status_total",
            "Reports in callbacks, duplicates included, by group of their status.",
            ["source", "group"],
            registry=registry,
        )
        self._of_groups: dict[tuple[str, int | None], int] = {}
        self._quarantined = Counter(
            "dlr_quarantined_total",
            "Bodies and items put into quarantine, by kind.",
            ["source", "format", "kind"],
            registry=registry,
        )
        self._not_taken = Counter(
            "dlr_callbacks_not_taken_total",
            "Callbacks not taken until their sender changes something, by reason.",
            ["source", "reason"],
            registry=registry,
        )
        self._bytes = Counter(
            "dlr_callback_bytes_total",
            "Size of the bodies of stored callbacks.",
            ["source", "format"],
            registry=registry,
        )
        self._commit_size = Histogram(
            "dlr_commit_callbacks",
            "Callbacks that shared one commit.",
            buckets=_COMMIT_SIZES,
            registry=registry,
        )
        self._commit_seconds = Histogram(
            "dlr_commit_seconds",
            "Duration of a commit of callbacks, until it is on disk.",
            buckets=_COMMIT_SECONDS,
            registry=registry,
        )
        self._children: dict[tuple[str | None, str | None, int | str], _Children] = {}

    def answered(self, event: CallbackAnswered) -> None:
        stored = event.stored
        status: int | str = event.status
        if event.because is not None:
            self._not_taken.labels(event.source or "unknown", event.because.reason).inc()
            if event.because.reason in _OUTCOMES:
                status = event.because.reason
        key = (event.source, None if stored is None else stored.callback.format, status)
        children = self._children.get(key)
        if children is None:
            children = self._children[key] = self._children_of(*key)
        children.gathered.callbacks += 1
        if stored is None:
            return
        children.gathered.bytes += stored.size
        children.gathered.stored += stored.counts.stored
        children.gathered.duplicates += stored.counts.duplicates
        callback = stored.callback
        for entry in callback.verdict.entries:
            group = (event.source or "unknown", entry.status_group)
            self._of_groups[group] = self._of_groups.get(group, 0) + 1
        for unreadable in callback.verdict.quarantined:
            kind = kind_of(unreadable, whole=not callback.verdict.readable)
            self._quarantined.labels(event.source or "unknown", callback.format, kind).inc()

    def _count(self) -> None:
        for children in self._children.values():
            children.count()
        for (source, group), reports in self._of_groups.items():
            name = GROUP_NAMES.get(group, "other") if group is not None else "none"
            self._by_status.labels(source, name).inc(reports)
        self._of_groups.clear()

    def timed(
        self, commit: Callable[[Sequence[Callback]], Awaitable[Sequence[Counts]]]
    ) -> Callable[[Sequence[Callback]], Awaitable[Sequence[Counts]]]:
        """`commit`, measured."""

        async def measured(callbacks: Sequence[Callback]) -> Sequence[Counts]:
            started = perf_counter()
            counts = await commit(callbacks)
            self._commit_seconds.observe(perf_counter() - started)
            self._commit_size.observe(len(callbacks))
            return counts

        return measured

    def _children_of(self, source: str | None, form: str | None, status: int | str) -> _Children:
        outcome = _OUTCOMES.get(status, "refused")
        callbacks = self._callbacks.labels(source or "unknown", form or "none", outcome)
        if form is None:
            return _Children(callbacks)
        where = (source or "unknown", form)
        return _Children(
            callbacks,
            stored=self._reports.labels(*where, "stored"),
            duplicates=self._reports.labels(*where, "duplicate"),
            bytes=self._bytes.labels(*where),
        )


class _Numbers(Struct):
    """What callbacks of one source, format and status have brought since it was counted."""

    callbacks: int = 0
    bytes: int = 0
    stored: int = 0
    duplicates: int = 0


class _Children:
    """The counters of callbacks of one source, format and status, and what is to be added."""

    def __init__(self, callbacks: Counter, **content: Counter) -> None:
        self.gathered = _Numbers()
        self._counters = {"callbacks": callbacks, **content}

    def count(self) -> None:
        for name, counter in self._counters.items():
            counter.inc(getattr(self.gathered, name))
        self.gathered = _Numbers()


def kind_of(unreadable: Unreadable, *, whole: bool) -> str:
    """The kind of reason for a quarantine. Never the reason itself, which quotes what came."""
    return _OTHER_EVENTS.get(unreadable.reason) or (
        "unreadable_body" if whole else "unreadable_item"
    )
