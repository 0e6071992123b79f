"""Metrics: what they count, that their labels are bounded, and that the READMEs name them all."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import aiohttp
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from dispatcher.observe.events import AttemptMade
from dispatcher.observe.metrics import (
    AttemptMetrics,
    DispatcherMetrics,
    FileMetrics,
    HeldMetrics,
    LossMetrics,
    QueueMetrics,
    RemainingMetrics,
    label_of,
)
from dispatcher.reconcile.scheduled import ReconcileMetrics
from dispatcher.retrying.outcome import Answer, Outcome
from dispatcher.service import Parts, service
from dispatcher.settings.settings import Settings
from receiver.metrics import Places, Readiness, ReceiverMetrics, RefusedCallbacks, new_registry
from receiver.settings.settings import ServerSettings, StoreSettings
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import START, Bench, a_bench, an_endpoint
from tests.receiver.payloads import a_json_body

ROOT = Path(__file__).parents[3]
Samples = dict[str, float]


def settings(folder: Path) -> Settings:
    return Settings(
        server=ServerSettings(port=0), store=StoreSettings(database=str(folder / "dlr.db"))
    )


def samples(text: str) -> Samples:
    """`name{a=b,…}` to value; labels in order of their names."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={sample.labels[name]}" for name in sorted(sample.labels))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


async def scraped(url: str) -> Samples:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        assert response.status == 200
        return samples(await response.text())


async def posted(url: str, body: bytes, path: str = "/notify", **headers: str) -> None:
    headers = {"Content-Type": "application/json", **headers}
    async with aiohttp.ClientSession(headers=headers) as session:
        await session.post(url + path, data=body)


async def test_callbacks_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    """Stored, duplicate and quarantined reports are counted apart, and so are refused bodies."""
    async with service(settings(tmp_path)) as running:
        await posted(running.url, a_json_body(an_sms("m1"), an_sms("m2")))
        await posted(running.url, a_json_body(an_sms("m1")))
        await posted(running.url, b'{"results":[{"smsCount":"many"}]}')
        await posted(running.url, b"{")
        await posted(running.url, b"x", **{"Content-Type": "image/png"})
        found = await scraped(running.url)

    callbacks = "dlr_callbacks_total{format=%s,outcome=%s,source=default}"
    assert found[callbacks % ("json", "taken")] == 3
    assert found[callbacks % ("json", "unreadable")] == 1
    assert found[callbacks % ("json", "unsupported")] == 1
    assert found["dlr_reports_total{format=json,result=stored,source=default}"] == 2
    assert found["dlr_reports_total{format=json,result=duplicate,source=default}"] == 1
    quarantined = "dlr_quarantined_total{format=json,kind=unreadable_%s,source=default}"
    assert (found[quarantined % "item"], found[quarantined % "body"]) == (1, 2)
    assert found["dlr_commit_callbacks_sum"] == 5
    assert found["dlr_commit_seconds_count"] == found["dlr_commit_callbacks_count"]
    assert found["dlr_ready"] == 1
    assert found["dlr_database_bytes"] > 0
    assert found["dlr_database_wal_bytes"] > 0
    assert found["dlr_disk_free_bytes"] > 1_000_000
    assert found["dlr_reports_by_status_total{group=DELIVERED,source=default}"] == 3
    assert 0 < found["dlr_oldest_report_age_seconds"] < 600


async def test_unknown_sources_share_one_label(tmp_path: Path) -> None:
    """Whoever posts to paths of his own making adds one series, not one for each."""
    async with service(settings(tmp_path)) as running:
        for number in range(3):
            await posted(running.url, b"{}", f"/notify/made-up-{number}")
        found = await scraped(running.url)

    sources = [name for name in found if "made-up" in name]
    assert sources == []
    unknown = "dlr_callbacks_total{format=none,outcome=unknown_source,source=unknown}"
    assert found[unknown] == 3


async def measured(bench: Bench, now: timedelta = timedelta(0)) -> Samples:
    registry = CollectorRegistry()
    metrics = QueueMetrics(registry, bench.storage.figures, lambda: START + now)
    await metrics.measure()
    return {
        sample.name + str(sorted(sample.labels.values())): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


async def test_the_queue_is_measured_at_the_scrape() -> None:
    """Depths by state, and the ages of the oldest waiting dispatch and unread report."""
    async with a_bench(an_endpoint("acme", window=2)) as bench:
        bench.sender.always(503)
        await bench.receive()
        await bench.work()
        await bench.receive()

        found = await measured(bench, timedelta(minutes=3))

    assert found["dlr_dispatches['acme', 'waiting']"] == 1
    assert found["dlr_oldest_waiting_dispatch_age_seconds['acme']"] == 180
    assert found["dlr_unread_reports['acme']"] == 1
    assert found["dlr_oldest_unread_report_age_seconds['acme']"] == 180
    assert found["dlr_store_readable[]"] == 1


async def test_the_counts_of_states_follow_every_change() -> None:
    """What the triggers count is what is there, whatever way the dispatches went."""
    async with a_bench(an_endpoint("acme"), an_endpoint("down")) as bench:
        bench.sender.always(503, endpoint="down")
        await bench.receive()
        await bench.run_until_idle()
        await bench.receive()
        await bench.work()
        (last, *_) = await bench.queue.dispatches(endpoint="down")
        await bench.queue.cancel(last.id)

        counted = await bench.queue.counts()

    assert counted == {"acme": {"acknowledged": 2}, "down": {"exhausted": 1, "cancelled": 1}}


async def test_attempts_are_counted_by_endpoint_and_outcome() -> None:
    """Each attempt is counted by its outcome, and a dispatch's end by its state."""
    registry = CollectorRegistry()
    metrics = AttemptMetrics(registry)
    async with a_bench() as bench:
        bench.sender.answers(503, 200)
        await bench.receive()
        await bench.run_until_idle()
        for event in bench.events:
            metrics.attempted(event)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"endpoint": "acme", **labels})

    assert value("dlr_attempts_total", outcome="failed") == 1
    assert value("dlr_attempts_total", outcome="acknowledged") == 1
    assert value("dlr_attempt_seconds_count") == 2
    assert value("dlr_dispatches_ended_total", state="acknowledged") == 1
    assert value("dlr_reports_acknowledged_total") == 1


def an_attempt(endpoint: str) -> AttemptMade:
    """An acknowledged one."""
    return AttemptMade(
        dispatch="db-7",
        endpoint=endpoint,
        url="http://127.0.0.1:9/",
        reports=1,
        number=1,
        started_at=START,
        answer=Answer(12.34, status=200),
        outcome=Outcome.ACKNOWLEDGED,
        state="acknowledged",
        due_at=None,
    )


def test_replays_share_one_label() -> None:
    """Each replay to a URL has an endpoint of its own; in metrics they are one, so that the number
    of series does not grow with each replay."""
    registry = CollectorRegistry()
    held = HeldMetrics(registry)
    attempts = AttemptMetrics(registry)
    held.held({"replay 7": 2, "replay 8": 3, "acme": 1})
    for number in range(3):
        attempts.attempted(an_attempt(f"replay-{number}"))
    attempts.attempted(an_attempt("replay-of-mine"))

    assert [label_of(name) for name in ("replay-12", "replay-x", "acme")] == [
        "replay",
        "replay-x",
        "acme",
    ]
    value = registry.get_sample_value
    assert value("dlr_retention_held_reports", {"holder": "replay"}) == 5
    assert value("dlr_retention_held_reports", {"holder": "acme"}) == 1
    counted = {"endpoint": "replay", "outcome": "acknowledged"}
    assert value("dlr_attempts_total", counted) == 3
    assert value("dlr_attempts_total", {**counted, "endpoint": "replay-of-mine"}) == 1


async def test_the_queue_folds_replays() -> None:
    """Depths of several replays are added up; of ages the oldest is shown."""
    async with a_bench(an_endpoint("replay-1"), an_endpoint("replay-2")) as bench:
        await bench.receive()
        found = await measured(bench, timedelta(minutes=3))

    assert found["dlr_unread_reports['replay']"] == 2
    assert found["dlr_oldest_unread_report_age_seconds['replay']"] == 180


async def test_two_services_in_a_process_count_apart(tmp_path: Path) -> None:
    """Each service has a registry of its own."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with service(settings(tmp_path / "a")) as a, service(settings(tmp_path / "b")) as b:
        await posted(a.url, a_json_body(an_sms("m1")))
        counted = "dlr_callbacks_total{format=json,outcome=taken,source=default}"
        assert (await scraped(a.url))[counted] == 1
        assert counted not in await scraped(b.url)


def families(registry: CollectorRegistry) -> set[str]:
    """The names as they are queried: a counter's ends in _total, an info's in _info."""
    ends = {"counter": "_total", "info": "_info"}
    return {family.name + ends.get(family.type, "") for family in registry.collect()}


def all_metrics() -> set[str]:
    """Every metric that dlr defines."""
    registry = new_registry()
    ReceiverMetrics(registry)
    RefusedCallbacks(registry, {})
    Readiness(registry, lambda: None)  # type: ignore[arg-type, return-value]
    AttemptMetrics(registry)
    FileMetrics(registry, None)  # type: ignore[arg-type]
    QueueMetrics(registry, None, lambda: START)  # type: ignore[arg-type]
    LossMetrics(registry, None, None, None, lambda: START)  # type: ignore[arg-type]
    RemainingMetrics(registry, None, None, lambda: START)  # type: ignore[arg-type]
    ReconcileMetrics(registry)
    Places(registry)
    HeldMetrics(registry)
    DispatcherMetrics(registry, lambda: 1)
    return {name for name in families(registry) if name.startswith("dlr_")}


def test_the_tables_name_every_metric() -> None:
    """The READMEs' tables name each metric that there is, and no other."""
    named = {
        name
        for package in ("receiver", "dispatcher")
        for name in re.findall(r"^\| `(dlr_\w+)`", (ROOT / package / "README.md").read_text(), re.M)
    }
    assert named == all_metrics()


async def test_the_service_has_every_metric(tmp_path: Path) -> None:
    """`dlr serve` shows each metric of the tables, `dlr receive` those of the receiver."""
    async with (
        service(settings(tmp_path), parts=Parts(dispatches=False)) as running,
        aiohttp.ClientSession() as session,
        session.get(f"{running.url}/metrics") as response,
    ):
        shown = set(re.findall(r"^# TYPE (\S+)", await response.text(), re.MULTILINE))
    of_pushes = "dlr_attempt|dlr_reports_ack|dlr_dispatchers|.*_ended"
    pushes = {name for name in all_metrics() if re.match(of_pushes, name)}
    assert shown >= all_metrics() - pushes
    assert not shown & pushes
