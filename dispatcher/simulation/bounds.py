"""How far chance can take a scenario whose window is nearly full: found by playing it with an
endpoint that is a little faster, and with one that is a little slower.

Of N pushes the latencies add up to their mean times N, give or take their deviation times √N. What
takes longer in this way waits in front of the window like the work of an endpoint that is so much
slower. A stretch of a tenth of all pushes may be the one that counts, and three deviations are
hardly ever exceeded; a hundredth more is what the counting itself may be wrong by, of the latency
and of the reports.

Where one push decides what becomes of the next, an endpoint that limits, slows, or comes and goes
is played twice: as one that is never troubled by it, and as one that is down all the time. What a
breaker makes of either is played too, and what the same endpoints are without a breaker. Whatever
one push does to the next, the endpoint answers at most as the first and at least as the second. A
breaker's probe may go an interval sooner or later, and so many reports more are between the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from msgspec import structs

from dispatcher.simulation.arrivals import Arrivals
from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.latency import LogNormal
from dispatcher.simulation.scenario import LIMITED, PACED, Phase, Scenario
from dispatcher.simulation.timeline import NEAR, Bounds, Timeline, Watch

_DEVIATIONS = 3.0
_PART = 0.1  # of all pushes
_COUNTING = 0.01


def with_bounds(timeline: Timeline, scenario: Scenario, watch: Watch = lambda _: True) -> Timeline:
    """The timeline of the cohort engine with the bounds of its estimate, if it is one."""
    exactness = timeline.exactness
    if not timeline.estimated or timeline.partial:
        return timeline
    found = bounds(timeline, scenario, watch)
    return structs.replace(timeline, exactness=structs.replace(exactness, bounds=found))


def bounds(timeline: Timeline, scenario: Scenario, watch: Watch) -> Bounds | None:
    """None if the watch breaks it off."""
    others = [
        simulate_cohort(each, lambda _: watch(1.0), one_by_one=0, followed=0)
        for each in _extremes(scenario, timeline.totals.attempts)
    ]
    if any(other.partial for other in others):
        return None
    known = [timeline, *others]
    late = [each.lateness.late for each in known]
    late += [_not_in_time(each) for each in others]  # a little better, and it is late
    lost = [each.totals.exhausted for each in known]
    reports = timeline.totals.reports
    around = round(NEAR * reports)
    if scenario.arrivals.by_chance:  # another seed has more reports, or fewer
        around += round(_DEVIATIONS * math.sqrt(reports))
    if scenario.endpoint.breaker_failures:  # a probe that goes sooner or later finds it up then
        lasts = Arrivals(scenario).duration
        around += round(reports * min(1.0, scenario.endpoint.breaker_probe / lasts))
    return Bounds(_widened(late, around), _widened(lost, around) if any(lost) else (0, 0))


def _not_in_time(timeline: Timeline) -> int:
    totals = timeline.totals
    return timeline.lateness.late + totals.exhausted + totals.waiting


def _extremes(scenario: Scenario, pushes: int) -> Iterator[Scenario]:
    off = _off(scenario, pushes)
    best, worst = _as_good_as_can_be(scenario), _as_bad_as_can_be(scenario)
    for each in (_slower(best, 1 - off), _slower(worst, 1 + off)):
        yield each
        if scenario.endpoint.breaker_failures:
            yield replace(each, endpoint=replace(each.endpoint, breaker_failures=0))


def _as_good_as_can_be(scenario: Scenario) -> Scenario:
    breaks = bool(scenario.endpoint.breaker_failures)
    kept = [
        _up(phase) if phase.behaves in PACED else replace(phase, every=None, each_time=None)
        for phase in scenario.phase
        if phase.is_up or phase.behaves in PACED or not (phase.every or _by_chance(phase, breaks))
    ]
    return replace(scenario, phase=tuple(kept))


def _as_bad_as_can_be(scenario: Scenario) -> Scenario:
    breaks = bool(scenario.endpoint.breaker_failures)
    kept = [
        _down(phase, share=1.0 if _by_chance(phase, breaks) else phase.share)
        for phase in scenario.phase
        if not (phase.is_up and phase.every)
    ]
    return replace(scenario, phase=tuple(kept))


def _by_chance(phase: Phase, breaks: bool) -> bool:
    """Whether chance decides whether failures come in a row, which a breaker counts."""
    return breaks and phase.share < 1 and not phase.is_up


def _up(phase: Phase) -> Phase:
    return replace(phase, behaves="up", per_second=None, status=None, retry_after=None)


def _down(phase: Phase, share: float) -> Phase:
    phase = replace(phase, share=share, every=None, each_time=None)
    if phase.behaves == "limits":
        status = phase.status or LIMITED
        return replace(phase, behaves="answers", per_second=None, status=status)
    if phase.behaves == "slows":
        zero = timedelta(0)
        return replace(phase, behaves="stalls", per_second=None, latency=zero, latency_p99=None)
    return phase


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
