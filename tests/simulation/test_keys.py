"""A scenario with one of its settings changed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatcher.simulation.keys import with_outage, with_schedule, with_setting
from dispatcher.simulation.scenario import Scenario
from receiver.settings.configuration import ConfigurationError
from tests.simulation.support import a_scenario, outage


def two_troubles() -> Scenario:
    slows = {"at": "3h", "lasts": "1h", "behaves": "slows", "per_second": 2}
    return a_scenario(phase=[outage("1h", "1h"), slows], until="9h")


def fault(key: str, text: str, scenario: Scenario | None = None) -> str:
    with pytest.raises(ConfigurationError) as raised:
        with_setting(scenario or two_troubles(), key, text)
    (told,) = raised.value.faults
    return told


def test_a_key_has_its_whole_name_or_the_end_of_it() -> None:
    """`endpoint.window` and `window` are one; so are the ways to a setting of a phase."""
    assert with_setting(two_troubles(), "endpoint.window", "3").endpoint.window == 3
    assert with_setting(two_troubles(), "window", "3").endpoint.window == 3
    assert with_setting(two_troubles(), "phase[1].per_second", "7").phase[1].per_second == 7
    assert with_setting(two_troubles(), "duration", "2h").duration == timedelta(hours=2)


def test_a_key_that_means_two_places_is_asked_about() -> None:
    """The rate of arrivals and that of a phase have one name."""
    given = a_scenario(arrivals={"per_second": 2.0}, phase=[{"behaves": "slows", "per_second": 2}])

    assert fault("per_second", "1", given) == (
        "per_second: which one? arrivals.per_second or phase[0].per_second"
    )


def test_an_unknown_key_is_told_with_a_guess() -> None:
    """As the settings do it."""
    assert fault("windw", "1") == "windw: expected a key of the scenario; did you mean window?"


def test_a_value_is_judged_as_in_a_file() -> None:
    """In the same words."""
    assert fault("window", "x") == (
        'window=x: endpoint.window: expected an integer from 1 to 10000, got "x"'
    )


def test_a_longer_outage_puts_off_what_comes_after_it() -> None:
    """The first outage ended at two; the slow hour that began at three begins an hour later."""
    longer = with_outage(two_troubles(), timedelta(hours=2))

    assert [(phase.at, phase.lasts) for phase in longer.phase] == [
        (timedelta(hours=1), timedelta(hours=2)),
        (timedelta(hours=4), timedelta(hours=1)),
    ]
    assert longer.until is None  # else it would hide what the outage costs


def test_a_scenario_without_outage_has_none_to_change() -> None:
    """Slowness and failures now and then are no outage."""
    flapping = outage("1h", "2h", every="1m", each_time="30s")

    assert "so it has none" in fault("outage", "1h", a_scenario(phase=[flapping]))


@pytest.mark.parametrize("text", ["0s", "367d", "long"])
def test_an_outage_has_a_length(text: str) -> None:
    """Of at most a year."""
    assert "expected a duration" in fault("outage", text)


def test_a_preset_takes_the_place_of_the_scenarios_schedule() -> None:
    """That of the endpoint too."""
    custom = {"preset": "custom", "waits": ["1m"]}
    given = a_scenario(schedule=custom, endpoint={"schedule": "svix"})

    assert with_schedule(given, "plivo-sms").retry_schedule.name == "plivo-sms"
