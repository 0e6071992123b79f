"""Prometheus is given the figures, and each alert fires when it should, and not before.

A check of the rules' syntax said nothing of that: a limit in the wrong unit, or a label that a
metric does not have, makes a rule that never fires.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from dispatcher.web.guides import rendered
from tests.docs.documents import ROOT
from tests.docs.test_deploy import DEPLOY, checked, tool

HERE = 'job="dlr",instance="dlr:8080"'
ALERTS = DEPLOY / "alerts.yml"
GUIDE = ROOT / "config" / "TROUBLESHOOTING.md"


class Case(NamedTuple):
    """Series of the metrics, each with a value a minute, and at which minute the alert fires."""

    series: Mapping[str, str]
    minute: int
    fires: bool


def gauge(name: str, value: float, labels: str = "") -> dict[str, str]:
    return {f"{name}{{{labels}{',' if labels else ''}{HERE}}}": f"{value}x2000"}


def counter(name: str, each_minute: float, labels: str) -> dict[str, str]:
    return {f"{name}{{{labels},{HERE}}}": f"0+{each_minute}x2000"}


def steps(name: str, labels: str, *values: int) -> dict[str, str]:
    return {f"{name}{{{labels},{HERE}}}": " ".join(map(str, values))}


def commits(below_half: float, all_of_them: float) -> dict[str, str]:
    bucket = "dlr_commit_seconds_bucket"
    return {
        **counter(bucket, below_half, 'le="0.5"'),
        **counter(bucket, all_of_them, 'le="1.0"'),
        **counter(bucket, all_of_them, 'le="+Inf"'),
    }


def loss(seconds: float, attempts: float) -> dict[str, str]:
    first = "dlr_endpoint_{}_to_first_loss".format
    return {
        **gauge(first("seconds"), seconds, 'endpoint="a"'),
        **gauge(first("attempts"), attempts, 'endpoint="a"'),
    }


def unread(age: float, reports: float) -> dict[str, str]:
    return {
        **gauge("dlr_oldest_unread_report_age_seconds", age, 'endpoint="a"'),
        **gauge("dlr_unread_reports", reports, 'endpoint="a"'),
    }


def attempts(failed: float, acknowledged: float) -> dict[str, str]:
    name = "dlr_attempts_total"
    return {
        **counter(name, failed, 'endpoint="a",outcome="failed"'),
        **counter(name, acknowledged, 'endpoint="a",outcome="acknowledged"'),
    }


CALLBACKS = "dlr_callbacks_total"
NOT_TAKEN = "dlr_callbacks_not_taken_total"
REFUSED = "dlr_callbacks_refused_total"
ENDED = "dlr_dispatches_ended_total"
OLDEST = "dlr_oldest_waiting_dispatch_age_seconds"
LOG = "dlr_database_wal_bytes"
MIB = 1024 * 1024
HOUR = 3600
UNKNOWN = 'source="unknown",reason="{}"'

CASES: Mapping[str, Sequence[Case]] = {
    "DlrDown": [
        Case(gauge("up", 1), 60, False),
        Case(gauge("up", 0), 0, False),
        Case(gauge("up", 0), 1, True),
    ],
    "DlrNotReady": [
        Case(gauge("dlr_ready", 1), 60, False),
        Case(gauge("dlr_ready", 0), 1, False),
        Case(gauge("dlr_ready", 0), 2, True),
    ],
    "DlrRunsShort": [
        Case(gauge("dlr_places_short", 0, 'kind="pushes"'), 60, False),
        Case(gauge("dlr_places_short", 1, 'kind="pushes"'), 9, False),
        Case(gauge("dlr_places_short", 1, 'kind="pushes"'), 10, True),
    ],
    "DlrStoreUnavailable": [
        Case(counter(CALLBACKS, 9, 'outcome="taken"'), 60, False),
        Case(counter(CALLBACKS, 1, 'outcome="unavailable"'), 60, True),
        Case(counter(CALLBACKS, 1, 'outcome="failed"'), 60, True),
    ],
    "DlrDiskFull": [
        Case(gauge("dlr_disk_free_bytes", 1024 * MIB), 60, False),
        Case(gauge("dlr_disk_free_bytes", 1024 * MIB - 1), 4, False),
        Case(gauge("dlr_disk_free_bytes", 1024 * MIB - 1), 5, True),
    ],
    "DlrDatabaseLogHeld": [
        Case(gauge(LOG, 256 * MIB), 60, False),
        Case(gauge(LOG, 256 * MIB + 1), 5, True),
    ],
    "DlrSlowCommits": [
        Case(commits(100, 100), 60, False),
        Case(commits(90, 100), 60, True),
    ],
    "DlrCallbacksRefused": [
        Case(counter(REFUSED, 6, 'source="a",reason="header"'), 60, False),
        Case(counter(REFUSED, 7, 'source="a",reason="header"'), 60, True),
    ],
    # One message whose notifyUrl has a wrong word is repeated six times within the first hour. A
    # single stray request is not.
    "DlrCallbacksNotTaken": [
        Case(steps(NOT_TAKEN, UNKNOWN.format("wrong_path"), *[1] * 30), 20, False),
        Case(
            {
                f"{NOT_TAKEN}{{{UNKNOWN.format('wrong_path')},{HERE}}}": (
                    "_ 1 2 2 3 3 3 3 3 4 4 4 4 4 4 4 4 4 4 5 5 5"
                )
            },
            20,
            True,
        ),
        Case({f"{NOT_TAKEN}{{{UNKNOWN.format('wrong_method')},{HERE}}}": "_ 1 1 1 1"}, 4, False),
    ],
    "DlrQuarantineGrows": [
        Case(counter("dlr_quarantined_total", 1, 'source="a",kind="oneapi"'), 90, False),
        Case(counter("dlr_quarantined_total", 2, 'source="a",kind="oneapi"'), 90, True),
    ],
    "DlrOldestWaiting": [
        Case(gauge(OLDEST, 6 * HOUR, 'endpoint="a"'), 60, False),
        Case(gauge(OLDEST, 6 * HOUR + 1, 'endpoint="a"'), 5, True),
    ],
    "DlrEndpointNearLoss": [
        Case(loss(12 * HOUR, 3), 60, False),
        Case(loss(HOUR, 4), 60, False),
        Case(loss(11 * HOUR, 3), 5, True),
    ],
    "DlrNotReadOn": [
        Case(unread(900, 1), 60, False),
        Case(unread(901, 0), 60, False),
        Case(unread(901, 1), 5, True),
    ],
    "DlrExhausted": [
        Case(counter(ENDED, 1, 'endpoint="a",state="acknowledged"'), 60, False),
        Case(counter(ENDED, 1, 'endpoint="a",state="exhausted"'), 20, True),
    ],
    "DlrAttemptsFail": [
        Case(attempts(50, 50), 60, False),
        Case(attempts(51, 49), 14, False),
        Case(attempts(51, 49), 60, True),
    ],
    "DlrNotReplayed": [
        Case(gauge("dlr_exhausted_not_replayed", 0, 'endpoint="a"'), 1500, False),
        Case(gauge("dlr_exhausted_not_replayed", 1, 'endpoint="a"'), 1439, False),
        Case(gauge("dlr_exhausted_not_replayed", 1, 'endpoint="a"'), 1440, True),
    ],
    "DlrUnrouted": [
        Case(gauge("dlr_unrouted_reports", 999, 'final="false"'), 60, False),
        Case(gauge("dlr_unrouted_reports", 100, 'final="true"'), 60, False),
        Case(gauge("dlr_unrouted_reports", 101, 'final="true"'), 15, True),
    ],
}


def rules() -> Sequence[dict[str, Any]]:
    found: Sequence[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    return found


def test_each_alert_has_its_cases() -> None:
    """One that must not fire, and one that must."""
    assert list(CASES) == [rule["alert"] for rule in rules()]
    for name, cases in CASES.items():
        assert {case.fires for case in cases} == {True, False}, name


@pytest.mark.parametrize("name", CASES)
def test_it_fires_when_it_should(name: str, tmp_path: Path) -> None:
    """promtool plays the figures."""
    promtool = tool("promtool", "apt-get install prometheus")
    (tmp_path / "alerts.yml").symlink_to(ALERTS)
    firing = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)'
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values} for series, values in case.series.items()
            ],
            "promql_expr_test": [
                {
                    "expr": firing,
                    "eval_time": f"{case.minute}m",
                    "exp_samples": [{"labels": "{}", "value": int(case.fires)}],
                }
            ],
        }
        for case in CASES[name]
    ]
    file = tmp_path / "test.json"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": ["alerts.yml"], "tests": tests}))

    assert "SUCCESS" in checked(promtool, "test", "rules", file)


def test_each_alert_has_its_paragraph() -> None:
    """`runbook_url` of each leads to a heading of the troubleshooting guide, which has no other
    alerts."""
    text = GUIDE.read_text("utf-8")
    anchors = {each.anchor for each in rendered(text, "config/TROUBLESHOOTING.md").contents}
    for rule in rules():
        url = rule["annotations"]["runbook_url"]
        page, anchor = url.split("#")
        assert page == "http://{{ $labels.instance }}/docs/troubleshooting"
        assert anchor == rule["alert"].lower()
        assert anchor in anchors
    headings = re.findall(r"^### (Dlr\w+)$", text, re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]
