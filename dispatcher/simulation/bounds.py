"""How far chance can take a scenario whose window is nearly full: found by playing it with an
endpoint that is a little faster, and with one that is a little slower.

Of N pushes the latencies add up to their mean times N, give or take their deviation times √N. What
takes longer in this way waits in front of the window like the work of an endpoint that is so much
slower. A stretch of a tenth of all pushes may be the one that counts, and three deviations are
hardly ever exceeded; a hundredth more is what the counting itself may be wrong by, of the latency
and of the reports.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from msgspec import structs

from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.latency import LogNormal
from dispatcher.simulation.scenario import Phase, Scenario
from dispatcher.simulation.timeline import NEAR, Bounds, Timeline, Watch

_DEVIATIONS = 3.0
_PART = 0.1  # of all pushes
_COUNTING = 0.01


def with_bounds(timeline: Timeline, scenario: Scenario, watch: Watch = lambda _: True) -> Timeline:
    """The timeline of the cohort engine with the bounds of its estimate, if they are known: not
    where one push decides what becomes of the next."""
    exactness = timeline.exactness
    if not exactness.bounded or timeline.partial:
        return timeline
    found = bounds(timeline, scenario, watch)
    return structs.replace(timeline, exactness=structs.replace(exactness, bounds=found))


def bounds(timeline: Timeline, scenario: Scenario, watch: Watch) -> Bounds | None:
    """None if the watch breaks it off."""
    off = _off(scenario, timeline.totals.attempts)
    others = [
        simulate_cohort(_slower(scenario, factor), lambda _: watch(1.0), one_by_one=0, followed=0)
        for factor in (1 - off, 1 + off)
    ]
    if any(other.partial for other in others):
        return None
    known = [timeline, *others]
    late = [each.lateness.late for each in known]
    lost = [each.totals.exhausted for each in known]
    reports = timeline.totals.reports
    around = round(NEAR * reports)
    if scenario.arrivals.by_chance:  # another seed has more reports, or fewer
        around += round(_DEVIATIONS * math.sqrt(reports))
    return Bounds(_widened(late, around), _widened(lost, around) if any(lost) else (0, 0))


def _widened(counts: Sequence[int], around: int) -> tuple[int, int]:
    return max(0, min(counts) - around), max(counts) + around


def _off(scenario: Scenario, pushes: int) -> float:
    """By which part the mean latency of a stretch may differ from that of the distribution."""
    deviation = max(_deviations(scenario), default=0.0)
    off = _COUNTING + _DEVIATIONS * deviation / math.sqrt(max(1.0, _PART * pushes))
    return min(off, 0.9)


def _deviations(scenario: Scenario) -> Iterator[float]:
    """Of the latencies of each phase, in parts of their mean."""
    limit = scenario.customer.read_timeout.total_seconds()
    for phase in scenario.phase:
        if phase.latency_p99 is not None:
            latencies = LogNormal(phase.latency.total_seconds(), phase.latency_p99.total_seconds())
            mean, square = latencies.moments_up_to(limit)
            yield math.sqrt(max(0.0, square - mean**2)) / mean


def _slower(scenario: Scenario, factor: float) -> Scenario:
    """With an endpoint whose answers take so many times as long."""
    return replace(scenario, phase=tuple(_slowed(phase, factor) for phase in scenario.phase))


def _slowed(phase: Phase, factor: float) -> Phase:
    if phase.latency_p99 is None:
        return phase
    microsecond = timedelta(microseconds=1)
    return replace(
        phase,
        latency=max(microsecond, phase.latency * factor),
        latency_p99=max(microsecond, phase.latency_p99 * factor),
    )
