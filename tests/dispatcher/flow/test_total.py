"""How places for pushes are shared when they run short.

190 customers accepted connections and never answered. Each had its window of 20, 3,800 connections
of the 1,024 files that the process might open; whoever came next, customer or platform, was turned
away.
"""

from __future__ import annotations

from datetime import timedelta

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
