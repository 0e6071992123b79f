"""Questions with a number as the answer, found by trying: each try is a simulation.

Both halve the stretch between a value that will do and one that will not. That finds the border if
there is one border; where chance or the waits of a schedule make several, it finds one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from msgspec import Struct, json

from dispatcher.simulation.answer import span_text
from dispatcher.simulation.keys import first_outage, with_outage
from dispatcher.simulation.scenario import Phase, Scenario
from dispatcher.simulation.timeline import Timeline
from receiver.settings.durations import duration_text

Question = Literal["max-outage-without-loss", "min-capacity"]

Simulate = Callable[[Scenario], Timeline]

_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)

CAPACITY_LEAST = 0.01
CAPACITY_MOST = 1e6
"""Requests a second."""

CAPACITY_EXACT = 0.02
"""The share by which the answer may be too high."""


class Found(Struct, frozen=True):
    """The answer. `value` None: there is none, and the sentence says why. `exact` is by how much
    the border may lie beyond it, in the unit; `estimated` and `exactness` as in a timeline, of the
    try of which least is known."""

    question: Question
    sentence: str
    value: float | None
    unit: Literal["seconds", "requests per second"]
    exact: float
    tries: int
    partial: bool = False
    estimated: bool = False
    exactness: str = "exact"


def to_json(found: Found) -> bytes:
    return json.encode(found) + b"\n"


class BrokenOff(Exception):
    """Ctrl-C: the simulation of a try has not come to its end."""


class Tries:
    """Counts simulations; none is judged before its end."""

    def __init__(self, simulate: Simulate) -> None:
        self._simulate = simulate
        self.made = 0

    def __call__(self, scenario: Scenario) -> Timeline:
        timeline = self._simulate(scenario)
        if timeline.partial:
            raise BrokenOff
        self.made += 1
        return timeline


def max_outage_without_loss(scenario: Scenario, simulate: Simulate) -> Found:
    """How long the first outage of the scenario may last until a report is lost."""
    first_outage(scenario)  # or say that there is none
    tries = Tries(simulate)
    well, bad, lost = timedelta(0), None, 0
    # Most often the answer is the schedule's span: from there in growing steps, a minute first.
    span = scenario.retry_schedule.span
    trying, step = max(_MINUTE, span), _MINUTE
    try:
        while bad is None and trying <= 2 * span + 24 * _HOUR:
            if lost_of := tries(with_outage(scenario, trying)).totals.exhausted:
                bad, lost = trying, lost_of
            else:
                well, trying, step = trying, trying + step, 4 * step
        while bad is not None and bad - well > _exact(bad):
            middle = _round(well + (bad - well) / 2)
            if not well < middle < bad:
                break
            if lost_of := tries(with_outage(scenario, middle)).totals.exhausted:
                bad, lost = middle, lost_of
            else:
                well = middle
    except BrokenOff:
        return _outage(well, bad, lost, tries.made, partial=True)
    return _outage(well, bad, lost, tries.made)


def _outage(
    well: timedelta, bad: timedelta | None, lost: int, tries: int, *, partial: bool = False
) -> Found:
    exact = 0.0 if bad is None else (bad - well).total_seconds()
    said = duration_text(well)
    if partial:
        bound = "" if bad is None else f", and of {duration_text(bad)} some are"
        sentence = f"PARTIAL: broken off. In an outage of {said} nothing is lost{bound}."
    elif bad is None:
        sentence = f"No outage loses a report: none of up to {said} did."
    elif not well:
        sentence = f"Already an outage of {duration_text(bad)} loses reports: {lost:,}."
    else:
        sentence = (
            f"The longest outage without loss is {said}: one of {duration_text(bad)} loses"
            f" {lost:,} report{'s' * (lost != 1)}."
        )
    value = None if bad is None and not partial else well.total_seconds()
    return Found(
        "max-outage-without-loss", sentence, value, "seconds", exact, tries, partial=partial
    )


def _exact(near: timedelta) -> timedelta:
    return _SECOND if near < _HOUR else _MINUTE


def _round(value: timedelta) -> timedelta:
    unit = _exact(value)
    return value // unit * unit


def min_capacity(scenario: Scenario, drain: timedelta, simulate: Simulate) -> Found:
    """How many requests a second the endpoint must work off, so that the backlog is gone in time.

    That is `drain` after the recovery; in a scenario without one each report must be acknowledged
    so long after it arrived. The scenario's own capacity, if it has one, gives way.
    """
    tries = Tries(simulate)

    def does(capacity: float) -> bool:
        return _in_time(tries(with_capacity(scenario, capacity)), drain)

    well, bad = CAPACITY_MOST, CAPACITY_LEAST
    try:
        free = tries(with_capacity(scenario, CAPACITY_MOST))
        if not _in_time(free, drain):
            return _no_capacity(free, drain, tries.made)
        # What the busiest second of an endpoint without limits has is nearly always enough.
        if does(most := max(1.0, 2.0 * free.peak()[0])):
            well = most
        while well / bad > 1 + CAPACITY_EXACT:
            middle = _capacity(math.sqrt(well * bad))
            if not bad < middle < well:
                break
            if does(middle):
                well = middle
            else:
                bad = middle
    except BrokenOff:
        said = f"{well:g}/s is enough" if well < CAPACITY_MOST else "nothing is known yet"
        return _found(f"PARTIAL: broken off; {said}.", well, bad, tries.made, partial=True)
    return _found(
        f"The endpoint must handle {well:g} requests a second, {_aim(free, drain)}.",
        well,
        bad,
        tries.made,
    )


def with_capacity(scenario: Scenario, per_second: float) -> Scenario:
    """The scenario whose endpoint works off so many requests a second when it is up."""
    for number, phase in enumerate(scenario.phase):
        always = phase.at == timedelta(0) and phase.lasts is None
        if not always or phase.share < 1 or phase.every is not None:
            continue
        if phase.behaves in ("limits", "slows"):
            return _with_phase(scenario, number, per_second=per_second)
        if phase.behaves == "up":
            return _with_phase(scenario, number, behaves="slows", per_second=per_second)
    return replace(scenario, phase=(Phase("slows", per_second=per_second), *scenario.phase))


def _with_phase(scenario: Scenario, number: int, **changes: object) -> Scenario:
    phases = list(scenario.phase)
    phases[number] = replace(phases[number], **changes)  # type: ignore[arg-type]
    return replace(scenario, phase=tuple(phases))


def _in_time(timeline: Timeline, drain: timedelta) -> bool:
    if timeline.totals.exhausted or timeline.totals.waiting:
        return False
    if timeline.recovered_at is None:
        return timeline.lateness.longest <= drain.total_seconds()
    if timeline.drained_at is None:
        return False
    return timeline.drained_at - timeline.recovered_at <= drain.total_seconds()


def _aim(timeline: Timeline, drain: timedelta) -> str:
    if timeline.recovered_at is None:
        return f"so that no report comes later than {duration_text(drain)}"
    return f"so that the backlog is gone {duration_text(drain)} after the recovery"


def _no_capacity(free: Timeline, drain: timedelta, tries: int) -> Found:
    if free.totals.exhausted:
        why = f"{free.totals.exhausted:,} reports are lost whatever it can take"
    elif free.recovered_at is None or free.drained_at is None:
        why = f"the latest report comes after {span_text(free.lateness.longest)} then"
    else:
        took = span_text(free.drained_at - free.recovered_at)
        why = f"the waits of the schedule alone take {took}"
    sentence = f"No capacity is enough {_aim(free, drain)}: {why}."
    return Found("min-capacity", sentence, None, "requests per second", 0.0, tries)


def _found(sentence: str, well: float, bad: float, tries: int, *, partial: bool = False) -> Found:
    exact = float(f"{well - bad:.3g}")
    return Found("min-capacity", sentence, well, "requests per second", exact, tries, partial)


def _capacity(value: float) -> float:
    return float(f"{value:.3g}")
