"""What befalls the steps of the processes: drawn one by one from the seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from tests.simulation.faults.plan import Fault

WAITS = (0.0, 0.000_1, 0.002, 0.02)
"""The most seconds that a step waits. They decide which of two steps comes first."""

LASTS = (0.5, 1, 8)
"""The most seconds that a fault lasts. Leases last 3 to 6."""


@dataclass(frozen=True, slots=True)
class Befalls:
    """A step takes effect after `wait`; `fault` strikes before or after that, and lasts `seconds`
    where it lasts."""

    wait: float
    fault: Fault | None = None
    first: bool = True
    seconds: float = 0.0


class Unforeseen(Exception):
    """What no list of errors names. It is the endpoint's own failure, and recorded as that."""


class Faults:
    """Decides what befalls the next step."""

    def __init__(self, rng: Random, rates: Mapping[Fault, float], unforeseen: float) -> None:
        self._rng = rng
        self._rates = dict(rates)
        self._unforeseen = unforeseen

    def heal(self) -> None:
        """From now on nothing befalls."""
        self._rates.clear()
        self._unforeseen = 0.0

    def unforeseen(self, what: str) -> None:
        """While a bucket is encoded or sent: what no list names may be raised."""
        if self._unforeseen and self._rng.random() < self._unforeseen:
            raise Unforeseen(what)

    def next(self, *, of_store: bool) -> Befalls:
        """For a step of the database, or for one of a push."""
        wait = self._rng.choice(WAITS) * self._rng.random()
        fault = self._fault()
        if fault is None or (fault.startswith("fails") and not of_store):
            return Befalls(wait)
        first = fault == "fails before" or (fault != "fails after" and self._rng.random() < 0.5)
        return Befalls(wait, fault, first, self._rng.choice(LASTS) * self._rng.random())

    def _fault(self) -> Fault | None:
        drawn = self._rng.random()
        for fault, rate in self._rates.items():
            drawn -= rate
            if drawn < 0:
                return fault
        return None
