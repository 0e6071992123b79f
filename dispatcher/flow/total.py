"""How many pushes may be under way to all endpoints together, and how that is shared fairly. Pure.

Each push holds a connection, and the process may have only so many. When they run short, the first
push to an endpoint goes before the second to any other, and some places are never given for a
second one, so that an endpoint with nothing under way finds a place. Endpoints in doubt
(`Gate.in_doubt`) get no more than half of all places together: however many never answer, they do
not hold up those that do. When a process starts it does not know them yet: if there are fewer
places than endpoints that never answer, the others may have to wait for the first timeouts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import count

from dispatcher.flow.gate import CLOSED, Gate
from dispatcher.flow.window import Room


class Total:
    """Shares `most` places out among the gates of all endpoints."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.short = False
        """Whether an endpoint that has something to do was given no place at the last look."""
        self._held: frozenset[str] = frozenset()  # endpoints that only the total keeps from a place
        self._turns = count(1)
        self._had_turn: dict[str, int] = {}

    @staticmethod
    def used(gates: Mapping[str, Gate]) -> int:
        return sum(gate.under_way for gate in gates.values())

    def open_to(
        self, places: Mapping[str, Room], gates: Mapping[str, Gate], now: datetime
    ) -> dict[str, Room]:
        """`places`, but none for endpoints to which nothing may go before an attempt has ended."""
        if self.used(gates) <= self.most // 8:  # then there are enough for anybody's next
            self._held = frozenset()
            return dict(places)
        free, for_doubtful = self._free(gates, now)
        self._held = frozenset(
            name
            for name, place in places.items()
            if place.all and not self._may(gates[name], now, free, for_doubtful)
        )
        return {name: CLOSED if name in self._held else place for name, place in places.items()}

    def divided(
        self,
        places: Mapping[str, Room],
        wanting: Collection[str],
        gates: Mapping[str, Gate],
        now: datetime,
    ) -> dict[str, Room]:
        """What each of those that have something to do gets now of the places that `open_to` left
        it. What one of them does not need goes to the others at the next look."""
        wants = [name for name in places if name in wanting and places[name].all]
        wanted = sum(places[name].all for name in wants)
        if wanted <= self.most - self.used(gates) - self.most // 2:
            self.short = not self._held.isdisjoint(wanting)
            return dict(places)
        free, for_doubtful = self._free(gates, now)
        each = max(1, (free - self.most // 8) // max(1, len(wants)))
        given = dict.fromkeys(places, CLOSED)
        for name in sorted(wants, key=lambda name: self._order(name, gates)):
            gate = gates[name]
            if not self._may(gate, now, free, for_doubtful):
                continue
            mine = min(each, places[name].all, free)
            if gate.in_doubt(now):
                mine = min(mine, for_doubtful)
                for_doubtful -= mine
            free -= mine
            given[name] = Room(retries=min(places[name].retries, mine), all=mine)
            self._had_turn[name] = next(self._turns)
        waiting = self._held.union(name for name in wants if not given[name].all)
        self.short = not waiting.isdisjoint(wanting)
        return given

    def _free(self, gates: Mapping[str, Gate], now: datetime) -> tuple[int, int]:
        """Places for anybody, and how many of them for endpoints in doubt."""
        doubtful = sum(gate.under_way for gate in gates.values() if gate.in_doubt(now))
        free = max(0, self.most - self.used(gates))
        return free, max(0, min(free, (self.most + 1) // 2 - doubtful))

    def _may(self, gate: Gate, now: datetime, free: int, for_doubtful: int) -> bool:
        doubtful = gate.in_doubt(now)
        if not (for_doubtful if doubtful else free):
            return False
        kept = self.most // 2 if doubtful else self.most // 8  # for first pushes
        return not gate.under_way or free > kept

    def _order(self, name: str, gates: Mapping[str, Gate]) -> tuple[int, int]:
        return gates[name].under_way, self._had_turn.get(name, 0)
