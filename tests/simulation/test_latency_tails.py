"""Latencies with a tail: what chance makes of a window that is nearly full.

A log-normal latency of 80 ms with a 99th percentile of 1 s has a mean of 144 ms. At 30 a second and
a window of 4 that is more than the endpoint can take: the exact engine had 31,718 of 36,000 reports
late. The cohort engine had 5, and `auto` believed it: it added up lots with a mean of 118 ms, and
forgot what they took too many.
"""

from __future__ import annotations

import math
from datetime import timedelta
from random import Random
from statistics import mean, variance

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from dispatcher.simulation.bounds import with_bounds
from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.crowd import CrowdModel
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.latency import LogNormal
from dispatcher.simulation.scenario import ArrivalSettings, Phase, Scenario, SimulatedEndpoint
from dispatcher.simulation.timeline import NEAR, Timeline
from tests.simulation.support import a_scenario
from tests.simulation.test_cohort_agrees import tried

SEEDS = (1, 2, 3)
REPORTS = 2_200
"""More than are followed anyway."""


def a_tail(latency: float, ratio: float, busy: float, window: int, seed: int = 1) -> Scenario:
    """REPORTS come to an endpoint whose window they keep busy to that part. Its 99th percentile is
    `ratio` times the median, `latency` seconds."""
    took, _ = LogNormal(latency, latency * ratio).moments_up_to(10.0)
    per_second = round(busy * window / took, 3)
    slow, slowest = (timedelta(seconds=round(each, 6)) for each in (latency, latency * ratio))
    return Scenario(
        seed=seed,
        duration=timedelta(seconds=max(1, round(REPORTS / per_second))),
        arrivals=ArrivalSettings(per_second=per_second),
        phase=(Phase("up", latency=slow, latency_p99=slowest),),
        endpoint=SimulatedEndpoint(window=window, bucket_size=1),
    )


tails = st.tuples(
    st.sampled_from([0.01, 0.08, 0.3]),
    st.sampled_from([1.5, 5.0, 12.5, 50.0]),
    st.sampled_from([0.5, 0.7, 0.85, 1.0, 1.2]),
    st.sampled_from([1, 4, 20]),
)


def counted(scenario: Scenario) -> Timeline:
    """With nothing followed, as scenarios are that have a thousand times the reports."""
    return with_bounds(simulate_cohort(scenario, one_by_one=0, followed=0), scenario)


def exact_ones(said: tuple[float, float, float, int]) -> list[Timeline]:
    return [simulate_exact(a_tail(*said, seed)) for seed in SEEDS]


@tried(3)
@given(tails)
def test_followed_the_engines_are_as_near_as_two_seeds_of_the_exact_one(
    said: tuple[float, float, float, int],
) -> None:
    """Where the cohort engine can follow what chance holds up, its figures are what one more seed
    of the exact engine might have given."""
    note(f"{said}")
    found = simulate_cohort(a_tail(*said))
    others = exact_ones(said)

    assert not found.estimated
    for figure in (late, p95):
        seen = [figure(each) for each in others]
        spread = max(seen) - min(seen)
        slack = 2 * spread + 0.05 * max(seen)
        assert min(seen) - slack <= figure(found) <= max(seen) + slack


def late(timeline: Timeline) -> float:
    return timeline.lateness.late


def p95(timeline: Timeline) -> float:
    return timeline.lateness.percentiles()[95]


@tried(3)
@given(tails)
def test_counted_the_exact_figures_lie_within_the_bounds(
    said: tuple[float, float, float, int],
) -> None:
    """Where it cannot, it says so and gives bounds, and each seed of the exact engine lies within
    them; or it says that it is near, and is."""
    note(f"{said}")
    found = counted(a_tail(*said))
    bounds = found.exactness.bounds
    few = round(NEAR * found.totals.reports)

    for other in exact_ones(said):
        if bounds is None:
            assert other.lateness.late == pytest.approx(found.lateness.late, abs=few)
            assert other.totals.exhausted == pytest.approx(found.totals.exhausted, abs=few)
        else:
            assert bounds.late[0] <= other.lateness.late <= bounds.late[1]
            assert bounds.lost[0] <= other.totals.exhausted <= bounds.lost[1]


@pytest.mark.parametrize("busy", [0.85, 1.0, 1.2])
def test_a_busy_window_is_called_an_estimate(busy: float) -> None:
    """From eight tenths of what the window can do on, with the reason and the bounds."""
    found = counted(a_tail(0.08, 12.5, busy, 4))

    assert found.exactness.because.startswith("the window is ")
    assert found.exactness.bounds is not None
    assert found.exactness.bounds.late[0] <= found.lateness.late <= found.exactness.bounds.late[1]


def test_the_case_that_was_believed() -> None:
    """36,000 reports, of which seeds of the exact engine have 26,517 to 33,302 late. It has them
    when they are followed, and when they are counted within its bounds."""
    slow = {"behaves": "up", "latency": "80ms", "latency_p99": "1s"}
    played = a_scenario(
        duration="20m", arrivals={"per_second": 30}, phase=[slow], endpoint={"window": 4}
    )
    followed, estimate = simulate_cohort(played), counted(played)
    bounds = estimate.exactness.bounds

    assert followed.exactness.level != "estimated"
    assert 24_000 < followed.lateness.late < 35_000
    assert estimate.estimated
    assert 20_000 < estimate.lateness.late < 36_000
    assert bounds is not None
    assert bounds.late[0] <= 26_517
    assert bounds.late[1] >= 33_302


@pytest.mark.parametrize("ratio", [1.0, 1.5, 12.5, 50.0])
def test_the_moments_of_a_latency_are_those_of_its_draws(ratio: float) -> None:
    """Mean and mean square of what takes no longer than the limit, and how much takes longer."""
    latencies, rng = LogNormal(0.08, 0.08 * ratio), Random(1)
    drawn = [0.08 * math.exp(latencies.sigma * rng.gauss(0, 1)) for _ in range(200_000)]
    within = [each for each in drawn if each <= 1.0]
    first, second = latencies.moments(1.0)

    assert first == pytest.approx(mean(within), rel=0.02)
    assert second == pytest.approx(mean(each**2 for each in within), rel=0.04)
    assert latencies.share_above(1.0) == pytest.approx(1 - len(within) / 200_000, abs=0.002)


def test_the_parts_of_a_latency_make_up_its_mean() -> None:
    """None of the tail is left out: the mean of 80 ms and 1 s is 144 ms, not 118."""
    latencies = LogNormal(0.08, 1.0)
    parts = [latencies.mean_of_part(part / 16, (part + 1) / 16, 1e9) for part in range(16)]

    assert mean(parts) == pytest.approx(0.1443, rel=0.001)
    assert parts == sorted(parts)


def test_a_crowd_is_busy_for_as_long_as_its_pushes_would_be_one_by_one() -> None:
    """In the mean and in the variance, over many crowds of a thousand."""
    slow = Phase("up", latency=timedelta(seconds=0.08), latency_p99=timedelta(seconds=1))
    endpoint = a_scenario().customer
    crowd = CrowdModel([slow], [slow], endpoint, Random(1))
    within = timedelta(seconds=10)
    busy = [
        sum(
            each.pushes * each.holds.total_seconds()
            for each in crowd.meet_all(within, 1_000, within)
        )
        for _ in range(1_000)
    ]
    first, second = LogNormal(0.08, 1.0).moments_up_to(10.0)

    assert mean(busy) == pytest.approx(1_000 * first, rel=0.01)
    assert variance(busy) == pytest.approx(1_000 * (second - first**2), rel=0.2)
