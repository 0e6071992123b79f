"""Dispatchers that join, leave, die, stall and change their settings, on clocks that differ.

Each seed is a history of 400 events in virtual time. At no instant is more under way to an endpoint
than its window, or more let through than its rate, and no two dispatchers make probes. When nothing
has happened for a while, all that is set is used.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

from dispatcher.clocks.clock import VirtualClock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import News
from dispatcher.sharing import Sharing
from dispatcher.worker import Worker
from tests.dispatcher.support import START, an_endpoint

LOOK = timedelta(milliseconds=200)


class Board:
    """The part of a queue that dispatchers tell each other by."""

    def __init__(self) -> None:
        self.notices: dict[str, bytes] = {}
        self._number = 0

    async def news(self, _: Any) -> News:
        return News(0, False, 0, False, dict(self.notices))

    async def put_up(self, notice: bytes) -> str:
        self._number += 1
        self.notices[f"d{self._number}"] = notice
        return f"d{self._number}"

    async def renew(self, dispatcher: str, notice: bytes) -> bool:
        if dispatcher not in self.notices:
            return False
        self.notices[dispatcher] = notice
        return True

    async def take_down(self, dispatcher: str, notice: bytes | None = None) -> None:
        if notice is None or self.notices.get(dispatcher) == notice:
            self.notices.pop(dispatcher, None)


class Dispatcher:
    """A worker's gates, its clock, and the pushes that it has under way."""

    def __init__(self, board: Board, endpoints: list[Endpoint], rng: Random) -> None:
        # A clock may be anywhere, and run a tenth too fast or too slow.
        self.clock = VirtualClock(START + timedelta(days=rng.uniform(0, 10)))
        self.pace = rng.uniform(0.9, 1.1)
        self.board = board
        unused: Any = Mock()
        self.worker = Worker(
            outbox=unused,
            queue=unused,
            sender=unused,
            clock=self.clock,
            endpoints=endpoints,
            schedule=unused,
            new_token=str,
        )
        queue: Any = board
        self.sharing = Sharing(queue, self.worker, self.clock)
        self.looks_in = LOOK
        self.stalls_for = timedelta()

    async def pass_by(self, time: timedelta) -> None:
        self.clock.advance(time * self.pace)
        if self.stalls_for > timedelta():
            self.stalls_for -= time
            return
        self.looks_in -= time
        if self.looks_in <= timedelta():
            self.looks_in = LOOK
            now = self.clock.now()
            await self.sharing.look((await self.board.news(now)).notices, now)

    def take_on(self) -> None:
        """All that there is room for, as with a backlog."""
        places = self.worker._places(self.clock.now())
        for name, gate in self.worker.gates.items():
            for _ in range(places[name].all):
                gate.begin(0)

    def end(self, rng: Random) -> None:
        for gate in self.worker.gates.values():
            for _ in range(rng.randint(0, gate.under_way)):
                gate.end(0)

    @property
    def is_at_work(self) -> bool:
        until = self.worker.shares_hold_until
        return until is None or self.clock.now() <= until

    def may(self, name: str) -> tuple[int, float, bool]:
        """Its window, its rate and whether it would make a probe, at this instant."""
        gate = self.worker.gates[name]
        if not self.is_at_work or not gate.window:
            return 0, 0.0, False
        return gate.window, gate._rate or 0.0, gate._probes


class World:
    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.board = Board()
        self.endpoints = [
            an_endpoint("wide", window=20, rate_limit=50.0),
            an_endpoint("slow", window=20, rate_limit=2.0),
            an_endpoint("narrow", window=1),
            an_endpoint("some", window=9),
        ]
        self.live: list[Dispatcher] = []

    async def join(self) -> None:
        made = Dispatcher(self.board, self.endpoints, self.rng)
        self.live.append(made)
        await made.sharing.join()

    async def leave(self, leaver: Dispatcher) -> None:
        """In order: the shares go first, and the rest when nothing is under way."""
        leaver.sharing.retire()
        while any(gate.under_way for gate in leaver.worker.gates.values()):
            await self.pass_by()
            leaver.end(self.rng)
        await leaver.sharing.leave()
        self.live.remove(leaver)

    async def change(self) -> None:
        """An endpoint is added or removed; each dispatcher sees it with a look of its own."""
        if self.endpoints[-1].name == "new":
            del self.endpoints[-1]
        else:
            self.endpoints.append(an_endpoint("new", window=8))
        for each in self.live:
            each.worker.use(self.endpoints)
            each.sharing.serve()

    async def pass_by(self) -> None:
        for each in self.rng.sample(self.live, len(self.live)):
            await each.pass_by(timedelta(milliseconds=50))
            self.check()

    async def happens(self) -> None:
        rng, live = self.rng, self.live
        what = rng.random()
        one = rng.choice(live)
        if what < 0.02 and len(live) < 5:
            await self.join()
        elif what < 0.03 and len(live) > 1:
            await self.leave(one)
        elif what < 0.04 and len(live) > 1:
            live.remove(one)  # SIGKILL: its connections end with it
        elif what < 0.06:
            while any(gate.under_way for gate in one.worker.gates.values()):
                one.end(rng)
            one.stalls_for = timedelta(seconds=rng.uniform(1, 12))
        elif what < 0.08:
            await self.change()
        elif what < 0.5:
            one.end(rng)
        if one in live and one.stalls_for <= timedelta():
            one.take_on()

    def check(self) -> None:
        for endpoint in self.endpoints:
            name = endpoint.name
            under_way = sum(each.worker.gates[name].under_way for each in self.live)
            _, rates, probers = zip(*(each.may(name) for each in self.live), strict=True)
            assert under_way <= endpoint.window
            assert endpoint.rate_limit is None or sum(rates) <= endpoint.rate_limit + 1e-9
            assert sum(probers) <= 1


@pytest.mark.parametrize("seed", [*range(6), 285, *(pytest.param(n, marks=pytest.mark.long)
                                                     for n in range(6, 285))])  # fmt: skip
async def test_together_they_keep_the_limits(seed: int) -> None:
    world = World(seed)
    await world.join()
    for _ in range(400):
        await world.happens()
        await world.pass_by()
    for each in world.live:
        each.stalls_for = timedelta()
    for _ in range(240):  # twelve seconds
        for each in world.live:
            each.end(world.rng)
        await world.pass_by()

    for endpoint in world.endpoints:
        windows, rates, probers = zip(
            *(each.may(endpoint.name) for each in world.live), strict=True
        )
        assert sum(windows) == endpoint.window
        assert sum(rates) == pytest.approx(endpoint.rate_limit or 0)
        assert sum(probers) == 1


async def test_one_with_a_clock_of_yesterday_takes_its_share() -> None:
    """No clock is compared with another's."""
    board, rng = Board(), Random(1)
    both = [Dispatcher(board, [an_endpoint(window=10, rate_limit=4.0)], rng) for _ in range(2)]
    for each in both:
        await each.sharing.join()
    for _ in range(20):
        for each in both:
            await each.pass_by(timedelta(milliseconds=50))

    assert [each.may("acme")[:2] for each in both] == [(5, 2.0), (5, 2.0)]
    assert abs(both[0].clock.now() - both[1].clock.now()) > timedelta(minutes=1)


async def test_alone_nothing_is_told_and_all_is_ones_own() -> None:
    board = Board()
    one = Dispatcher(board, [an_endpoint()], Random(1))
    await one.sharing.join()
    told = dict(board.notices)
    for _ in range(1000):
        await one.pass_by(timedelta(milliseconds=50))

    assert board.notices == told
    assert one.worker.gates["acme"].flow(one.clock.now()).window_share == 20


async def test_one_that_slept_pushes_nothing_before_it_has_told_so() -> None:
    """A process that was stopped wakes up: its share may be another's by now."""
    board, rng = Board(), Random(1)
    sleeper, other = (Dispatcher(board, [an_endpoint(window=20)], rng) for _ in range(2))
    await sleeper.sharing.join()
    await other.sharing.join()
    sleeper.stalls_for = timedelta(seconds=10)
    for _ in range(200):
        await sleeper.pass_by(timedelta(milliseconds=50))
        await other.pass_by(timedelta(milliseconds=50))
    assert other.may("acme")[0] == 20
    assert not sleeper.is_at_work

    for _ in range(20):
        await sleeper.pass_by(timedelta(milliseconds=50))
        assert sleeper.may("acme")[0] + other.may("acme")[0] <= 20
        await other.pass_by(timedelta(milliseconds=50))
    assert (sleeper.may("acme")[0], other.may("acme")[0]) == (10, 10)


def test_the_notices_of_a_thousand_endpoints_are_small() -> None:
    """They are read with each look."""
    from dispatcher.flow.members import Notice, encoded
    from dispatcher.sharing import limits_of

    serves = {f"customer-{number}": limits_of(an_endpoint()) for number in range(1000)}
    assert len(encoded(replace(Notice(1), serves=serves))) < 40_000
