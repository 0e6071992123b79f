"""The two engines behind one function, and which of them is the right one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import accumulate
from typing import Literal

from dispatcher.simulation.arrivals import Arrivals
from dispatcher.simulation.bounds import with_bounds
from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.scenario import PACED, Phase, Scenario
from dispatcher.simulation.timeline import Timeline, Watch

EngineChoice = Literal["exact", "cohort", "auto"]

EXACT_SECONDS_PER_ATTEMPT = 0.0001
"""What the exact engine takes for one; about, for machines differ."""

REPORTS_PER_ATTEMPT = 10
"""So many reports cost it as much as one attempt more."""

EXACT_SECONDS = 10.0
"""`auto` is exact as long as that takes no longer."""

_SAMPLES = 200


def simulate_with(
    scenario: Scenario, engine: EngineChoice, watch: Watch = lambda _: True
) -> Timeline:
    """The timeline of a scenario. `auto` is exact where that takes a few seconds, and for replayed
    reports.

    Raises ConfigurationError when the file of replayed reports cannot be read.
    """
    if engine == "exact" or (engine == "auto" and is_small(scenario)):
        return simulate_exact(scenario, watch)
    return with_bounds(simulate_cohort(scenario, watch), scenario, watch)


def is_small(scenario: Scenario) -> bool:
    """Whether a scenario has so few attempts that they are simulated one by one."""
    return scenario.arrivals.kind == "replayed" or exact_seconds(scenario) <= EXACT_SECONDS


def exact_seconds(scenario: Scenario) -> float:
    """About how long the exact engine takes."""
    reports = Arrivals(scenario).expected()
    together = min(scenario.arrivals.per_callback, scenario.endpoint.bucket_size)
    pushes = reports / together * expected_tries(scenario)
    return EXACT_SECONDS_PER_ATTEMPT * (pushes + reports / REPORTS_PER_ATTEMPT)


def expected_tries(scenario: Scenario) -> float:
    """About how many attempts a report takes, on the average."""
    lasts = Arrivals(scenario).duration
    return sum(_tries(scenario, lasts * i / _SAMPLES) for i in range(_SAMPLES)) / _SAMPLES


def _tries(scenario: Scenario, arrived: timedelta) -> float:
    """How many attempts a report takes that arrives then."""
    waits = scenario.retry_schedule.waits
    tries, still_tried = 0.0, 1.0
    for at in accumulate(waits, initial=arrived):
        tries += still_tried
        still_tried *= _share_down(scenario.phase, at)
        if still_tried < 0.001:
            break
    return tries


def _share_down(phases: Sequence[Phase], at: timedelta) -> float:
    """How many of the attempts made then fail, as far as the phases tell."""
    down, left = 0.0, 1.0
    for phase in reversed(phases):
        if phase.holds_at(at):
            down += left * phase.share * _fails(phase)
            left *= 1 - phase.share
    return down


def _fails(phase: Phase) -> bool:
    return not phase.is_up and phase.behaves not in PACED
