"""The alerts that would fire, judged by the process itself.

Whoever opens the overview sees what would page somebody, also where no Prometheus runs yet. Each
rule of the file is told; what needs a history is said to need one, not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dispatcher.observe.alerts import RULES, Alert, alerts_of
from dispatcher.service import Parts, service
from receiver.metrics import new_registry
from tests.dispatcher.observe.test_metrics import posted, settings
from tests.docs.documents import ROOT

HOUR = 3_600.0


def of_file() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((ROOT / "config" / "deploy" / "alerts.yml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def seconds(duration: str) -> int:
    return int(duration[:-1]) * {"m": 60, "d": 24 * 3600}[duration[-1]]


def test_each_rule_of_the_file_is_told() -> None:
    """Names, severities, expressions, times and what to do are those of the file, in its order."""
    told = [
        (each.name, each.severity, each.expression, each.runbook, each.for_seconds)
        for each in RULES
    ]

    assert told == [
        (
            rule["alert"],
            rule["labels"]["severity"],
            " ".join(rule["expr"].split()),
            rule["annotations"]["description"],
            seconds(rule.get("for", "0m")),
        )
        for rule in of_file()
    ]


def alert(name: str, registry: CollectorRegistry) -> Alert:
    (found,) = [each for each in alerts_of(registry.collect()) if each.name == name]
    return found


Fill = Callable[[CollectorRegistry], None]


def gauge(name: str, label: str | None = None, **values: float) -> Fill:
    def fill(registry: CollectorRegistry) -> None:
        made = Gauge(name, "x", [] if label is None else [label], registry=registry)
        for subject, value in values.items():
            (made if label is None else made.labels(subject)).set(value)

    return fill


def both(*fills: Fill) -> Fill:
    def fill(registry: CollectorRegistry) -> None:
        for each in fills:
            each(registry)

    return fill


def counter(name: str, *counts: tuple[dict[str, str], float]) -> Fill:
    def fill(registry: CollectorRegistry) -> None:
        made = Counter(name, "x", list(counts[0][0]), registry=registry)
        for labels, count in counts:
            if count:
                made.labels(**labels).inc(count)

    return fill


def commits(*seconds: float) -> Fill:
    def fill(registry: CollectorRegistry) -> None:
        made = Histogram("dlr_commit_seconds", "x", buckets=(0.25, 0.5, 1.0), registry=registry)
        for each in seconds:
            made.observe(each)

    return fill


def age(kind: str, **seconds: float) -> Fill:
    return gauge(f"dlr_oldest_{kind}_age_seconds", "endpoint", **seconds)


def loss(seconds: float, attempts: float) -> Fill:
    return both(
        gauge("dlr_endpoint_seconds_to_first_loss", "endpoint", acme=seconds, far=40 * HOUR),
        gauge("dlr_endpoint_attempts_to_first_loss", "endpoint", acme=attempts, far=1),
    )


def unread(**reports: float) -> Fill:
    return gauge("dlr_unread_reports", "endpoint", **reports)


A_DISK = 1024 * 1024 * 1024
A_LOG = 256 * 1024 * 1024


@pytest.mark.parametrize(
    ("name", "fill", "firing", "subjects"),
    [
        ("DlrNotReady", gauge("dlr_ready", now=1), False, []),
        ("DlrNotReady", gauge("dlr_ready", now=0), True, []),
        ("DlrRunsShort", gauge("dlr_places_short", "kind", connections=0, pushes=0), False, []),
        ("DlrRunsShort", gauge("dlr_places_short", "kind", a=0, pushes=1), True, ["pushes"]),
        ("DlrDatabaseLogHeld", gauge("dlr_database_wal_bytes", now=A_LOG), False, []),
        ("DlrDatabaseLogHeld", gauge("dlr_database_wal_bytes", now=A_LOG + 1), True, []),
        ("DlrDiskFull", gauge("dlr_disk_free_bytes", now=A_DISK), False, []),
        ("DlrDiskFull", gauge("dlr_disk_free_bytes", now=A_DISK - 1), True, []),
        ("DlrDiskFull", gauge("dlr_disk_free_bytes", now=math.nan), False, []),
        ("DlrDatabaseLogHeld", gauge("dlr_database_wal_bytes", now=math.nan), False, []),
        ("DlrNotReplayed", gauge("dlr_exhausted_not_replayed", "endpoint", a=0), False, []),
        ("DlrNotReplayed", gauge("dlr_exhausted_not_replayed", "endpoint", a=1), True, ["a"]),
        ("DlrUnrouted", gauge("dlr_unrouted_reports", "final", true=100, false=999), False, []),
        ("DlrUnrouted", gauge("dlr_unrouted_reports", "final", true=101, false=0), True, []),
        ("DlrOldestWaiting", age("waiting_dispatch", acme=6 * HOUR), False, []),
        (
            "DlrOldestWaiting",
            age("waiting_dispatch", acme=7 * HOUR, beta=8 * HOUR, ok=0),
            True,
            ["beta", "acme"],
        ),
        ("DlrEndpointNearLoss", loss(12 * HOUR, 3), False, []),
        ("DlrEndpointNearLoss", loss(HOUR, 4), False, []),
        ("DlrEndpointNearLoss", loss(11 * HOUR, 3), True, ["acme"]),
        ("DlrNotReadOn", both(age("unread_report", a=900), unread(a=1)), False, []),
        ("DlrNotReadOn", both(age("unread_report", a=901), unread(a=0)), False, []),
        ("DlrNotReadOn", both(age("unread_report", a=901), unread(a=1)), True, ["a"]),
    ],
)
def test_a_condition_that_holds_now(
    name: str, fill: Fill, firing: bool, subjects: list[str]
) -> None:
    """Up to its limit it does not fire. Beyond it does, for those who are beyond it, the worst
    first; the figure is told."""
    registry = CollectorRegistry()
    fill(registry)

    found = alert(name, registry)

    assert (found.firing, list(found.subjects)) == (firing, subjects)
    assert found.judged_by.startswith("dlr_")


def callbacks(outcome: str, count: float) -> Fill:
    return counter("dlr_callbacks_total", ({"source": "a", "outcome": outcome}, count))


def kinds(name: str, label: str, *counts: float) -> Fill:
    return counter(
        name, *(({"source": "a", label: f"kind-{n}"}, count) for n, count in enumerate(counts))
    )


@pytest.mark.parametrize(
    ("name", "fill", "firing"),
    [
        ("DlrDown", both(), None),
        ("DlrStoreUnavailable", callbacks("taken", 9), False),
        ("DlrStoreUnavailable", callbacks("unavailable", 1), None),
        ("DlrStoreUnavailable", callbacks("failed", 1), None),
        ("DlrSlowCommits", commits(), False),
        ("DlrSlowCommits", commits(0.1, 0.5), False),
        ("DlrSlowCommits", commits(0.1, 0.6), None),
        ("DlrCallbacksRefused", kinds("dlr_callbacks_refused_total", "reason", 60), False),
        ("DlrCallbacksRefused", kinds("dlr_callbacks_refused_total", "reason", 30, 31), None),
        ("DlrCallbacksNotTaken", kinds("dlr_callbacks_not_taken_total", "reason", 2, 2), False),
        ("DlrCallbacksNotTaken", kinds("dlr_callbacks_not_taken_total", "reason", 3), None),
        ("DlrQuarantineGrows", kinds("dlr_quarantined_total", "kind", 100, 100), False),
        ("DlrQuarantineGrows", kinds("dlr_quarantined_total", "kind", 101), None),
        *(
            (name, counter(metric, ({"endpoint": "a", label: of}, 1)), firing)
            for name, metric, label, of, firing in (
                ("DlrExhausted", "dlr_dispatches_ended_total", "state", "acknowledged", False),
                ("DlrExhausted", "dlr_dispatches_ended_total", "state", "exhausted", None),
                ("DlrAttemptsFail", "dlr_attempts_total", "outcome", "acknowledged", False),
                ("DlrAttemptsFail", "dlr_attempts_total", "outcome", "failed", None),
            )
        ),
    ],
)
def test_what_needs_a_history(name: str, fill: Fill, firing: bool | None) -> None:
    """It cannot fire while the process has not counted enough since it began. Beyond that this
    process says that only Prometheus can tell; it never says that the alert fires."""
    registry = CollectorRegistry()
    fill(registry)

    found = alert(name, registry)

    assert found.firing is firing
    assert ("needs Prometheus" in found.judged_by) is (firing is None)


def test_what_is_not_measured() -> None:
    """A process without these metrics cannot tell, and says so; it says nothing is well."""
    found = alerts_of(new_registry().collect())

    assert len(found) == len(RULES)
    assert {each.firing for each in found} == {None}
    assert found[1].judged_by == "this process does not measure it"


async def told(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/alerts") as response:
        assert response.status == 200
        return {each["name"]: each for each in (await response.json())["alerts"]}


async def test_over_http(tmp_path: Path) -> None:
    """A process at rest has no alert that fires; what it must have been told of comes from /metrics
    as it would be now."""
    async with service(settings(tmp_path)) as running:
        at_rest = await told(running.url)
        for _ in range(3):
            await posted(running.url, b"{}", "/notify/nobody")
        later = await told(running.url)

    assert list(at_rest) == [rule["alert"] for rule in of_file()]
    assert [name for name, each in at_rest.items() if each["firing"] is not False] == ["DlrDown"]
    assert at_rest["DlrNotReady"] == {
        "name": "DlrNotReady",
        "severity": "page",
        "summary": "dlr is not ready",
        "runbook": "GET /readyz says why: the store cannot be written, or a task of dlr has ended.",
        "expression": "dlr_ready == 0",
        "forSeconds": 120,
        "firing": False,
        "subjects": [],
        "judgedBy": "dlr_ready is 1",
    }
    assert at_rest["DlrExhausted"]["judgedBy"] == (
        'dlr_dispatches_ended_total{state="exhausted"} is 0 since the process began; fewer than 1'
        " cannot fire"
    )
    assert later["DlrCallbacksNotTaken"]["firing"] is None
    assert later["DlrCallbacksNotTaken"]["judgedBy"] == (
        "dlr_callbacks_not_taken_total is 3 since the process began; over time not judged here:"
        " needs Prometheus"
    )


async def test_a_receiver_alone(tmp_path: Path) -> None:
    """It makes no attempts, so it does not say that none fail."""
    async with service(settings(tmp_path), parts=Parts(dispatches=False)) as running:
        found = await told(running.url)

    assert found["DlrAttemptsFail"]["firing"] is None
    assert found["DlrAttemptsFail"]["judgedBy"] == "this process does not measure it"
