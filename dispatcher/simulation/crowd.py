"""How a scenario's endpoint meets many pushes at once: so many like this, so many like that.

What comes back of a push, and when, is said by endpoint_model.py. Here a share of a crowd is a
count drawn for all, and a latency distribution is a few latencies, equally likely: those of a crowd
are spread as the distribution is, and all its pushes together keep the endpoint busy for as long as
so many draws out of it would, with the same mean and variance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.simulation.chance import binomial, strata
from dispatcher.simulation.endpoint_model import CUT, NO_TIME, EndpointModel, Reaction
from dispatcher.simulation.latency import LogNormal
from dispatcher.simulation.scenario import LIMITED, Behaviour, Phase

STRATA = 16
"""How many latencies stand for a distribution, and for a queue at an endpoint that slows."""

STRATA_IN_A_STEP = 4
"""The same for a crowd of a moment, after which comes the next: together they have them all."""

_LEVELS = 512
"""Latencies are the means of so many equally likely ranges, so that none of a tail is left out."""


class Alike(Struct, frozen=True):
    """So many pushes that fare alike. Each keeps the endpoint busy for `holds` on the average:
    a tail makes that another time than `reaction.takes`, which is when they end."""

    pushes: int
    reaction: Reaction
    holds: timedelta


Met = Iterator[Alike]

_NO_VARIANCE = 1e-9
"""Of the square of the mean: below it is what floats have rounded."""


class CrowdModel(EndpointModel):
    """The endpoint of one simulation. Crowds are to be met in the order of time."""

    def __init__(
        self, phases: Sequence[Phase], steady: Sequence[Phase], endpoint: Endpoint, rng: Random
    ) -> None:
        """`steady` are the phases as crowds meet them, see phases.steady."""
        super().__init__(phases, endpoint, rng)
        self._steady = tuple(enumerate(steady))[::-1]
        self._alone: dict[tuple[Phase, timedelta], Reaction] = {}
        self._part_means: dict[tuple[LogNormal, int, float], timedelta] = {}

    def meet_all(self, at: timedelta, pushes: int, within: timedelta = NO_TIME) -> Met:
        """Meet so many pushes that come from `at` on, spread evenly over `within`."""
        for number, phase in self._steady:
            if phase.holds_at(at) and (count := binomial(self._rng, pushes, phase.share)):
                yield from self._met(number, phase, at, count, within)
                pushes -= count
        if pushes:
            yield _same(pushes, self._reaction(Phase("up"), NO_TIME))

    def takes(self, at: timedelta) -> timedelta:
        """How long a push that comes then takes, on the average."""
        left, mean = 1.0, NO_TIME
        for number, phase in self._held(at):
            queued = max(NO_TIME, self._busy_until.get(number, at) - at)
            takes = self._mean(phase) + queued
            mean += left * phase.share * min(takes, self._longest)
            left *= 1 - phase.share
        return mean

    def scatter(self, at: timedelta) -> float:
        """The variance of how long pushes take that come then, in squares of their mean."""
        left, first, second = 1.0, 0.0, 0.0
        for _, phase in self._held(at):
            mean, square = self._moments(phase)
            first, second = (
                first + left * phase.share * mean,
                second + left * phase.share * square,
            )
            left *= 1 - phase.share
        return max(0.0, second / first**2 - 1) if first else 0.0

    def varies(self, at: timedelta) -> bool:
        """Whether pushes that come then take times that chance decides."""
        held = [phase for _, phase in self._held(at)]
        return any(phase.latency_p99 is not None or phase.share < 1 for phase in held)

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
            yield _same(pushes, self._reaction(phase, phase.latency))
        elif pushes:
            yield from self._spread(phase, pushes, within)

    def _spread(self, phase: Phase, pushes: int, within: timedelta) -> Met:
        """Pushes whose latencies are log-normal: those that nobody waits for so long, then a few
        latencies for the others."""
        latencies, limit = _latencies(phase), self._limit(phase)
        late = binomial(self._rng, pushes, latencies.share_above(limit.total_seconds()))
        if late:
            yield _same(late, self._reaction(phase, 2 * limit))
        if late == pushes:
            return
        most = STRATA_IN_A_STEP if within else STRATA
        lots = [
            (count, self._part_mean(latencies, int(level * _LEVELS), limit))
            for count, level in strata(self._rng, pushes - late, most)
        ]
        drawn = sum(count * latency.total_seconds() for count, latency in lots)
        busy = self._sum_of(latencies, pushes - late, limit) / drawn
        for count, latency in lots:
            yield Alike(count, self._reaction(phase, latency), latency * busy)

    def _sum_of(self, latencies: LogNormal, pushes: int, limit: timedelta) -> float:
        """So many latencies up to `limit` together, in seconds. Their sum is drawn out of a gamma
        distribution: it has the mean and the variance of the sum, and is not below zero."""
        first, second = latencies.moments(limit.total_seconds())
        variance = second - first**2
        if variance <= _NO_VARIANCE * first**2:
            return pushes * first
        return self._rng.gammavariate(pushes * first**2 / variance, variance / first)

    def _part_mean(self, latencies: LogNormal, part: int, limit: timedelta) -> timedelta:
        key = latencies, part, limit.total_seconds()
        if key not in self._part_means:
            low, high = part / _LEVELS, (part + 1) / _LEVELS
            mean = latencies.mean_of_part(low, high, limit.total_seconds())
            self._part_means[key] = min(timedelta(seconds=mean), limit)
        return self._part_means[key]

    def _limit(self, phase: Phase) -> timedelta:
        """So long a push waits for what this phase sends back."""
        endpoint = self._endpoint
        return endpoint.connect_timeout if phase.behaves in CUT else endpoint.read_timeout

    def _reaction(self, phase: Phase, latency: timedelta) -> Reaction:
        """Of one push that comes alone and is met after so long."""
        known = self._alone.get((phase, latency))
        if known is None:
            always = replace(
                phase,
                at=NO_TIME,
                lasts=None,
                every=None,
                each_time=None,
                share=1.0,
                latency=latency,
                latency_p99=None,
            )
            known = EndpointModel([always], self._endpoint, self._rng).meet(NO_TIME)
            self._alone[phase, latency] = known
        return known

    def _mean(self, phase: Phase) -> timedelta:
        """How long a push that comes alone takes, on the average."""
        return timedelta(seconds=self._moments(phase)[0])

    def _moments(self, phase: Phase) -> tuple[float, float]:
        """The mean of how long a push takes that comes alone, and of its square; in seconds."""
        if phase.latency_p99 is None:
            takes = self._reaction(phase, phase.latency).takes.total_seconds()
            return takes, takes**2
        own = self._reaction(phase, NO_TIME).takes.total_seconds()  # its turn at one that slows
        mean, square = _latencies(phase).moments_up_to(self._limit(phase).total_seconds())
        return own + mean, own**2 + 2 * own * mean + square

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
            yield _same(count, self._answered(phase, 200, max(each, waits)))
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


def _same(pushes: int, reaction: Reaction) -> Alike:
    return Alike(pushes, reaction, reaction.takes)


def _latencies(phase: Phase) -> LogNormal:
    assert phase.latency_p99 is not None
    return LogNormal(phase.latency.total_seconds(), phase.latency_p99.total_seconds())


def _as(phase: Phase, behaves: Behaviour) -> Phase:
    """What a push through a limit meets, and one beyond it."""
    status = (phase.status or LIMITED) if behaves == "answers" else None
    return replace(phase, behaves=behaves, per_second=None, status=status)
