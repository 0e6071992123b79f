"""Reconciles a source now and then while `dlr serve` or `dlr receive` runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from dispatcher.clocks.repeating import Repeating
from dispatcher.reconcile.provider import Provider, ProviderFailed, asking
from dispatcher.reconcile.reconciler import Reconciler, RunCounts
from dispatcher.reconcile.spool import Spool
from dispatcher.settings.reconcile import ReconcileSettings
from receiver.callbacks.intake import Limits
from receiver.store.base import ReportStore, StoreUnavailable

log = logging.getLogger("dlr.reconcile")


class ReconcileMetrics:
    """What the runs at an interval found. Those of `dlr reconcile` are another process's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "dlr_reconcile_runs_total",
            "Runs that compared the store with the provider, by how they ended: done or failed.",
            ["source", "outcome"],
            registry=registry,
        )
        self._missing = Gauge(
            "dlr_reconcile_missing_reports",
            "Reports that had not come, by the last run that was done.",
            ["source"],
            registry=registry,
        )
        self._differing = Gauge(
            "dlr_reconcile_differing_reports",
            "Messages that ended otherwise than was reported, by the last run that was done.",
            ["source"],
            registry=registry,
        )
        self._stored = Counter(
            "dlr_reconcile_stored_reports_total",
            "Reports that had not come and were stored by a run.",
            ["source"],
            registry=registry,
        )
        self._last = Gauge(
            "dlr_reconcile_last_run_timestamp_seconds",
            "When the last run that was done ended, since 1970.",
            ["source"],
            registry=registry,
        )

    def done(self, source: str, counts: RunCounts, at: datetime) -> None:
        self._runs.labels(source, "done").inc()
        self._missing.labels(source).set(counts.missing)
        self._differing.labels(source).set(counts.differing)
        self._last.labels(source).set(at.timestamp())

    def failed(self, source: str) -> None:
        self._runs.labels(source, "failed").inc()

    def stored(self, source: str, count: int) -> None:
        """Also of a run that then failed: what it stored stays."""
        self._stored.labels(source).inc(count)


class Reconciling(Repeating):
    """Runs at once, because a start is when something may have been missed, and then at the
    interval of the settings, until it is stopped. The run that is going on then is broken off; what
    it has pulled is kept (spool.py).

    `seconds` is that interval in the world's time; `now` is the world's too, because the provider
    lives in it. `on_stored` is called when there is more to push.
    """

    def __init__(
        self,
        source: str,
        settings: ReconcileSettings,
        store: ReportStore,
        spool: Spool,
        metrics: ReconcileMetrics,
        *,
        now: Callable[[], datetime],
        seconds: float,
        limits: Limits,
        on_stored: Callable[[], None],
    ) -> None:
        self._source = source
        self._settings = settings
        self._metrics = metrics
        self._now = now
        self._seconds = seconds
        self._on_stored = on_stored

        def reconciler(provider: Provider) -> Reconciler:
            return Reconciler(source, settings, provider, store, spool, now, limits)

        self._reconciler = reconciler
        super().__init__(
            self._run,
            log=log,
            waits=f"reconcile {source}",
            fails=f"reconcile {source}",
            again_after=seconds,
            expected=(ProviderFailed, StoreUnavailable, OSError),
            breaks_off=True,
        )

    async def _run(self) -> float:
        try:
            async with asking(self._settings) as provider:
                await self._reconcile(self._reconciler(provider))
        except Exception:
            self._metrics.failed(self._source)
            raise
        return self._seconds

    async def _reconcile(self, reconciler: Reconciler) -> None:
        counts = reconciler.counts
        try:
            async for _ in reconciler.run(self._settings.since, apply=self._settings.apply):
                pass
        finally:
            if counts.stored:
                self._metrics.stored(self._source, counts.stored)
                self._on_stored()
        self._metrics.done(self._source, counts, self._now())
        facts = {name: value for name, value in asdict(counts).items() if value}
        level = logging.WARNING if counts.missing or counts.differing else logging.INFO
        log.log(level, "reconcile", extra={"facts": {"source": self._source, **facts}})
