"""When a scenario's phases begin and end, come and go. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from dispatcher.simulation.arrivals import MICROSECOND
from dispatcher.simulation.scenario import Phase

FAST = 16
"""What comes and goes more often than so many times in a cell is taken to be there always, for that
share of the pushes."""


def steady(phases: Sequence[Phase], cell: timedelta) -> tuple[Phase, ...]:
    """The phases without those that come and go so fast."""
    return tuple(_steady(phase, cell) for phase in phases)


def next_change(phases: Sequence[Phase], at: int) -> int | None:
    """When one of them begins or ends next after `at`; in microseconds since the start."""
    changes = (change for phase in phases for change in _changes(phase, at))
    return min((change for change in changes if change > at), default=None)


def _steady(phase: Phase, cell: timedelta) -> Phase:
    if phase.every is None or phase.each_time is None or phase.every * FAST >= cell:
        return phase
    share = phase.share * (phase.each_time / phase.every)
    return replace(phase, share=share, every=None, each_time=None)


def _changes(phase: Phase, at: int) -> Iterator[int]:
    begins = phase.at // MICROSECOND
    yield begins
    if phase.ends_at is not None:
        yield phase.ends_at // MICROSECOND
    if phase.every is not None and phase.each_time is not None and at >= begins:
        every = phase.every // MICROSECOND
        period = begins + (at - begins) // every * every
        yield period + phase.each_time // MICROSECOND
        yield period + every
