"""The cohort engine: closed forms, a day of 10⁹ reports, and the rules by which it counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import accumulate
from typing import Any

import pytest

from dispatcher.retrying.schedule import INFOBIP
from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.scenario import (
    ArrivalSettings,
    Behaviour,
    Phase,
    Scenario,
    SimulatedEndpoint,
)
from dispatcher.simulation.timeline import Timeline, to_json

HOUR = timedelta(hours=1)
DAY = 24 * HOUR


def a_day(per_second: float, *phases: Phase, **said: Any) -> Scenario:
    """Reports come evenly for a day."""
    scenario = Scenario(duration=DAY, arrivals=ArrivalSettings(per_second=per_second), phase=phases)
    return replace(scenario, **said)


def an_outage(at: timedelta, lasts: timedelta, behaves: Behaviour = "stalls") -> Phase:
    return Phase(behaves, at=at, lasts=lasts)


def all_are_somewhere(timeline: Timeline) -> bool:
    totals, bins = timeline.totals, timeline.bins
    ended = totals.acknowledged + totals.exhausted + totals.waiting
    return (
        totals.reports == sum(bins.arrivals) == ended
        and totals.attempts == sum(bins.attempts)
        and totals.wasted == sum(map(sum, bins.failed.values()))
        and totals.acknowledged == sum(timeline.lateness.bins.values())
        and bins.backlog[-1] == totals.waiting
    )


def test_an_endpoint_that_is_up_gets_each_report_at_once() -> None:
    """Of a billion reports to an endpoint that answers at once, each is a push of its own and none
    is late."""
    timeline = simulate_cohort(a_day(10**9 / 86_400))

    assert timeline.totals.reports == timeline.totals.attempts == 10**9
    assert timeline.totals.acknowledged == 10**9
    assert timeline.lateness.bins == {0: 10**9}


@pytest.mark.parametrize("per_second", [1.0, 100.0])
def test_only_what_has_all_its_attempts_in_the_outage_is_lost(per_second: float) -> None:
    """Of an outage of 42 hours exactly those reports are lost that arrive in its first half hour:
    the last of their 21 attempts is 41:30 h later. However many reports there are."""
    scenario = a_day(
        per_second,
        an_outage(HOUR, 42 * HOUR),
        endpoint=SimulatedEndpoint(
            window=10_000, read_timeout=timedelta(milliseconds=100), bucket_size=1
        ),
    )

    timeline = simulate_cohort(scenario)

    lost = timedelta(minutes=30).total_seconds() * per_second
    assert timeline.totals.exhausted == pytest.approx(lost, rel=0.01)
    assert all_are_somewhere(timeline)


def test_attempts_are_made_when_the_schedule_says() -> None:
    """The attempts of one report fall into the bins of the 21 instants of the schedule."""
    scenario = Scenario(
        duration=timedelta(seconds=1),
        bin=timedelta(minutes=1),
        phase=(Phase("refuses"),),
    )

    timeline = simulate_cohort(scenario)

    instants = [wait // timedelta(minutes=1) for wait in accumulate(INFOBIP.waits)]
    made = [index for index, attempts in enumerate(timeline.bins.attempts) if attempts]
    assert made == [0, *instants]
    assert timeline.totals.exhausted == 1


def test_the_cost_does_not_grow_with_the_reports() -> None:
    """A thousand times as many reports take as many looks: a day has so many stretches."""
    looks = []
    for per_second in (10.0, 10_000.0):
        seen: list[float] = []

        def watch(done: float, seen: list[float] = seen) -> bool:
            seen.append(done)
            return True

        scenario = a_day(per_second, Phase("up", latency=timedelta(milliseconds=50)))
        simulate_cohort(scenario, watch)
        looks.append(len(seen))

    assert looks[1] <= 2 * looks[0]


def test_a_full_window_makes_buckets_grow() -> None:
    """An endpoint with 20 places and answers after 50 ms takes 400 pushes a second; of 4,000
    reports a second each push then brings ten."""
    scenario = a_day(4_000.0, Phase("up", latency=timedelta(milliseconds=50)))

    timeline = simulate_cohort(scenario)

    assert timeline.totals.attempts / 86_400 == pytest.approx(400, rel=0.02)
    assert timeline.totals.acknowledged == timeline.totals.reports
    assert timeline.lateness.longest < 10


def test_a_rate_limit_is_kept() -> None:
    """At 50 requests a second no second has more than these and what was saved up."""
    scenario = a_day(1_000.0, endpoint=SimulatedEndpoint(rate_limit=50))

    timeline = simulate_cohort(scenario)

    assert max(timeline.bins.peak) <= 56
    assert timeline.totals.attempts == pytest.approx(50 * 86_400, rel=0.02)


def test_an_open_breaker_lets_through_probes_alone() -> None:
    """Behind a breaker an outage of six hours costs a probe each half minute, not an attempt of
    each report that is due."""
    endpoint = SimulatedEndpoint(breaker_failures=10)
    scenario = a_day(500.0, an_outage(HOUR, 6 * HOUR, "refuses"), endpoint=endpoint)

    timeline = simulate_cohort(scenario)

    assert 6 * 120 * 0.9 < timeline.totals.wasted < 6 * 120 + 1_500
    assert timeline.totals.exhausted == 0


def test_shares_are_met() -> None:
    """Where three of ten pushes fail by chance, three of ten attempts are wasted."""
    phase = Phase("answers", share=0.3, status=500)

    timeline = simulate_cohort(a_day(100.0, phase, duration=2 * HOUR))

    totals = timeline.totals
    assert totals.wasted / totals.attempts == pytest.approx(0.3, abs=0.01)
    assert totals.acknowledged == totals.reports
    assert all_are_somewhere(timeline)


def test_what_waits_at_the_end_is_counted() -> None:
    """A scenario that ends in the outage leaves what arrived in it waiting."""
    scenario = a_day(50.0, an_outage(HOUR, 10 * HOUR, "stalls"), until=2 * HOUR)

    timeline = simulate_cohort(scenario)

    assert timeline.totals.acknowledged == 50 * 3_600
    assert timeline.totals.waiting == 50 * 3_600 + 1  # the last comes at the very end
    assert timeline.ended_at == 7_200
    assert all_are_somewhere(timeline)


def test_a_seed_gives_the_same_bytes() -> None:
    """Two simulations of one scenario agree in each byte; another seed draws otherwise."""
    phases = (
        Phase("up", latency=timedelta(milliseconds=40), latency_p99=timedelta(seconds=1)),
        Phase("answers", share=0.1, status=503),
    )
    arrivals = ArrivalSettings(per_second=100, by_chance=True)
    scenario = a_day(100.0, *phases, arrivals=arrivals, duration=HOUR)

    assert to_json(simulate_cohort(scenario)) == to_json(simulate_cohort(scenario))
    assert to_json(simulate_cohort(scenario)) != to_json(simulate_cohort(replace(scenario, seed=2)))


def test_broken_off_it_says_so() -> None:
    """A watch that says no ends it, and the timeline tells of the time up to then."""
    timeline = simulate_cohort(a_day(1_000.0), lambda done: done < 0.1)

    assert timeline.partial
    assert 0 < timeline.ended_at < 86_400
    assert all_are_somewhere(timeline)


@pytest.mark.parametrize(("duration", "at"), [(6 * HOUR, 0 * HOUR), (36 * HOUR, 1.5 * HOUR)])
def test_the_peak_is_what_the_window_lets_through(duration: timedelta, at: timedelta) -> None:
    """Back after forty minutes, the endpoint met 2,126 requests in one second by the cohort
    engine and 171 by the exact one: what was due at one instant began at once, though 20 places
    and answers that take 102 ms on the average let through 197 a second."""
    slow = Phase("up", latency=timedelta(milliseconds=80), latency_p99=timedelta(milliseconds=400))
    outage = an_outage(at, timedelta(minutes=40), "refuses")
    endpoint = SimulatedEndpoint(window=20, bucket_size=1)

    timeline = simulate_cohort(a_day(5.0, slow, outage, duration=duration, endpoint=endpoint))

    assert 150 <= timeline.peak()[0] <= 240
    assert all_are_somewhere(timeline)
