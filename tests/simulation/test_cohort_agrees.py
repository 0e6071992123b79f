"""Two engines, one truth: exact and cohort on scenarios at random.

Small ones agree in every figure, with the same chance drawn. In large ones, where many pushes of a
moment are taken together, they agree within what is said below.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, note, settings

from dispatcher.simulation import cohort, exact
from dispatcher.simulation.scenario import Scenario
from dispatcher.simulation.timeline import Timeline, view
from tests.simulation.random_scenarios import has_no_faults, is_calm, scenarios

LONG = 3_000
"""Scenarios of the long form."""

MOST_ATTEMPTS = 20_000
"""More would take the exact engine too long."""

REPORTS = 0.01
"""Of all reports: by so many the acknowledged, the lost and the waiting may differ."""

ATTEMPTS = 0.1
"""By so much of them the attempts may differ."""

LATENESS = 0.1
"""By so much, and half a second, a percentile of lateness may differ."""


def figures(timeline: Timeline) -> dict[str, Any]:
    return {name: value for name, value in view(timeline).items() if name != "engine"}


def both(scenario: Scenario) -> tuple[Timeline, Timeline]:
    note(f"scenario: {scenario!r}")
    return exact.simulate(scenario), cohort.simulate(scenario)


def agree_in_all(scenario: Scenario) -> None:
    assume(has_no_faults(scenario))
    expected, found = both(scenario)
    assert figures(found) == figures(expected)


def differences(expected: Timeline, found: Timeline) -> Iterator[str]:
    """What is further apart than it may be."""
    one, other = expected.totals, found.totals
    for name in ("acknowledged", "exhausted", "waiting"):
        if abs(getattr(one, name) - getattr(other, name)) > REPORTS * one.reports:
            yield name
    if abs(one.attempts - other.attempts) > ATTEMPTS * one.attempts + 5:
        yield "attempts"
    late = found.lateness.percentiles()
    for percent, seconds in expected.lateness.percentiles().items():
        if abs(late[percent] - seconds) > LATENESS * seconds + 0.5:
            yield f"p{percent}"


def tried(examples: int, *, others_each_time: bool = False) -> settings:
    """On so many scenarios: always the same, or others with each run."""
    return settings(
        max_examples=examples,
        derandomize=not others_each_time,
        deadline=None,
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


@pytest.mark.long
@pytest.mark.parametrize("by_chance", [False, True])
def test_agree_exactly_on_thousands(by_chance: bool) -> None:
    """The same on thousands of scenarios."""

    @tried(LONG, others_each_time=True)
    @given(scenarios(by_chance=by_chance))
    def agree(scenario: Scenario) -> None:
        agree_in_all(scenario)

    agree()


@tried(10)
@given(scenarios(by_chance=True, times=60))
def test_agree_nearly_where_there_are_many(scenario: Scenario) -> None:
    """With sixty times the reports, so that they are counted and not followed, the engines agree
    within the tolerance."""
    agree_nearly(scenario)


@pytest.mark.long
@pytest.mark.parametrize("by_chance", [False, True])
def test_agree_nearly_on_hundreds(by_chance: bool) -> None:
    """The same on hundreds of scenarios."""

    @tried(300, others_each_time=True)
    @given(scenarios(by_chance=by_chance, times=60))
    def agree(scenario: Scenario) -> None:
        agree_nearly(scenario)

    agree()


def agree_nearly(scenario: Scenario) -> None:
    assume(has_no_faults(scenario) and is_calm(scenario))
    found = cohort.simulate(scenario)
    assume(found.totals.attempts <= MOST_ATTEMPTS)
    note(f"scenario: {scenario!r}")
    assert list(differences(exact.simulate(scenario), found)) == []
