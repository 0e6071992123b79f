"""How a scenario's endpoint meets many pushes at once: so many like this, so many like that.

What comes back of a push, and when, is said by endpoint_model.py. Here a share of a crowd is a
count drawn for all, and a latency distribution is a few latencies, equally likely.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from statistics import NormalDist

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.simulation.chance import binomial, strata
from dispatcher.simulation.endpoint_model import NO_TIME, EndpointModel, Reaction
from dispatcher.simulation.scenario import LIMITED, Behaviour, Phase

STRATA = 16
"""How many latencies stand for a distribution, and for a queue at an endpoint that slows."""

STRATA_IN_A_STEP = 4
"""The same for a crowd of a moment, after which comes the next: together they have them all."""

_LEVELS = 512
"""Latencies are taken from the middles of so many equally likely ranges."""

_NORMAL = NormalDist()

Met = Iterator[tuple[int, Reaction]]


class CrowdModel(EndpointModel):
    """The endpoint of one simulation. Crowds are to be met in the order of time."""

    def __init__(
        self, phases: Sequence[Phase], steady: Sequence[Phase], endpoint: Endpoint, rng: Random
    ) -> None:
        """`steady` are the phases as crowds meet them, see phases.steady."""
        super().__init__(phases, endpoint, rng)
        self._steady = tuple(enumerate(steady))[::-1]
        self._alone: dict[tuple[Phase, int], Reaction] = {}

    def meet_all(self, at: timedelta, pushes: int, within: timedelta = NO_TIME) -> Met:
        """Meet so many pushes that come from `at` on, spread evenly over `within`."""
        for number, phase in self._steady:
            if phase.holds_at(at) and (count := binomial(self._rng, pushes, phase.share)):
                yield from self._met(number, phase, at, count, within)
                pushes -= count
        if pushes:
            yield pushes, self._reaction(Phase("up"))

    def takes(self, at: timedelta) -> timedelta:
        """How long a push that comes then takes, on the average."""
        left, mean = 1.0, NO_TIME
        for number, phase in self._held(at):
            queued = max(NO_TIME, self._busy_until.get(number, at) - at)
            takes = self._reaction_mean(phase) + queued
            mean += left * phase.share * min(takes, self._longest)
            left *= 1 - phase.share
        return mean

    def surely_acknowledges(self, at: timedelta) -> bool:
        """Whether whatever comes then is answered 200, after the same time each."""
        held = [phase for _, phase in self._held(at)]
        prompt = (p.behaves == "up" and p.latency <= self._endpoint.read_timeout for p in held)
        certain = (p.share == 1 and p.latency_p99 is None for p in held)
        return all(prompt) and all(certain)

    def remembers(self, at: timedelta) -> bool:
        """Whether what came before matters then."""
        return any(phase.behaves in ("limits", "slows") for _, phase in self._held(at))

    @property
    def _longest(self) -> timedelta:
        return max(self._endpoint.connect_timeout, self._endpoint.read_timeout)

    def _held(self, at: timedelta) -> Iterator[tuple[int, Phase]]:
        """The phases that a push can meet then, but for the endpoint that is up at last."""
        for number, phase in self._steady:
            if phase.share and phase.holds_at(at):
                yield number, phase
                if phase.share == 1:
                    return

    def _met(self, number: int, phase: Phase, at: timedelta, pushes: int, within: timedelta) -> Met:
        match phase.behaves:
            case "slows":
                yield from self._in_turn(number, phase, at, pushes, within)
            case "limits":
                through = self._so_many_let_through(number, phase, at, pushes, within)
                yield from self._alike(_as(phase, "up"), through, within)
                yield from self._alike(_as(phase, "answers"), pushes - through, within)
            case _:
                yield from self._alike(phase, pushes, within)

    def _alike(self, phase: Phase, pushes: int, within: timedelta) -> Met:
        if phase.latency_p99 is None and pushes:
            yield pushes, self._reaction(phase)
        elif pushes:
            most = STRATA_IN_A_STEP if within else STRATA
            for count, level in strata(self._rng, pushes, most):
                yield count, self._reaction(phase, int(level * _LEVELS))

    def _reaction(self, phase: Phase, level: int = _LEVELS // 2) -> Reaction:
        """Of one push that comes alone, with a latency out of that range."""
        known = self._alone.get((phase, level))
        if known is None:
            always = replace(phase, at=NO_TIME, lasts=None, every=None, each_time=None, share=1.0)
            deviation = _Deviation(_NORMAL.inv_cdf((level + 0.5) / _LEVELS))
            known = EndpointModel([always], self._endpoint, deviation).meet(NO_TIME)
            self._alone[phase, level] = known
        return known

    def _reaction_mean(self, phase: Phase) -> timedelta:
        if phase.latency_p99 is None:
            return self._reaction(phase).takes
        levels = range(STRATA // 2, _LEVELS, STRATA)
        return sum((self._reaction(phase, each).takes for each in levels), NO_TIME) / len(levels)

    def _in_turn(
        self, number: int, phase: Phase, at: timedelta, pushes: int, within: timedelta
    ) -> Met:
        """As `_turn`, in groups that have the mean of what their pushes wait."""
        assert phase.per_second is not None
        each = timedelta(seconds=1 / phase.per_second)
        groups, done = min(pushes, STRATA), self._busy_until.get(number, at)
        for group in range(groups):
            count = pushes * (group + 1) // groups - pushes * group // groups
            comes, last = at + within * group / groups, at + within * (group + 1) / groups
            begins = max(comes, done)
            done = max(begins + count * each, last)
            waits = begins + each * (count + 1) / 2 - (comes + last) / 2
            yield count, self._answered(phase, 200, max(each, waits))
        self._busy_until[number] = done

    def _so_many_let_through(
        self, number: int, phase: Phase, at: timedelta, pushes: int, within: timedelta
    ) -> int:
        """As `_let_through`."""
        assert phase.per_second is not None
        most = max(1.0, phase.per_second)
        left, since = self._left.get(number, (most, at))
        left = min(most, left + (at - since).total_seconds() * phase.per_second)
        left += within.total_seconds() * phase.per_second
        through = min(pushes, int(left))
        self._left[number] = (min(most, left - through), at + within)
        return through


class _Deviation(Random):
    """Chance that is told what to say."""

    def __init__(self, deviation: float) -> None:
        super().__init__(0)
        self._deviation = deviation

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        return mu + sigma * self._deviation


def _as(phase: Phase, behaves: Behaviour) -> Phase:
    """What a push through a limit meets, and one beyond it."""
    status = (phase.status or LIMITED) if behaves == "answers" else None
    return replace(phase, behaves=behaves, per_second=None, status=status)
