"""The customers' side: endpoints that work, fail in several ways, and lose answers."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.retrying.outcome import Answer, Outcome

MOODS = ("up", "up", "down", "refuses", "stalls", "flaky")


FAILED = Answer(0.0, failure=Outcome.FAILED)
"""What an attempt is recorded as that raised what nobody has foreseen."""


@dataclass(frozen=True, slots=True)
class Met:
    """How a push is met: after `seconds` there is `answer`. `taken`: the customer has it, and told
    so with a 200, be that heard or not."""

    seconds: float
    answer: Answer
    taken: bool


class Customers:
    """Each endpoint has a mood for some seconds, and then another."""

    def __init__(self, rng: Random, *, moody: bool, loses_answers: float) -> None:
        self._rng = rng
        self._moody = moody
        self._loses_answers = loses_answers
        self._moods: dict[str, tuple[float, str]] = {}

    def heal(self) -> None:
        """From now on each push is acknowledged, and each answer heard."""
        self._moody, self._loses_answers = False, 0.0
        self._moods.clear()

    def meet(self, endpoint: Endpoint, now: float) -> Met:
        longest = endpoint.attempt_time.total_seconds()
        seconds = self._rng.choice((0.0, 0.001, 0.02, 0.3)) * self._rng.random() * longest
        match self._mood(endpoint.name, now):
            case "down":
                return Met(seconds, Answer(seconds * 1000, status=503), False)
            case "refuses":
                return Met(seconds, _failed(Outcome.UNREACHABLE, seconds), False)
            case "stalls":
                return Met(longest, _failed(Outcome.TIMED_OUT, longest), False)
        if self._rng.random() < self._loses_answers:
            return Met(longest, _failed(Outcome.BROKEN_OFF, longest), True)
        return Met(seconds, Answer(seconds * 1000, status=200), True)

    def _mood(self, name: str, now: float) -> str:
        until, mood = self._moods.get(name, (0.0, "up"))
        if self._moody and now >= until:
            mood = self._rng.choice(MOODS)
            self._moods[name] = now + self._rng.expovariate(1 / 6), mood
        return self._rng.choice(("up", "down")) if mood == "flaky" else mood


def _failed(outcome: Outcome, seconds: float) -> Answer:
    return Answer(seconds * 1000, failure=outcome, error=outcome.value)
