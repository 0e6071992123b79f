"""Scenarios that both engines play as a little simulator of another hand does, to the digit."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.scenario import Scenario
from dispatcher.simulation.timeline import Timeline
from tests.simulation.little_simulator import (
    SCHEDULE,
    Seen,
    arriving,
    down,
    flapping,
    played,
    served,
)
from tests.simulation.support import a_scenario, outage

HOUR = 3600.0
ENGINES = (simulate_exact, simulate_cohort)

Case = tuple[dict[str, Any], Seen]


def a_case(duration: str, per_second: float, **said: Any) -> dict[str, Any]:
    return {"duration": duration, "arrivals": {"per_second": per_second}, **said}


CASES: dict[str, Case] = {
    "up": (
        a_case("10m", 1.0),
        played(arriving(600, 1.0), down(0, 0)),
    ),
    "up and slow": (
        a_case("10m", 1.0, phase=[{"behaves": "up", "latency": "3s"}]),
        played(arriving(600, 1.0), down(0, 0, up=3.0)),
    ),
    "ten minutes": (
        a_case("1h", 0.5, phase=[outage("20m", "10m")]),
        played(arriving(HOUR, 0.5), down(1200, 600)),
    ),
    "an hour of packets that are dropped": (
        a_case(
            "2h",
            0.1,
            phase=[outage("30m", "1h", "drops")],
            endpoint={"connect_timeout": "3s"},
        ),
        played(arriving(2 * HOUR, 0.1), down(1800, 3600, takes=3.0)),
    ),
    "an answer that is lost on its way back": (
        a_case(
            "1h",
            0.2,
            phase=[outage("10m", "15m", "half-open")],
            endpoint={"read_timeout": "7s"},
        ),
        played(arriving(HOUR, 0.2), down(600, 900, takes=7.0)),
    ),
    "errors after two seconds": (
        a_case("1h", 0.2, phase=[outage("10m", "3h", "answers", status=503, latency="2s")]),
        played(arriving(HOUR, 0.2), down(600, 3 * HOUR, takes=2.0)),
    ),
    "42 hours": (
        a_case("2h", 0.05, phase=[outage("0s", "42h")]),
        played(arriving(2 * HOUR, 0.05), down(0, 42 * HOUR)),
    ),
    "for ever": (
        a_case("20m", 0.05, phase=[outage("0s", "366d")]),
        played(arriving(1200, 0.05), down(0, 366 * 24 * HOUR)),
    ),
    "one of two minutes": (
        a_case(
            "1h",
            0.5,
            phase=[{"behaves": "refuses", "every": "2m", "each_time": "50s"}],
        ),
        played(arriving(HOUR, 0.5), flapping(120, 50)),
    ),
    "two waits": (
        a_case(
            "1h",
            0.5,
            phase=[outage("10m", "9m")],
            schedule={"preset": "custom", "waits": ["2m", "5m"], "retries": 2},
        ),
        played(arriving(HOUR, 0.5), down(600, 540), (120.0, 300.0)),
    ),
    "a window as busy as it can be": (
        a_case("10m", 2.0, phase=[{"behaves": "up", "latency": "2s"}], endpoint={"window": 4}),
        served(arriving(600, 2.0), 4, 2.0),
    ),
    "a window with a tenth too much to do": (
        a_case("10m", 2.2, phase=[{"behaves": "up", "latency": "2s"}], endpoint={"window": 4}),
        served(arriving(600, 2.2), 4, 2.0),
    ),
}


def seen_in(timeline: Timeline) -> Seen:
    totals, lateness = timeline.totals, timeline.lateness
    return Seen(
        totals.acknowledged,
        lateness.late,
        totals.exhausted,
        totals.attempts,
        totals.wasted,
        lateness.longest,
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("engine", ENGINES)
def test_both_engines_agree_with_the_little_one(engine: Any, name: str) -> None:
    """In each count, and in the longest lateness to the hundredth of a second."""
    said, expected = CASES[name]

    found = seen_in(engine(a_scenario(**said)))

    assert found.latest == pytest.approx(expected.latest, abs=0.01)
    found.latest = expected.latest
    assert found == expected


def of_one_report(*phases: dict[str, Any]) -> Scenario:
    return a_scenario(duration="1s", arrivals={"per_second": 1.0}, phase=list(phases))


@pytest.mark.parametrize("number", range(1, 20))
@pytest.mark.parametrize("engine", ENGINES)
def test_a_single_report_comes_with_the_first_retry_after_the_outage(
    engine: Any, number: int
) -> None:
    """A second before retry n the endpoint is up again: then the report is as late as the sum of
    the waits until then, Σ (1 min + 1 min·k²)."""
    due = sum(SCHEDULE[:number])
    timeline = engine(of_one_report(outage("0s", f"{int(due) - 1}s")))

    assert timeline.lateness.longest == due
    assert timeline.totals.attempts == number + 1


@pytest.mark.parametrize("engine", ENGINES)
def test_the_whole_schedule_is_41_hours_and_a_half(engine: Any) -> None:
    """21 attempts, the last of them 41:30 h after the first."""
    timeline = engine(of_one_report(outage("0s", "366d")))

    assert (timeline.totals.attempts, timeline.totals.exhausted) == (21, 1)
    assert timeline.ended_at == sum(SCHEDULE) == 41.5 * HOUR
