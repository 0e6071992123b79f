"""The two engines behind one function, and which of them is the right one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import accumulate
from typing import Literal

from msgspec.structs import replace

from dispatcher.simulation.arrivals import Arrivals
from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.scenario import Phase, Scenario
from dispatcher.simulation.timeline import Timeline, Watch

EngineChoice = Literal["exact", "cohort", "auto"]

EXACT_ATTEMPTS = 20_000
"""As many are simulated one by one in a few seconds; beyond it only their numbers are."""

TOUCHY_ATTEMPTS = 60_000
"""So many where counts are no more than an estimate: half a minute is well spent there."""

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
    return replace(simulate_cohort(scenario, watch), estimated=is_touchy(scenario))


def is_touchy(scenario: Scenario) -> bool:
    """Whether one push decides what becomes of the next, so that counts can be far from what the
    exact engine finds: the endpoint has a capacity or comes and goes, or a breaker may open."""
    hindered = any(p.behaves in ("limits", "slows") or p.every for p in scenario.phase)
    return hindered or scenario.endpoint.breaker_failures > 0


def is_small(scenario: Scenario) -> bool:
    """Whether a scenario has so few attempts that they are simulated one by one."""
    if scenario.arrivals.kind == "replayed":
        return True
    most = TOUCHY_ATTEMPTS if is_touchy(scenario) else EXACT_ATTEMPTS
    return expected_attempts(scenario) <= most


def expected_attempts(scenario: Scenario) -> float:
    """About how many attempts it will take, if each report were pushed alone."""
    arrivals = Arrivals(scenario)
    tries = [_tries(scenario, arrivals.duration * i / _SAMPLES) for i in range(_SAMPLES)]
    return arrivals.expected() * sum(tries) / _SAMPLES


def _tries(scenario: Scenario, arrived: timedelta) -> int:
    """How many attempts a report takes that arrives then."""
    waits = scenario.retry_schedule.waits
    for number, at in enumerate(accumulate(waits, initial=arrived), 1):
        if not _is_down(scenario.phase, at):
            return number
    return 1 + len(waits)


def _is_down(phases: Sequence[Phase], at: timedelta) -> bool:
    holding = next((p for p in reversed(phases) if p.share == 1 and p.holds_at(at)), None)
    if holding is None or holding.behaves in ("up", "limits", "slows"):
        return False
    return holding.status is None or holding.status >= 300
