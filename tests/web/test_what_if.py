"""The scenario that the page "Simulate" makes of an endpoint, an outage and a day's traffic."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dispatcher.settings.settings import (
    DispatchSettings,
    EndpointSettings,
    OutcomeSettings,
)
from dispatcher.simulation.scenario import Scenario, read_scenario
from dispatcher.web.what_if import _KEPT, Outage, what_if
from receiver.settings.reader import read_table

HOUR = timedelta(hours=1)
OUTAGE = Outage(14 * HOUR, 3 * HOUR)

SECRETIVE = {
    "name": "acme",
    "url": "https://user:hidden-1@acme.example/hidden-2?key=hidden-3",
    "headers": {"X-Key": "hidden-4"},
    "senders": ["hidden-5"],
    "bulk_ids": ["hidden-6"],
    "callback_data_prefix": "hidden-7",
    "callback_data_fields": {"hidden-8": "hidden-9"},
    "security": {"type": "basic", "username": "hidden-10", "password": "hidden-11"},
    "window": 3,
}


def an_endpoint(**settings: object) -> EndpointSettings:
    return EndpointSettings("acme", "https://acme.example/dlr", **settings)  # type: ignore[arg-type]


def read_back(folder: Path, text: str) -> Scenario:
    file = folder / "scenario.toml"
    file.write_text(text, "utf-8")
    return read_scenario(file)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bucket_size": 7, "window": 3, "rate_limit": 2.5, "ordered": True},
        {"connect_timeout": timedelta(seconds=3), "read_timeout": timedelta(seconds=40)},
        {"breaker_failures": 5, "breaker_probe": timedelta(seconds=90), "schedule": "svix"},
        {"outcome": OutcomeSettings(("200", "202"), '^"ok"$', ("410",), False, True, 2 * HOUR)},
    ],
    ids=lambda settings: ", ".join(settings) or "defaults",
)
def test_it_reads_back_with_the_settings_of_the_endpoint(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    """All that decide how pushes go, and the schedule of [schedule]."""
    endpoint = an_endpoint(**settings)
    schedule = DispatchSettings("custom", first=timedelta(seconds=5), retries=4)

    found = read_back(tmp_path, what_if(endpoint, schedule, {3: 10}, OUTAGE, "2026-11-27"))

    assert {each: getattr(found.endpoint, each) for each in _KEPT} == {
        each: getattr(endpoint, each) for each in _KEPT
    }
    assert found.schedule == schedule


def test_it_has_the_outage_and_the_traffic_of_the_day(tmp_path: Path) -> None:
    """As many reports as on that day, in the same hours; down when asked for, up before."""
    hours = {0: 100, 14: 8_000, 23: 540}
    text = what_if(an_endpoint(), DispatchSettings(), hours, OUTAGE, "2026-11-27")
    found = read_back(tmp_path, text)

    assert found.story == "acme is down for 3h, with the traffic of 2026-11-27"
    assert found.duration == timedelta(days=1)
    assert found.arrivals.kind == "daily"
    assert found.arrivals.per_second * 86_400 == pytest.approx(8_640)
    assert dict(enumerate(found.arrivals.hours)) == {h: hours.get(h, 0) for h in range(24)}
    up, down = found.phase
    assert (up.behaves, up.at, up.lasts) == ("up", timedelta(0), None)
    assert (down.behaves, down.at, down.lasts) == ("refuses", 14 * HOUR, 3 * HOUR)


def test_nothing_secret_is_in_it() -> None:
    """Neither URL, headers and keys nor whom it serves: a scenario is text that people pass on."""
    endpoint = read_table(EndpointSettings, SECRETIVE)

    text = what_if(endpoint, DispatchSettings(), {3: 10}, OUTAGE, "2026-11-27")

    assert "window = 3" in text
    assert "hidden" not in text
    assert "://" not in text
