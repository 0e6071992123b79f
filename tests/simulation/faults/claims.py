"""Invariants of what a process takes on: window, pause, rate limit and breaker of each endpoint.

A claim is judged by the settings that the process knew when it began; one during which they changed
is not judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dispatcher.clocks import clock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.flow.rate_limit import BURST
from dispatcher.queue.base import Leased
from dispatcher.worker import Worker

if TYPE_CHECKING:
    from tests.simulation.faults.process import Process
    from tests.simulation.faults.world import World

SLEW = 1 + clock.SLEW
"""How much faster than the world's time a clock goes at most."""


@dataclass(slots=True)
class AtGate:
    """What one process has under way to one endpoint, and what came back since it has known it."""

    endpoint: Endpoint
    since: float
    first: int = 0
    retries: int = 0
    taken: int = 0
    failures: int = 0
    heard: int = 0
    probe_from: float = 0.0

    @property
    def breaker(self) -> tuple[int, int, float]:
        return self.failures, self.heard, self.probe_from


IDLE_LOOKS = 8
"""The most looks of a process within a second in which nothing happens. Its looks for others are a
second apart here, and what is due, or opens, is an instant each: some may follow each other. One
that spins looks 20 times (SHORTEST_SLEEP, world.py)."""


@dataclass(slots=True)
class Known:
    """What one process knows."""

    gates: dict[str, AtGate] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    changes: int = 0
    claiming: list[float] = field(default_factory=list)  # when each claim under way began
    idle: list[float] = field(default_factory=list)  # looks since something has happened


@dataclass(frozen=True, slots=True)
class Begun:
    """A claim that has begun."""

    process: Process
    at: float
    changes: int
    breakers: Mapping[str, tuple[int, int, float]]


class Claims:
    """Counts what each process takes on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[Process, Known] = {}

    def used(self, process: Process, worker: Worker) -> None:
        """The process goes by these endpoints from now on."""
        known = self._known.setdefault(process, Known())
        known.changes += 1
        before, known.names = known.names, frozenset(worker.endpoints)
        for name, endpoint in worker.endpoints.items():
            gate = known.gates.get(name)
            # One that was removed, and comes again, may start anew once nothing is under way.
            if gate is None or (name not in before and not gate.first + gate.retries):
                known.gates[name] = AtGate(endpoint, self._world.passed)
            elif gate.endpoint != endpoint:
                gate.endpoint, gate.since = endpoint, self._world.passed
                gate.taken = gate.failures = 0

    def begin(self, process: Process) -> Begun:
        known = self._known[process]
        breakers = {name: gate.breaker for name, gate in known.gates.items()}
        known.claiming.append(self._world.passed)
        return Begun(process, self._world.passed, known.changes, breakers)

    def happens(self) -> None:
        """Whatever happens anywhere may be worth a look of each process."""
        for known in self._known.values():
            known.idle.clear()

    def _looked(self, process: Process) -> None:
        """In vain. When nothing has happened there is nothing to look for."""
        known, now = self._known[process], self._world.passed
        known.idle = [at for at in known.idle if at > now - 1.0] + [now]
        what = f"{process.name} looks {len(known.idle)} times within a second, and nothing happens"
        self._world.holds(len(known.idle) <= IDLE_LOOKS, what)

    def claiming_since(self, process: Process) -> float:
        """When the longest claim that is under way began: its leases go by the clock of then."""
        return min(self._known[process].claiming, default=self._world.passed)

    def under_way(self, process: Process) -> int:
        """How many claims and attempts have not ended."""
        known = self._known.get(process, Known())
        attempts = sum(gate.first + gate.retries for gate in known.gates.values())
        return len(known.claiming) + attempts

    def broken_off(self, begun: Begun) -> None:
        """The claim is over, be it with an error."""
        self._known[begun.process].claiming.remove(begun.at)

    def end(self, begun: Begun, leased: Sequence[Leased]) -> None:
        if not leased:
            self._looked(begun.process)
        known = self._known[begun.process]
        before = {name: gate.first + gate.retries for name, gate in known.gates.items()}
        for dispatch in leased:
            gate = known.gates[dispatch.endpoint]
            gate.taken += 1
            if dispatch.attempts_made:
                gate.retries += 1
            else:
                gate.first += 1
        if known.changes != begun.changes:
            return
        for name, number in Counter(dispatch.endpoint for dispatch in leased).items():
            what = f"{begun.process.name} takes {number} more to {name}"
            self._world.holds(name in known.names, f"{what}, which it does not know")
            self._judge(begun, known.gates[name], number, before[name], what)

    def attempted(self, process: Process, dispatch: Leased) -> None:
        gate = self._known[process].gates[dispatch.endpoint]
        if dispatch.attempts_made:
            gate.retries -= 1
        else:
            gate.first -= 1

    def heard(self, process: Process, name: str, acknowledged: bool) -> None:
        gate = self._known[process].gates[name]
        gate.heard += 1
        gate.failures += 1
        if acknowledged:  # the others hear of it with their next look
            for known in self._known.values():
                if name in known.gates:
                    known.gates[name].failures = 0
        probe_every = gate.endpoint.breaker_probe.total_seconds()
        gate.probe_from = self._world.passed + probe_every / SLEW

    def _judge(self, begun: Begun, gate: AtGate, number: int, before: int, what: str) -> None:
        holds, endpoint = self._world.holds, gate.endpoint
        window = endpoint.window
        holds(not endpoint.paused, f"{what}, which is paused")
        holds(gate.first + gate.retries <= window, f"{what} on top of {before}, window {window}")
        most_retries = window - window // 4
        holds(gate.retries <= most_retries, f"{what}: {gate.retries} retries, window {window}")
        if endpoint.rate_limit is not None:
            rate, passed = endpoint.rate_limit, (self._world.passed - gate.since) * SLEW
            at_once = max(1.0, rate * BURST.total_seconds())
            allowed = at_once * (1 + self._world.jumps_since(gate.since)) + passed * rate + 0.01
            holds(gate.taken <= allowed, f"{what}: {gate.taken} taken, {allowed:.2f} allowed")
        if begun.breakers[endpoint.name] != gate.breaker:
            return  # the breaker may have opened, or closed, meanwhile
        if 0 < endpoint.breaker_failures <= gate.failures:
            holds(number == 1 and before == 0, f"{what} on top of {before}, its breaker is open")
            early = self._world.passed < gate.probe_from
            early &= not self._world.jumps_since(gate.since)
            holds(not early, f"{what}, its breaker opens at {gate.probe_from:.3f}")
