"""Several schedules or settings, side by side."""

from __future__ import annotations

import json

import pytest

from dispatcher.simulation.comparison import Run, csv_rows, figures, rows, to_json, variants
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.scenario import Scenario
from receiver.settings.configuration import ConfigurationError
from tests.simulation.support import a_scenario, outage


def ten_minutes_down() -> Scenario:
    return a_scenario(arrivals={"per_second": 0.05}, phase=[outage("10m", "10m")])


def runs(asked: str) -> list[Run]:
    return [
        Run(each.name, simulate_exact(each.scenario))
        for each in variants(ten_minutes_down(), asked)
    ]


def test_schedules_meet_the_same_arrivals_and_the_same_outage() -> None:
    """30 of the 180 reports arrive while it lasts. plivo-sms tries for 7 minutes: lost is who came
    in its first three; github never tries again. With infobip the last is who came 100 s after its
    start: the retry after 8 minutes fails, that after 18 is 9:40 after the recovery."""
    found = [figures(run.timeline) for run in runs("infobip,plivo-sms,github")]

    assert [each["reports"] for each in found] == [180, 180, 180]
    assert [each["lost"] for each in found] == [0, 9, 30]
    assert [each["late"] for each in found] == [30, 21, 0]
    assert found[2]["attemptsPerReport"] == 1.0
    assert found[0]["backlogGoneAfter"] == 580
    assert found[0]["peakPerSecondAfterRecovery"] >= 1


def test_settings_are_compared_by_their_key() -> None:
    """Buckets of a hundred take fewer requests than pushes one by one."""
    given = a_scenario(arrivals={"per_second": 0.1, "per_callback": 20})
    each = [simulate_exact(v.scenario) for v in variants(given, "bucket_size=1,100")]

    assert each[0].totals.reports == each[1].totals.reports
    assert each[0].totals.attempts == 20 * each[1].totals.attempts


def test_the_table_has_a_column_for_each() -> None:
    """Names above; what there is not is a dash."""
    table = list(rows(runs("infobip,github")))

    assert table[0] == ["", "infobip", "github"]
    assert ["lost", "0", "30"] in table
    assert ["backlog gone after recovery", "9m40s", "0s"] in table


def test_json_has_all_of_each_and_csv_the_figures() -> None:
    """For those who go on with it."""
    found = runs("infobip,github")
    told = json.loads(to_json(found))["compared"]
    lines = list(csv_rows("name", found))

    assert [each["name"] for each in told] == ["infobip", "github"]
    assert told[1]["figures"]["lost"] == told[1]["totals"]["exhausted"] == 30
    assert dict(zip(lines[0], lines[2], strict=True))["lost"] == 30


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("svix", "expected 2 to 8 different presets"),
        ("svix,svix", "expected 2 to 8 different presets"),
        ("svix,infobib", 'got "infobib"; did you mean infobip?'),
        ("custom,svix", 'got "custom"'),  # the scenario has no schedule of its own
        ("window=", "expected 2 to 8"),
    ],
)
def test_what_cannot_be_compared_is_refused(asked: str, said: str) -> None:
    """With what was expected."""
    with pytest.raises(ConfigurationError) as raised:
        variants(ten_minutes_down(), asked)

    assert said in str(raised.value)


def test_a_schedule_of_ones_own_is_compared_with_presets() -> None:
    """By the name `custom`."""
    own = a_scenario(schedule={"preset": "custom", "waits": ["7m"]})

    found = variants(own, "custom,svix")

    assert [each.scenario.retry_schedule.name for each in found] == ["custom", "svix"]
