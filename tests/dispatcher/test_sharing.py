"""Several dispatchers on one database keep to the limits of an endpoint together.

Each had limits of its own: two made 42 pushes in ten seconds where `rate_limit` was 2. Here they
are on clocks that are moved by hand, a second apart from each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from dispatcher.clocks.clock import VirtualClock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import Leased
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.sharing import Sharing
from dispatcher.simulation.database_in_place import DatabaseInPlace
from dispatcher.storage import MIGRATIONS, new_id, of_sqlite
from tests.dispatcher.support import START, Bench, an_endpoint

STEP = timedelta(milliseconds=100)
SECOND = timedelta(seconds=1)


class Process:
    """A dispatcher, as another process on the database."""

    def __init__(self, bench: Bench, queue: SqliteQueue, ahead: timedelta, *which: Endpoint):
        self.clock = VirtualClock(bench.clock.now() + ahead)
        self._queue = queue
        self.worker = bench.another_worker(*which, clock=self.clock)
        self.sharing = Sharing(queue, self.worker, self.clock)
        self.leased: list[Leased] = []

    async def look(self) -> None:
        at = self.clock.now()
        await self.sharing.look((await self._queue.news(at)).notices, at)

    async def leave(self) -> None:
        self.sharing.retire()
        await self.look()
        await self.sharing.leave()

    def share(self, endpoint: str = "acme") -> int:
        return self.worker.gates[endpoint].window


class Processes:
    """All on one database, and what its endpoint gets."""

    def __init__(self, bench: Bench, database: DatabaseInPlace) -> None:
        self.bench = bench
        self._database = database
        self.live: list[Process] = []
        self._ahead = count()

    async def begin(self, *which: Endpoint) -> Process:
        queue = await SqliteQueue.open(self._database, lambda: "db", new_id)
        await self.bench.queue.adopt(which)
        process = Process(self.bench, queue, next(self._ahead) * SECOND, *which)
        self.live.append(process)
        await process.sharing.join()
        return process

    async def run(self, time: timedelta, each_second: Any = None) -> None:
        for step in range(time // STEP):
            self.bench.clock.advance(STEP)
            for process in self.live:
                process.clock.advance(STEP)
                if step % 2 == 0:
                    await process.look()
                await process.worker.tick()
            if each_second is not None and step % 10 == 0:
                await each_second()

    def pushed(self) -> list[datetime]:
        return [push.at for push in self.bench.sender.pushes]

    def most_in_ten_seconds(self) -> int:
        at = self.pushed()
        return max(sum(one <= each < one + 10 * SECOND for each in at) for one in at)


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    database = DatabaseInPlace()
    await database.migrate(MIGRATIONS)
    queue = await SqliteQueue.open(database, lambda: "db", new_id)
    yield Processes(Bench(of_sqlite(database, queue), VirtualClock(START)), database)
    await database.close()


async def a_backlog(processes: Processes, number: int) -> None:
    for _ in range(number):
        await processes.bench.receive()


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_rate_limit_is_that_of_all(processes: Processes, number: int) -> None:
    """However many dispatchers there are, ten seconds bring what is set, within a fifth."""
    acme = an_endpoint(rate_limit=2.0, bucket_size=1)
    await a_backlog(processes, 60)
    for _ in range(number):
        await processes.begin(acme)
    await processes.run(2 * SECOND)
    processes.bench.sender.pushes.clear()

    await processes.run(10 * SECOND)

    assert 16 <= len(processes.pushed()) <= 24


async def test_dispatchers_come_and_go(processes: Processes) -> None:
    """One joins while another pushes, one leaves, one is killed: at no time are there more pushes
    in ten seconds than a fifth above what is set, and soon after as many as before."""
    acme = an_endpoint(rate_limit=2.0, bucket_size=1)
    await a_backlog(processes, 140)
    first = await processes.begin(acme)
    await processes.run(5 * SECOND)
    await processes.begin(acme)
    await processes.run(5 * SECOND)
    await processes.begin(acme)
    await processes.run(5 * SECOND)
    await first.leave()
    processes.live.remove(first)
    await processes.run(5 * SECOND)
    del processes.live[0]  # SIGKILL
    await processes.run(8 * SECOND)
    before = len(processes.pushed())
    await processes.run(10 * SECOND)

    assert processes.most_in_ten_seconds() <= 24
    assert len(processes.pushed()) - before >= 16
    assert processes.live[0].share() == 20


async def test_the_window_is_that_of_all(processes: Processes) -> None:
    """What is under way at one that is alone counts when another joins."""
    acme = an_endpoint(window=9, bucket_size=1)
    await a_backlog(processes, 30)
    first = await processes.begin(acme)
    leased = await first.worker.claim()
    assert len(leased) == 9

    second = await processes.begin(acme)
    await looks(processes)
    assert await second.worker.claim() == []

    for dispatch in leased[:6]:
        await first.worker.attempt(dispatch)
    await looks(processes)
    taken = await first.worker.claim(), await second.worker.claim()
    assert sum(map(len, taken)) == 6
    assert first.share() + second.share() == 9


async def looks(processes: Processes) -> None:
    """A second of looks, in which nothing is claimed."""
    for _ in range(5):
        for process in processes.live:
            process.clock.advance(SECOND / 5)
            await process.look()


async def test_small_limits_belong_to_one(processes: Processes) -> None:
    """A window of two can't be divided, so that order and first attempts keep their place. When its
    dispatcher is killed another one takes over."""
    acme = an_endpoint(window=2, bucket_size=1, ordered=True)
    for _ in range(3):
        await processes.begin(acme)
    await processes.run(SECOND)
    assert sorted(process.share() for process in processes.live) == [0, 0, 2]

    processes.live = [process for process in processes.live if not process.share()]
    await a_backlog(processes, 4)
    await processes.run(8 * SECOND)

    assert sorted(process.share() for process in processes.live) == [0, 2]
    assert await processes.bench.states() == ["acknowledged"] * 4


async def test_dispatchers_may_divide_the_endpoints(processes: Processes) -> None:
    """Who does not work for an endpoint takes nothing of its limits."""
    acme, beta = an_endpoint(), an_endpoint("beta")
    one, two = await processes.begin(acme), await processes.begin(beta)
    await processes.run(SECOND)

    assert (one.share(), two.share("beta")) == (20, 20)


async def test_one_breaker_for_all(processes: Processes) -> None:
    """Whoever opens it opens it for all, and one alone makes the probes, until one of them is
    acknowledged. Two made two probes each time."""
    acme = an_endpoint(breaker_failures=5, breaker_probe=10 * SECOND, bucket_size=1)
    processes.bench.sender.always(503)
    for _ in range(3):
        await processes.begin(acme)
    await processes.run(2 * SECOND)
    await a_backlog(processes, 12)
    await processes.run(3 * SECOND)
    assert all(process.worker.gates["acme"].breaker_is_open for process in processes.live)

    processes.bench.sender.pushes.clear()
    await a_backlog(processes, 12)
    await processes.run(31 * SECOND)
    assert len(processes.pushed()) == 3

    processes.bench.sender.always(200)
    await processes.run(12 * SECOND)
    assert not any(process.worker.gates["acme"].breaker_is_open for process in processes.live)


async def test_failures_in_a_row_are_those_of_all(processes: Processes) -> None:
    """An endpoint that fails slowly is tried by both in turn: each counts what the other tells."""
    acme = an_endpoint(breaker_failures=8, breaker_probe=3600 * SECOND, rate_limit=2.0)
    processes.bench.sender.always(503)
    for _ in range(2):
        await processes.begin(acme)
    await processes.run(SECOND)

    await processes.run(20 * SECOND, processes.bench.receive)

    assert 8 <= len(processes.pushed()) <= 11


async def test_an_acknowledgement_to_one_counts_for_all(processes: Processes) -> None:
    """Failures in a row end with the acknowledgement that another dispatcher gets."""
    acme = an_endpoint(breaker_failures=8, rate_limit=2.0, bucket_size=1)
    one, two = await processes.begin(acme), await processes.begin(acme)
    await processes.run(SECOND)
    for _ in range(20):
        one.worker.gates["acme"].judge(False, one.clock.now())
        await looks(processes)
        two.worker.gates["acme"].judge(True, two.clock.now())
        await looks(processes)

    assert not one.worker.gates["acme"].breaker_is_open


async def test_settings_that_change_begin_with_a_closed_breaker(processes: Processes) -> None:
    """Also at one that has followed another: it counts failures as before."""
    acme = an_endpoint(breaker_failures=3)
    both = [await processes.begin(acme) for _ in range(2)]
    await processes.run(SECOND)
    follower = next(one for one in both if not one.worker.gates["acme"]._probes)
    decides = next(one for one in both if one is not follower)
    for _ in range(3):
        decides.worker.gates["acme"].judge(False, decides.clock.now())
    await looks(processes)
    assert follower.worker.gates["acme"].breaker_is_open

    for one in both:
        one.worker.use([an_endpoint(breaker_failures=2)])
    await looks(processes)
    assert not any(one.worker.gates["acme"].breaker_is_open for one in both)
    for _ in range(2):
        follower.worker.gates["acme"].judge(False, follower.clock.now())
    await looks(processes)
    assert all(one.worker.gates["acme"].breaker_is_open for one in both)


async def test_one_who_decides_leaves_the_breaker_open(processes: Processes) -> None:
    """Who joins, or is left, finds it open, and makes the next probe."""
    acme = an_endpoint(breaker_failures=2, breaker_probe=20 * SECOND, bucket_size=1)
    processes.bench.sender.always(503)
    await a_backlog(processes, 4)
    await processes.begin(acme)
    await processes.run(SECOND)
    for _ in range(3):
        await processes.begin(acme)
        await processes.run(SECOND)
    assert all(process.worker.gates["acme"].breaker_is_open for process in processes.live)

    while processes.live[1:]:
        decides = next(one for one in processes.live if one.worker.gates["acme"]._probes)
        processes.live.remove(decides)  # SIGKILL
        processes.bench.sender.pushes.clear()
        await a_backlog(processes, 4)
        await processes.run(30 * SECOND)
        assert 1 <= len(processes.pushed()) <= 2
