"""Two engines, one truth: exact and cohort on scenarios at random.

Small ones agree in every figure, with the same chance drawn. Where the pushes of a moment are taken
together, they agree within what is said below.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, note, settings

from dispatcher.settings.settings import DispatchSettings
from dispatcher.simulation import cohort, exact
from dispatcher.simulation.scenario import ArrivalSettings, Phase, Scenario, SimulatedEndpoint
from dispatcher.simulation.timeline import Timeline, to_dict
from tests.simulation.random_scenarios import has_no_faults, scenarios, stories

LONG = 3_000
"""Scenarios of the long form."""

MOST_ATTEMPTS = 20_000
"""More would take the exact engine too long."""

REPORTS = 0.01
"""Of all reports: by so many, and FEW more, the acknowledged, lost and waiting may differ."""

FEW = 20
"""What a push or two make by chance."""

ATTEMPTS = 0.05
"""By so much of them the attempts may differ."""

LATENESS = 0.1
"""By so much, and a second, a percentile of lateness may differ, …"""

RANK = 0.03
"""… or it is found where so much more or less of the reports had come."""


def figures(timeline: Timeline) -> dict[str, Any]:
    return {name: value for name, value in to_dict(timeline).items() if name != "engine"}


def both(scenario: Scenario) -> tuple[Timeline, Timeline]:
    note(f"scenario: {scenario!r}")
    return exact.simulate_exact(scenario), cohort.simulate_cohort(scenario)


def agree_in_all(scenario: Scenario) -> None:
    assume(has_no_faults(scenario))
    expected, found = both(scenario)
    assert figures(found) == figures(expected)


def differences(expected: Timeline, found: Timeline) -> Iterator[str]:
    """What is further apart than it may be."""
    one, other = expected.totals, found.totals
    for name in ("acknowledged", "exhausted", "waiting"):
        if abs(getattr(one, name) - getattr(other, name)) > REPORTS * one.reports + FEW:
            yield name
    if abs(one.attempts - other.attempts) > ATTEMPTS * one.attempts + FEW:
        yield "attempts"
    for percent, seconds in expected.lateness.percentiles().items():
        margin = LATENESS * seconds + 1
        sooner, later = (within(found, seconds + by) for by in (-margin, margin))
        if not sooner - RANK <= percent / 100 <= later + RANK:
            yield f"p{percent}: {sooner:.3f} to {later:.3f} were acknowledged by then"


def within(timeline: Timeline, seconds: float) -> float:
    """The share of the acknowledged reports that were so within so long."""
    lateness = timeline.lateness
    soon = sum(n for bin, n in lateness.bins.items() if lateness.longest_in[bin] <= seconds)
    return soon / max(1, sum(lateness.bins.values()))


def tried(examples: int, *, others_each_time: bool = False) -> settings:
    """On so many scenarios: always the same, or others with each run."""
    return settings(
        max_examples=examples,
        derandomize=not others_each_time,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


@tried(60)
@given(scenarios(by_chance=False))
def test_agree_exactly_without_chance(scenario: Scenario) -> None:
    """A small scenario without chance has the same timeline in both engines: totals, each bin, each
    percentile, the highest peak."""
    agree_in_all(scenario)


@tried(60)
@given(scenarios(by_chance=True))
def test_agree_exactly_with_chance(scenario: Scenario) -> None:
    """A small scenario with chance has the same timeline too: the same is drawn for the same
    push."""
    agree_in_all(scenario)


def test_agree_on_a_retry_beside_no_fresh_report() -> None:
    """A retry took more than the quarter of its rate limit while no fresh report waited, and began
    30 ms later in the cohort engine, which looked for room only where fresh ones are kept some."""
    every, each_time = timedelta(seconds=2), timedelta(seconds=1)
    up = Phase("up", every=every, each_time=each_time)
    outage = Phase("refuses", lasts=timedelta(seconds=6.2), every=every, each_time=each_time)
    scenario = Scenario(
        seed=0,
        duration=timedelta(seconds=5.7),
        until=timedelta(days=3),
        arrivals=ArrivalSettings(per_second=3.0, by_chance=True),
        phase=(up, up, outage),
        endpoint=SimulatedEndpoint(
            bucket_size=1,
            window=1,
            rate_limit=11.0,
            breaker_failures=0,
            connect_timeout=timedelta(seconds=0.3),
            read_timeout=timedelta(seconds=0.1),
        ),
    )

    expected, found = exact.simulate_exact(scenario), cohort.simulate_cohort(scenario)
    assert figures(found) == figures(expected)


def test_agree_on_retries_where_no_fresh_report_waits() -> None:
    """An endpoint with a rate limit lost its connections at once. The exact engine looked for room
    a little late, the cohort engine also when the outage ended, and found room there: it ended 0.3
    seconds earlier."""
    every, each_time = timedelta(seconds=2), timedelta(seconds=1)
    scenario = Scenario(
        seed=0,
        duration=timedelta(seconds=5),
        until=timedelta(days=3),
        arrivals=ArrivalSettings(per_second=1.0),
        phase=(
            Phase("up", every=every, each_time=each_time),
            Phase("drops", lasts=timedelta(seconds=12.2)),
        ),
        endpoint=SimulatedEndpoint(
            bucket_size=1,
            window=1,
            rate_limit=0.8,
            breaker_failures=0,
            connect_timeout=timedelta(seconds=0.3),
            read_timeout=timedelta(seconds=0.1),
        ),
        schedule=DispatchSettings(preset="sinch-sms"),
    )

    expected, found = exact.simulate_exact(scenario), cohort.simulate_cohort(scenario)
    assert figures(found) == figures(expected)


@pytest.mark.long
@pytest.mark.parametrize("by_chance", [False, True])
def test_agree_exactly_on_thousands(by_chance: bool) -> None:
    """The same on thousands of scenarios."""

    @tried(LONG, others_each_time=True)
    @given(scenarios(by_chance=by_chance))
    def agree(scenario: Scenario) -> None:
        agree_in_all(scenario)

    agree()


@tried(6)
@given(stories())
def test_agree_nearly_when_counted(scenario: Scenario) -> None:
    """Nothing is followed one by one, all is counted: the engines agree within the tolerance."""
    note(f"scenario: {scenario!r}")
    assert far_apart(scenario) == []


@pytest.mark.long
def test_agree_nearly_on_hundreds() -> None:
    """Of hundreds at most one in fifty is further apart: one where the endpoint, or the patience
    with it, is at the very edge of what it can bear."""
    apart: list[tuple[Scenario, list[str]]] = []
    tries = count()

    @tried(200, others_each_time=True)
    @given(stories())
    def agree(scenario: Scenario) -> None:
        next(tries)
        if found := far_apart(scenario):
            apart.append((scenario, found))

    agree()
    assert len(apart) <= next(tries) / 50, apart


def far_apart(scenario: Scenario) -> list[str]:
    found = cohort.simulate_cohort(scenario, one_by_one=0)
    assume(found.totals.attempts <= MOST_ATTEMPTS)
    return list(differences(exact.simulate_exact(scenario), found))
