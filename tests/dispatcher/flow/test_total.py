"""How places for pushes are shared when they run short.

190 customers accepted connections and never answered. Each had its window of 20, 3,800 connections
of the 1,024 files that the process might open; whoever came next, customer or platform, was turned
away.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.flow.gate import PATIENCE, Gate
from dispatcher.flow.total import Total
from dispatcher.flow.window import Room
from tests.dispatcher.support import MINUTE, START, a_bench, an_endpoint

LATER = START + PATIENCE + timedelta(microseconds=1)


def a_gate(name: str, *, under_way: int = 0, answers: bool = True, window: int = 20) -> Gate:
    """One that does not answer had an attempt that timed out."""
    gate = Gate(an_endpoint(name, window=window), START - MINUTE, 1)
    gate.room(START - MINUTE)
    gate.begin(0)
    gate.judge(answers, START)
    gate.end(0)
    gate.room(START)
    for _ in range(under_way):
        gate.begin(0)
    return gate


def given_places(total: Total, gates: dict[str, Gate], at: object = START) -> dict[str, int]:
    """How many places each gets that wants all it may have."""
    assert at in (START, LATER)
    now = START if at is START else LATER
    places = {name: gate.room(now) for name, gate in gates.items()}
    places = total.open_to(places, gates, now)
    return {name: room.all for name, room in total.divided(places, gates, gates, now).items()}


def test_plenty() -> None:
    """While there are places for all, each gets its window, as without a limit."""
    total = Total(1000)
    gates = {name: a_gate(name) for name in "abc"}

    assert given_places(total, gates) == {"a": 20, "b": 20, "c": 20}
    assert not total.short


def test_in_equal_parts() -> None:
    """Of what there is, none gets more than another, and an eighth is kept for first pushes."""
    total = Total(80)
    gates = {name: a_gate(name, window=1000) for name in "ab"}

    assert given_places(total, gates) == {"a": 35, "b": 35}


def test_the_first_push_goes_before_a_second() -> None:
    """With nearly all places taken, an endpoint with nothing under way gets one of the last."""
    total = Total(40)
    gates = {"greedy": a_gate("greedy", under_way=36, window=1000), "new": a_gate("new")}

    assert given_places(total, gates) == {"greedy": 0, "new": 1}
    assert total.short


def test_those_that_never_answer_get_half() -> None:
    """However many endpoints never answer, half of the places is for those that do."""
    total = Total(40)
    gates = {f"dead{n}": a_gate(f"dead{n}", answers=False) for n in range(100)}
    assert sum(given_places(total, gates).values()) == 20

    for n in range(20):
        gates[f"dead{n}"] = a_gate(f"dead{n}", answers=False, under_way=1)
    gates["healthy"] = a_gate("healthy")
    found = given_places(total, gates)

    assert found.pop("healthy") == 15
    assert sum(found.values()) == 0
    assert total.short


def test_silence_is_a_doubt() -> None:
    """One that has answered until now and is silent for longer than PATIENCE is in doubt, also when
    its attempts fail one after the other; until one is acknowledged."""
    gate = a_gate("a", under_way=3)
    assert not gate.in_doubt(START + PATIENCE)
    assert gate.in_doubt(LATER)

    for _ in range(2):
        gate.judge(False, LATER)
        gate.end(0)
        assert gate.in_doubt(LATER)
    gate.judge(True, LATER)
    gate.end(0)
    assert not gate.in_doubt(LATER + MINUTE)


def test_a_failure_at_once_is_no_doubt() -> None:
    """One that refuses connections, or answers 500, holds no place for long."""
    gate = a_gate("a", under_way=1)
    gate.judge(False, START + timedelta(milliseconds=5))
    gate.end(0)

    assert not gate.in_doubt(LATER)


def test_they_take_turns() -> None:
    """When there are fewer places than endpoints in doubt, those come next that had none."""
    total = Total(8)
    gates = {f"dead{n}": a_gate(f"dead{n}", answers=False) for n in range(12)}
    rounds = [
        {name for name, places in given_places(total, gates).items() if places} for _ in range(3)
    ]

    assert [len(each) for each in rounds] == [4, 4, 4]
    assert len(set.union(*rounds)) == 12


@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 30)), min_size=1),
)
def test_never_more_than_there_are(most: int, made: list[tuple[int, bool, int]]) -> None:
    """Whoever wants how much: what is given fits, and who is told to wait really cannot go."""
    total = Total(most)
    gates = {
        str(n): a_gate(str(n), under_way=under_way, answers=answers, window=window)
        for n, (under_way, answers, window) in enumerate(made)
    }
    used = Total.used(gates)

    found = given_places(total, gates)

    assert sum(found.values()) <= max(0, most - used)
    assert all(found[name] <= gates[name].room(START).all for name in found)
    if used == 0:
        assert any(found.values())


def test_a_quarter_is_still_for_first_attempts() -> None:
    """The places for retries are never more than the window leaves them."""
    total = Total(8)
    gates = {"a": a_gate("a", window=4)}
    places = {"a": Room(retries=3, all=4)}

    assert total.divided(places, gates, gates, START)["a"] == Room(retries=3, all=4)


async def test_a_worker_keeps_to_it() -> None:
    """A worker never has more under way than there are places, takes on the rest as attempts end,
    and does not look in vain meanwhile."""
    names = [f"e{n}" for n in range(9)]
    async with a_bench(*(an_endpoint(name, bucket_size=1) for name in names)) as bench:
        worker = bench.another_worker(*bench.worker.endpoints.values(), total=Total(8))
        for _ in range(3):
            await bench.receive()

        leased = await worker.claim()
        assert len(leased) == 8
        assert await worker.claim() == []
        assert worker.total is not None
        assert worker.total.short
        pushed = len(leased)
        while leased:
            assert len(leased) <= 8
            for dispatch in leased:
                await worker.attempt(dispatch)
            leased = await worker.claim()
            pushed += len(leased)

        assert pushed == 27
        bench.clock.advance(MINUTE)
        assert await worker.claim() == []
        assert not worker.total.short


class Turns:
    """190 endpoints that never answer and ten that answer within a turn, each of which has a push
    to make every five turns, on a clock that goes by turns of 20 ms."""

    TURN = timedelta(milliseconds=20)
    TIMEOUT = 100  # turns

    def __init__(self, most: int, silent: int) -> None:
        self.total = Total(most)
        self.healthy = [f"healthy{n}" for n in range(10)]
        names = [*self.healthy, *(f"silent{n}" for n in range(silent))]
        self.gates = {name: Gate(an_endpoint(name, window=20), START, 1) for name in names}
        self.ends: dict[int, list[str]] = {}  # by turn: whose pushes end
        self.waiting = {name: [0] * 20 for name in names}  # the turns since which pushes wait
        self.waited: list[int] = []  # turns, of the pushes to those that answer

    def play(self, first: int, last: int) -> None:
        for turn in range(first, last):
            now = START + turn * self.TURN
            for name in self.ends.pop(turn, []):
                self.gates[name].judge(name in self.healthy, now)
                self.gates[name].end(0)
            for number, name in enumerate(self.healthy):
                if turn % 5 == number % 5:
                    self.waiting[name].append(turn)
            places = {name: gate.room(now) for name, gate in self.gates.items()}
            places = self.total.open_to(places, self.gates, now)
            wanting = [name for name, since in self.waiting.items() if since]
            given = self.total.divided(places, wanting, self.gates, now)
            for name in wanting:
                for _ in range(min(given[name].all, len(self.waiting[name]))):
                    self._push(name, turn)

    def _push(self, name: str, turn: int) -> None:
        since = self.waiting[name].pop(0)
        self.gates[name].begin(0)
        if name in self.healthy:
            self.waited.append(turn - since)
            self.ends.setdefault(turn + 1, []).append(name)
        else:
            self.waiting[name].append(turn)  # it is never at an end with them
            self.ends.setdefault(turn + self.TIMEOUT, []).append(name)


@pytest.mark.parametrize("most", [40, 200, 450])
def test_those_that_answer_wait_for_nobody(most: int) -> None:
    """Of 40, 200 and 450 places (a process that may open 1,024 files has some 450), 190 endpoints
    that never answer take none that the others need: once each has timed out, which takes a timeout
    for each time that the places were filled, a push to an endpoint that answers waits no turn more
    than it would without them."""
    known, end = 6 * Turns.TIMEOUT, 10 * Turns.TIMEOUT
    beside, alone = Turns(most, silent=190), Turns(most, silent=0)
    for turns in (beside, alone):
        turns.play(0, known)
        turns.waited.clear()
        turns.play(known, end)

    assert len(beside.waited) == len(alone.waited) == 10 * (end - known) // 5
    assert sum(beside.waited) == sum(alone.waited) == 0
    assert beside.total.used(beside.gates) <= most
