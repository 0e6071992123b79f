"""The cohort engine's places and the worker's gate: one set of rules, counted in two ways.

`flow/gate.py` counts pushes one by one, `simulation/places.py` crowds of them. The parts are the
same (window, rate limit, breaker, patience), and how they go together is written twice. So both
are driven through the same events here and must say the same at each of them; and a setting or a
part that one of them takes up must be answered in the other, or here with the reason.
"""

from __future__ import annotations

import ast
import inspect
from datetime import timedelta
from types import ModuleType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.flow import gate
from dispatcher.flow.gate import Gate
from dispatcher.flow.window import Room
from dispatcher.simulation import places
from dispatcher.simulation.arrivals import MICROSECOND
from dispatcher.simulation.places import Free, Places
from dispatcher.simulation.scenario import START

ONLY_THE_GATE = {
    "paused": "nobody pauses the endpoint of a scenario",
}
"""Settings that only production goes by, and why."""

OTHERWISE = {
    "Room": "Free, which has parts of places",
    "Share": "a simulation has one dispatcher, which uses all of the limits",
}
"""Parts of gate.py that places.py has something of its own for."""


class Both:
    """A gate and the places of one endpoint, of whose pushes each is told to both."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.now = timedelta()
        self._gate = Gate(endpoint, START, 1.0)
        self._places = Places(endpoint)
        self._under_way: list[bool] = []  # which of them are retries

    def agree(self) -> Room:
        """Ask both for room and for the next opening. Returns the room."""
        at, instant = self.now // MICROSECOND, START + self.now
        room = self._gate.room(instant)
        assert room == _whole(self._places.free(at, 0))
        opens_at, opens = self._places.opens_at(at), self._gate.opens_at(instant)
        assert opens_at == (None if opens is None else (opens - START) // MICROSECOND)
        assert self._places.taken == self._gate.under_way
        return room

    def begin(self, *, retry: bool) -> None:
        """Begin a push, if there is room for one."""
        room = self.agree()
        if (room.retries if retry else room.all) > 0:
            self._gate.begin(int(retry))
            self._places.begin(1, int(retry), 0)
            self._places.take(1, retry)
            self._under_way.append(retry)

    def end(self, *, acknowledged: bool) -> None:
        """End the oldest push."""
        if self._under_way:
            retry = self._under_way.pop(0)
            self._gate.judge(acknowledged, START + self.now)
            self._gate.end(int(retry))
            self._places.judge(acknowledged, 1, self.now // MICROSECOND)
            self._places.take(-1, retry)


def _whole(free: Free) -> Room:
    """How many may begin of what is free, one by one."""
    all = int(min(free.all, free.pushes))
    return Room(retries=int(min(free.retries, free.retry_pushes, all)), all=all)


def an_endpoint(**said: Any) -> Endpoint:
    return Endpoint(name="acme", url="http://acme.example/dlr", **said)


endpoints = st.builds(
    an_endpoint,
    window=st.integers(1, 9),
    rate_limit=st.none() | st.floats(0.1, 50).map(lambda rate: round(rate, 2)),
    breaker_failures=st.sampled_from([0, 0, 1, 3, 8]),
    breaker_probe=st.sampled_from([timedelta(seconds=s) for s in (1, 7, 30)]),
)
BEGIN, RETRY, ACKNOWLEDGE, FAIL = "begin", "retry", "acknowledge", "fail"
events = st.one_of(
    st.sampled_from([BEGIN, BEGIN, RETRY, RETRY, ACKNOWLEDGE, FAIL, FAIL, FAIL]),
    st.sampled_from([1, 1_000, 99_999, 100_000, 1_000_000, 7_000_000, 30_000_000]),
    st.integers(1, 3_000_000),
)


@settings(max_examples=300)
@given(endpoint=endpoints, happens=st.lists(events, max_size=80))
def test_the_same_room_at_each_instant(endpoint: Endpoint, happens: list[str | int]) -> None:
    """Whatever begins, ends, fails and passes: both have as much room, for retries and for first
    attempts, and both say when there is more."""
    both = Both(endpoint)
    for event in happens:
        match event:
            case int():
                both.now += event * MICROSECOND
            case "begin" | "retry":
                both.begin(retry=event == RETRY)
            case _:
                both.end(acknowledged=event == ACKNOWLEDGE)
        both.agree()


class _Asked(Endpoint, frozen=True):
    """An endpoint that remembers which of its settings were asked for."""

    def __getattribute__(self, name: str) -> Any:
        if name in Endpoint.__struct_fields__:
            _asked.add(name)
        return super().__getattribute__(name)


_asked: set[str] = set()


def asked_by(part: type[Gate] | type[Places]) -> set[str]:
    endpoint = _Asked(
        name="acme", url="http://acme.example/dlr", window=2, rate_limit=5.0, breaker_failures=3
    )
    _asked.clear()
    if part is Gate:
        one = Gate(endpoint, START, 1.0)
        for _ in range(4):  # until its patience is lost and its breaker open
            one.room(START)
            one.begin(0)
            one.judge(False, START)
            one.end(0)
        one.opens_at(START)
    else:
        Places(endpoint)
    return set(_asked)


def test_both_go_by_the_same_settings() -> None:
    """A setting that a gate begins to ask for is asked for by the places too, or is named above
    with the reason."""
    assert asked_by(Gate) - asked_by(Places) == ONLY_THE_GATE.keys()
    assert asked_by(Places) - asked_by(Gate) == set()


def parts_of(module: ModuleType) -> set[str]:
    """What it takes from flow/."""
    tree = ast.parse(inspect.getsource(module))
    return {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dispatcher.flow")
        for name in node.names
    }


def test_both_are_made_of_the_same_parts() -> None:
    """A part of flow/ that a gate begins to use (another limit, another breaker) is one of the
    places too, or is named above with what stands for it."""
    of_the_gate, of_the_places = parts_of(gate), parts_of(places)

    assert of_the_gate - of_the_places == OTHERWISE.keys()
    constants = {name for name in vars(gate) if name.isupper()} - {"CLOSED"}
    assert constants <= of_the_places
