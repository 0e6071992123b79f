"""Trouble on order: which rule a request meets. Kept in memory: a restart forgets what came by the
API, and the rules of the settings begin anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from random import Random

from dispatcher.sandbox.messages.outcomes import is_to
from dispatcher.settings.sandbox import FaultRule

FAULTS_MOST = 1000
"""Rules by the API at one time; the oldest go."""


Recipients = Callable[[], Iterable[str]]
"""The numbers that a request sends to, digits only. Asked for when a rule needs them."""


class Faults:
    """The rules in force: those by the API, the latest first, then those of the settings."""

    def __init__(self, settings: Sequence[FaultRule], seed: int) -> None:
        self._settings = tuple(settings)
        self._seed = seed
        self._said: list[FaultRule] = []
        self.forget()

    def __bool__(self) -> bool:
        return bool(self._said or self._left)

    @property
    def rules(self) -> list[FaultRule]:
        """Each as it stands: `next` is how many requests it still meets."""
        return [*self._said, *self._left]

    def add(self, rule: FaultRule) -> None:
        """Go by this rule first."""
        self._said = [rule, *self._said[: FAULTS_MOST - 1]]

    def take_back(self) -> None:
        """Forget the rules by the API."""
        self._said = []

    def forget(self) -> None:
        """As after a start."""
        self._said = []
        self._left = list(self._settings)
        self._rng = Random(f"{self._seed}:fault")

    def met(self, path: str, recipients: Recipients) -> FaultRule | None:
        """The rule that a request meets, which counts it."""
        for rules in (self._said, self._left):
            for index, rule in enumerate(rules):
                if meant_for(rule, path, recipients) and self._is_its_share(rule):
                    rules[index : index + 1] = _counted(rule)
                    return rule
        return None

    def _is_its_share(self, rule: FaultRule) -> bool:
        return rule.share == 1 or self._rng.random() < rule.share


def meant_for(rule: FaultRule, path: str, recipients: Recipients) -> bool:
    """Whether a request to `path` for these recipients fits a rule."""
    return _is_route(rule.route, path) and (
        not rule.to or any(is_to(rule.to, number) for number in recipients())
    )


def _is_route(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return not pattern or pattern == path


def _counted(rule: FaultRule) -> list[FaultRule]:
    """What is left of a rule that a request has met."""
    if rule.next is None:
        return [rule]
    return [] if rule.next == 1 else [replace(rule, next=rule.next - 1)]
