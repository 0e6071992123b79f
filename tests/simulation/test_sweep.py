"""One setting over a range of values."""

from __future__ import annotations

import json

import pytest

from dispatcher.simulation.comparison import Run, csv_rows
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.sweep import POINTS, outlasts, past_arrivals, read_sweep, rows, to_json
from receiver.settings.configuration import ConfigurationError
from tests.simulation.support import a_scenario, outage


def test_a_wide_range_is_spread_in_even_ratio() -> None:
    """Its ends are in it, what is between is round."""
    found = read_sweep("outage=10m..48h")

    assert (found.texts[0], found.texts[-1], len(found.texts)) == ("10m", "2d", POINTS)
    assert "1h5m" not in found.texts
    assert found.numbers is not None
    assert sorted(found.numbers) == found.numbers


def test_a_narrow_range_is_spread_evenly() -> None:
    """Whole numbers stay whole."""
    assert read_sweep("endpoint.window=10..22").texts == [str(n) for n in range(10, 23)]


def test_values_may_be_listed() -> None:
    """Durations and numbers have a place on an axis, words have none."""
    assert read_sweep("outage=10m,1h").numbers == [600, 3600]
    assert read_sweep("arrivals.per_second=1,2.5").numbers == [1, 2.5]
    assert read_sweep("schedule.preset=svix,infobip").numbers is None


@pytest.mark.parametrize("asked", ["outage", "outage=1h", "outage=1h..10m", "=1..2", "a=x..y"])
def test_what_is_no_range_is_refused(asked: str) -> None:
    """With an example."""
    with pytest.raises(ConfigurationError, match=r"outage=10m\.\.48h"):
        read_sweep(asked)


def test_a_sweep_tells_loss_and_lateness_for_each_value() -> None:
    """Two waits of five minutes outlast an outage of ten minutes, and lose half of one of 20."""
    given = a_scenario(
        arrivals={"per_second": 0.05},
        phase=[outage("10m", "1m")],
        schedule={"preset": "custom", "waits": ["5m", "5m"]},
    )
    sweep = read_sweep("outage=10m,20m")
    runs = [Run(each.name, simulate_exact(each.scenario)) for each in sweep.variants(given)]

    table = list(rows(sweep.key, runs))

    assert table[0][:3] == ["outage", "lost", "late"]
    assert [line[:3] for line in table[1:]] == [["10m", "0", "30"], ["20m", "30", "30"]]
    points = json.loads(to_json(sweep.key, runs, [], partial=False))["points"]
    assert [point["figures"]["lost"] for point in points] == [0, 30]
    assert [line[0] for line in csv_rows(sweep.key, runs)] == ["outage", "10m", "20m"]


def test_a_sweep_past_the_end_of_arrivals_says_so() -> None:
    """Reports arrive for an hour. An outage from its tenth minute on that lasts two hours meets no
    new one in its second half: the curve bends there, and not because of the schedule."""
    given = a_scenario(arrivals={"per_second": 0.05}, phase=[outage("10m", "1m")])

    past = outlasts(read_sweep("outage=20m,50m,2h").variants(given))

    assert past == ["2h"]
    assert past_arrivals(past).startswith("PAST THE ARRIVALS: 2h: ")
    assert json.loads(to_json("outage", [], past, partial=False))["pastArrivals"] == ["2h"]
