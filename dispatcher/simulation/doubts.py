"""How exact the cohort engine's counts are, and why they may not be."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dispatcher.simulation.scenario import PACED, Scenario, words_of
from dispatcher.simulation.timeline import Exactness

BUSY = 0.8
"""With more to do than this part of what a window can, how long pushes wait for it depends on
which of them take long: on chance."""


WAITS = 0.5
"""So do they, however little there is to do, where the mean wait would be longer: seconds. A tail
makes waits that are twenty times the mean, which is late."""


def chance_decides(busy: float, each: float, scatter: float, part: float = 1.0) -> bool:
    """Whether chance decides how long pushes wait for a window that is done with one each so many
    seconds; `scatter` is the variance of that, in squares of its mean. With `part` below 1: or
    nearly so."""
    waits = math.inf if busy >= 1 else busy / (1 - busy) * (1 + scatter) / 2 * each  # Kingman
    return busy > part * BUSY or waits > part * WAITS


class Doubts:
    """Of one run. `counted`: pushes that held each other up were not followed. `busy`: the most
    there was to do then where chance decides how long they wait, in parts of what the window can
    do; 0 where it does not."""

    def __init__(self, scenario: Scenario) -> None:
        self._touchy = list(_touchy(scenario))
        self.counted = False
        self.busy = 0.0

    @property
    def touchy(self) -> bool:
        """Whether one push decides what becomes of the next."""
        return bool(self._touchy)

    def by_chance(self, busy: float, each: float, scatter: float) -> None:
        """Latencies vary in a stretch in which so much is to do, see `chance_decides`."""
        if chance_decides(busy, each, scatter):
            self.busy = max(self.busy, busy)

    def exactness(self, *, by_chance: bool) -> Exactness:
        """`by_chance`: chance was drawn for many at once."""
        if self.counted and (self._touchy or self.busy):
            return Exactness("estimated", self._because())
        return Exactness("near" if self.counted or by_chance else "exact")

    def _because(self) -> str:
        if self._touchy:
            return f"{self._touchy[0]}, so that one push decides about the next"
        full = "is full" if self.busy >= 1 else f"is busy to {self.busy:.0%}"
        return f"the window {full} at times, and chance decides which pushes take long"


def _touchy(scenario: Scenario) -> Iterator[str]:
    for phase in scenario.phase:
        if phase.behaves in PACED:
            yield f"the endpoint {words_of(phase)}"
    if any(phase.every for phase in scenario.phase):
        yield "the endpoint comes and goes"
    if scenario.endpoint.breaker_failures:
        yield "a breaker may open"
