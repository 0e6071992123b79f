"""What becomes of cohorts: the endpoint answers, production's code says what that means."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from msgspec import Struct

from dispatcher.retrying.dispatch import after_attempt
from dispatcher.retrying.outcome import Outcome, judge
from dispatcher.simulation.arrivals import MICROSECOND
from dispatcher.simulation.chance import strata
from dispatcher.simulation.cohorts import Cohort, shared
from dispatcher.simulation.crowd import Alike, CrowdModel
from dispatcher.simulation.endpoint_model import Reaction
from dispatcher.simulation.scenario import START, Phase, Scenario

JITTERS = 2
"""So many waits, other ones for each lot, stand for all those that chance can make of one."""


class Lot(Struct, frozen=True):
    """Attempts that began when their cohort was due, and end alike, each after `takes`. Each needs
    its place for `holds` on the average, in microseconds."""

    cohort: Cohort
    reaction: Reaction
    outcome: Outcome
    holds: int

    @property
    def takes(self) -> int:
        return self.reaction.takes // MICROSECOND


class Fates:
    """Draws its chance as the exact engine does, as long as it is asked about one dispatch."""

    def __init__(self, scenario: Scenario, steady: tuple[Phase, ...]) -> None:
        customer = scenario.customer
        rng = Random(f"{scenario.seed} endpoint")
        self.endpoint = CrowdModel(scenario.phase, steady, customer, rng)
        self._schedule = scenario.retry_schedule
        self._rules = customer.outcome or self._schedule.rules
        self._jitter = Random(f"{scenario.seed} jitter")
        self._level = _Level(0)
        self._waits: dict[tuple[int, Reaction], int | None] = {}
        self.crowds = False
        """Whether chance was drawn for many at once."""

    def surely_acknowledges(self, at: int) -> bool:
        """Whether whatever begins then is acknowledged, after the same time each."""
        return self.endpoint.surely_acknowledges(at * MICROSECOND)

    def varies(self, at: int) -> bool:
        """Whether chance decides how long pushes take that begin then."""
        return self.endpoint.varies(at * MICROSECOND)

    def remembers(self, at: int) -> bool:
        """Whether the endpoint goes by what came before."""
        return self.endpoint.remembers(at * MICROSECOND)

    def meet(self, cohort: Cohort, at: int, within: int) -> Iterator[Lot]:
        """Its attempts, which begin from `at` on, as lots."""
        when = at * MICROSECOND
        if cohort.dispatches == 1 and not within:
            reaction = self.endpoint.meet(when)
            met = [Alike(1, reaction, reaction.takes)]
        else:
            self.crowds |= self.varies(at)
            met = list(self.endpoint.meet_all(when, cohort.dispatches, within * MICROSECOND))
        parts = shared(cohort, (alike.pushes for alike in met))
        for part, alike in zip(parts, met, strict=True):
            outcome = judge(alike.reaction.answer, self._rules)
            yield Lot(part, alike.reaction, outcome, alike.holds // MICROSECOND)

    def follow(self, lot: Lot) -> list[tuple[Cohort, int]]:
        """What of it is to be tried again, and how long after the attempt began; nothing when that
        was the last attempt."""
        if not self._schedule.jitter or lot.outcome.acknowledges:
            key = lot.cohort.made, lot.reaction
            if key not in self._waits:
                self._waits[key] = self._wait(lot, None)
            wait = self._waits[key]
            return [] if wait is None else [(lot.cohort, wait)]
        if lot.cohort.dispatches == 1:
            wait = self._wait(lot, self._jitter)
            return [] if wait is None else [(lot.cohort, wait)]
        self.crowds = True
        levels = list(strata(self._jitter, lot.cohort.dispatches, JITTERS))
        parts = shared(lot.cohort, (dispatches for dispatches, _ in levels))
        waits = (self._wait(lot, self._level.at(level)) for _, level in levels)
        return [(p, wait) for p, wait in zip(parts, waits, strict=True) if wait is not None]

    def _wait(self, lot: Lot, rng: Random | None) -> int | None:
        following = after_attempt(
            lot.outcome,
            attempts_made=lot.cohort.made + 1,
            started_at=START,
            schedule=self._schedule,
            ended_at=START + lot.reaction.takes,
            answer=lot.reaction.answer,
            rules=self._rules,
            rng=rng,
        )
        return None if following.due_at is None else (following.due_at - START) // MICROSECOND


class _Level(Random):
    """Chance that is told how far up in a range it is to be."""

    def at(self, level: float) -> _Level:
        self._at = level
        return self

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self._at
