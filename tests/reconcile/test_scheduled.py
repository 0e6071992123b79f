"""Runs at an interval: beside the requests of `dlr serve`, counted, logged, pushed on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from dispatcher.clocks.clock import wall_time
from dispatcher.reconcile import scheduled
from dispatcher.reconcile.scheduled import ReconcileMetrics, Reconciling
from dispatcher.reconcile.spool import Spool
from dispatcher.service import service
from dispatcher.settings.settings import EndpointSettings, Settings, SourceSettings
from dispatcher.storage import Storage
from receiver.callbacks.intake import NO_LIMITS
from receiver.settings.settings import ServerSettings, StoreSettings
from tests.contracts.report_store import everything
from tests.dispatcher.observe.test_metrics import scraped
from tests.end_to_end.processes import customer
from tests.reconcile.scripted_provider import NOW, ScriptedProvider, Sms


class Job:
    """A job whose runs are made by hand, and what it shows."""

    def __init__(self, provider: ScriptedProvider, opened: Storage, **settings: Any) -> None:
        self.registry = CollectorRegistry()
        self.stored = 0
        self.job = Reconciling(
            "acme",
            provider.settings(pull=False, **settings),
            opened.store,
            Spool("unused", "acme"),
            ReconcileMetrics(self.registry),
            now=lambda: NOW,
            seconds=3600,
            limits=NO_LIMITS,
            on_stored=self._count,
        )

    def _count(self) -> None:
        self.stored += 1

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"dlr_reconcile_{name}", {"source": "acme", **labels})


async def test_a_look_counts_and_stores_nothing(
    provider: ScriptedProvider, opened: Storage
) -> None:
    """A run without apply shows how much is missing, and leaves it there."""
    provider.log = [Sms("a"), Sms("b")]
    job = Job(provider, opened)

    await job.job.once()

    assert job.value("missing_reports") == 2
    assert job.value("differing_reports") == 0
    assert job.value("last_run_timestamp_seconds") == NOW.timestamp()
    assert job.value("runs_total", outcome="done") == 1
    assert (job.stored, await everything(opened.store)) == (0, [])


async def test_a_run_that_applies_wakes_the_dispatcher(
    provider: ScriptedProvider, opened: Storage
) -> None:
    """What a run stores is counted and told to whoever pushes it on."""
    provider.log = [Sms("a"), Sms("b")]
    job = Job(provider, opened, apply=True)

    await job.job.once()

    assert job.value("stored_reports_total") == 2
    assert job.stored == 1


async def test_a_failed_run_is_counted_and_told(
    provider: ScriptedProvider, opened: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that fails is one line in the log; what the last one showed stands, and the next run
    is made all the same."""
    provider.log = [Sms("a")]
    job = Job(provider, opened)
    await job.job.once()
    provider.logs_fail = True

    await job.job.once()
    provider.logs_fail = False
    await job.job.once()

    assert job.value("runs_total", outcome="failed") == 1
    assert job.value("runs_total", outcome="done") == 2
    assert job.value("missing_reports") == 1
    failed = [each for each in caplog.records if each.levelname == "ERROR"]
    assert [each.getMessage().partition(": ")[2] for each in failed] == [
        f"{provider.url}/sms/{provider.api[1:]}/logs: expected 200, got 500"
    ]


async def test_a_defect_does_not_end_the_runs(
    provider: ScriptedProvider, opened: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody has thought of is counted as a failed run too."""
    monkeypatch.setattr(scheduled, "asking", None)
    job = Job(provider, opened)

    await job.job.once()

    assert job.value("runs_total", outcome="failed") == 1


async def test_stopped_in_the_middle_of_a_run(provider: ScriptedProvider, opened: Storage) -> None:
    """A job that is stopped while the provider thinks is ended at once."""
    provider.may_answer.clear()
    job = Job(provider, opened)
    job.job.start()
    await provider.called.wait()

    await job.job.stop()

    assert job.value("runs_total", outcome="done") is None
    assert job.value("runs_total", outcome="failed") is None


async def test_serve_brings_what_never_came(
    provider: ScriptedProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dlr serve` with an interval pushes, after its start, what the provider has and it has not;
    the metrics show it."""
    monkeypatch.setattr("dispatcher.reconcile.provider.SPACING_SECONDS", 0)
    provider.to_pull.append(Sms("pulled").report(provider.api))
    an_hour_ago = wall_time() - timedelta(hours=1)
    provider.log = [Sms("logged", sent_at=an_hour_ago, done_at=an_hour_ago)]
    asked = provider.settings(interval=timedelta(hours=1), apply=True)
    async with customer() as acme:
        settings = Settings(
            server=ServerSettings(port=0),
            store=StoreSettings(database=str(tmp_path / "dlr.db")),
            source=(SourceSettings("acme", reconcile=asked),),
            endpoint=(EndpointSettings("acme", acme.url, bucket_size=1),),
        )
        async with service(settings) as running:
            await acme.came.reach(2)
            shown = await scraped(running.url)

    assert sorted(name for push in acme.pushes for name in push.message_ids) == ["logged", "pulled"]
    assert shown["dlr_reconcile_stored_reports_total{source=acme}"] == 2
