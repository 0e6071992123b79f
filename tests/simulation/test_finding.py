"""Questions with a number as the answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs

from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.finding import max_outage_without_loss, min_capacity
from dispatcher.simulation.scenario import Scenario
from dispatcher.simulation.timeline import Timeline
from receiver.settings.configuration import ConfigurationError
from tests.simulation.support import HOUR, MINUTE, a_scenario, outage


def test_the_longest_outage_without_loss_is_the_span_of_the_schedule() -> None:
    """Closed form: a report that arrives as it begins has its last attempt 41:30 h later."""
    given = a_scenario(arrivals={"per_second": 0.01}, phase=[outage("10m", "1h")])

    found = max_outage_without_loss(given, simulate_exact)

    assert (found.value, found.unit, found.exact) == (41.5 * HOUR, "seconds", 60)
    assert found.sentence.startswith("The longest outage without loss is 1d17h30m: one of 1d17h31m")
    assert not found.partial


def test_a_schedule_of_minutes_is_answered_to_the_second() -> None:
    """Two waits of five minutes; a report arrives just as the outage begins."""
    given = a_scenario(
        duration="30m",
        arrivals={"per_second": 0.02},
        phase=[outage("10m", "1m")],
        schedule={"preset": "custom", "waits": ["5m", "5m"]},
    )

    found = max_outage_without_loss(given, simulate_exact)

    assert (found.value, found.exact) == (10 * MINUTE, 1)


def test_a_schedule_without_retries_has_no_such_outage() -> None:
    """Who arrives in its first second is lost."""
    given = a_scenario(
        arrivals={"per_second": 0.02}, phase=[outage("10m", "1m")], schedule={"preset": "github"}
    )

    found = max_outage_without_loss(given, simulate_exact)

    assert found.sentence.startswith("Already an outage of 1s loses reports")
    assert found.value == 0


def test_the_least_capacity_drains_the_backlog_in_time() -> None:
    """60 reports wait after 20 minutes, and one each 20 s goes on coming: to be through 20 minutes
    later takes about twice the rate of arrivals."""
    given = a_scenario(
        arrivals={"per_second": 0.05},
        phase=[outage("10m", "20m")],
        endpoint={"window": 1},
        schedule={"preset": "custom", "waits": ["1m"], "repeat_last": True, "retries": 40},
        duration="35m",
    )

    found = min_capacity(given, timedelta(minutes=20), simulate_exact)

    assert found.value is not None
    assert 0.07 < found.value < 0.15
    assert found.exact < 0.01
    assert "requests a second, so that the backlog is gone 20m after the recovery" in found.sentence


def test_no_capacity_beats_the_waits_of_the_schedule() -> None:
    """After three hours the waits are an hour long: a backlog is not gone in ten minutes."""
    given = a_scenario(arrivals={"per_second": 0.02}, phase=[outage("10m", "3h")], duration="5h")

    found = min_capacity(given, timedelta(minutes=10), simulate_exact)

    assert found.value is None
    assert found.sentence.startswith("No capacity is enough")
    assert "the waits of the schedule alone take" in found.sentence


def test_without_an_outage_nothing_is_to_be_later() -> None:
    """A burst of 60 reports at once and an endpoint that is limited: they are through in a minute
    at a push a second."""
    given = a_scenario(
        duration="1s",
        arrivals={"per_second": 60.0, "per_callback": 60},
        phase=[{"behaves": "slows", "per_second": 1}],
        endpoint={"window": 1},
    )

    found = min_capacity(given, timedelta(minutes=1), simulate_exact)

    assert found.value == pytest.approx(1, abs=0.03)
    assert "so that no report comes later than 1m" in found.sentence


def test_what_is_broken_off_says_so_and_what_is_known() -> None:
    """The second simulation is broken off."""
    made: list[Timeline] = []

    def broken_off(scenario: Scenario) -> Timeline:
        timeline = simulate_exact(scenario)
        made.append(timeline)
        return timeline if len(made) < 2 else structs_partial(timeline)

    found = max_outage_without_loss(
        a_scenario(arrivals={"per_second": 0.01}, phase=[outage("10m", "1m")]), broken_off
    )

    assert found.partial
    assert found.sentence == "PARTIAL: broken off. In an outage of 1d17h30m nothing is lost."


def structs_partial(timeline: Timeline) -> Timeline:
    return structs.replace(timeline, partial=True)


def test_a_scenario_without_outage_is_refused() -> None:
    """There is nothing to make longer."""
    with pytest.raises(ConfigurationError, match="so it has none"):
        max_outage_without_loss(a_scenario(), simulate_exact)
