"""How a scenario's endpoint meets a push. No clock and no sleep: it says what comes back and when.

It remembers two things, as a real endpoint would: what it has let through of late (`limits`), and
how much it still has to work off (`slows`). Chance is drawn in the order of the pushes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from statistics import NormalDist

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.retrying.outcome import Answer, Outcome
from dispatcher.simulation.scenario import LIMITED, Phase

NO_TIME = timedelta(0)

_MILLISECOND = timedelta(milliseconds=1)

_Z99 = NormalDist().inv_cdf(0.99)

CUT: dict[str, Outcome] = {
    "refuses": Outcome.UNREACHABLE,
    "breaks-off": Outcome.BROKEN_OFF,
    "bad-certificate": Outcome.TLS_FAILED,
}
"""What a push that is cut before its answer is recorded as, by what the phase does."""

_UP = Phase("up")


class Reaction(Struct, frozen=True):
    """What comes back of a push, after so long. `heard`: the customer's app got it, whatever came
    back."""

    answer: Answer
    takes: timedelta
    heard: bool = False


class EndpointModel:
    """The endpoint of one simulation. Pushes are to be met in the order of time."""

    def __init__(self, phases: Sequence[Phase], endpoint: Endpoint, rng: Random) -> None:
        self._phases = tuple(enumerate(phases))[::-1]
        self._endpoint = endpoint
        self._rng = rng
        self._busy_until: dict[int, timedelta] = {}
        self._left: dict[int, tuple[float, timedelta]] = {}

    def meet(self, at: timedelta) -> Reaction:
        """Meet a push that comes `at` after the start."""
        number, phase = self._phase(at)
        match phase.behaves:
            case "drops":
                return self._timed_out(self._endpoint.connect_timeout, "no connection in time")
            case "stalls":
                return self._timed_out(self._endpoint.read_timeout, "no answer in time")
            case "half-open":
                return self._timed_out(self._endpoint.read_timeout, "no answer in time", heard=True)
            case "slows":
                return self._answered(phase, 200, self._turn(number, phase, at), heard=True)
            case "limits" if not self._let_through(number, phase, at):
                return self._answered(phase, phase.status or LIMITED)
            case "answers":
                return self._answered(phase, phase.status or 200)
            case "up" | "limits":
                return self._answered(phase, 200, heard=True)
            case _:
                return self._cut(phase, CUT[phase.behaves])

    def _phase(self, at: timedelta) -> tuple[int, Phase]:
        for number, phase in self._phases:
            if phase.holds_at(at) and (phase.share == 1 or self._rng.random() < phase.share):
                return number, phase
        return -1, _UP

    def _answered(
        self, phase: Phase, status: int, waits: timedelta = NO_TIME, *, heard: bool = False
    ) -> Reaction:
        takes = waits + self._latency(phase)
        if takes > self._endpoint.read_timeout:
            return self._timed_out(self._endpoint.read_timeout, "no answer in time", heard=heard)
        asked = None
        if phase.retry_after is not None and not 200 <= status < 300:
            asked = str(math.ceil(phase.retry_after.total_seconds()))
        return Reaction(Answer(_ms(takes), status=status, retry_after=asked), takes, heard)

    def _cut(self, phase: Phase, failure: Outcome) -> Reaction:
        takes = self._latency(phase)
        if takes > self._endpoint.connect_timeout:
            return self._timed_out(self._endpoint.connect_timeout, "no connection in time")
        return Reaction(Answer(_ms(takes), failure=failure, error=phase.behaves), takes)

    def _timed_out(self, takes: timedelta, error: str, *, heard: bool = False) -> Reaction:
        return Reaction(Answer(_ms(takes), failure=Outcome.TIMED_OUT, error=error), takes, heard)

    def _latency(self, phase: Phase) -> timedelta:
        if phase.latency_p99 is None:
            return phase.latency
        sigma = math.log(phase.latency_p99 / phase.latency) / _Z99
        return phase.latency * math.exp(sigma * self._rng.gauss(0.0, 1.0))

    def _turn(self, number: int, phase: Phase, at: timedelta) -> timedelta:
        """How long until its turn has come and its work is done. What nobody waits for any more is
        worked off all the same: that is how slow endpoints stay slow."""
        assert phase.per_second is not None
        begins = max(at, self._busy_until.get(number, at))
        self._busy_until[number] = begins + timedelta(seconds=1 / phase.per_second)
        return self._busy_until[number] - at

    def _let_through(self, number: int, phase: Phase, at: timedelta) -> bool:
        """A token bucket that holds one second's worth, as most API gateways have."""
        assert phase.per_second is not None
        most = max(1.0, phase.per_second)
        left, since = self._left.get(number, (most, at))
        left = min(most, left + (at - since).total_seconds() * phase.per_second)
        self._left[number] = (left - 1 if left >= 1 else left, at)
        return left >= 1


def _ms(takes: timedelta) -> float:
    return takes / _MILLISECOND
