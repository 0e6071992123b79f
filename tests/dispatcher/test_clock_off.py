"""A clock that is off by days, and is set right: what is planned meanwhile comes when it should.

A clock was a month ahead for eight seconds. Each dispatch that failed in them was to be tried again
in a month, leases of a month were given, the breaker was to stay open for a month, and /readyz said
that the loop had stood still for one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from dispatcher.clocks.clock import SystemClock
from dispatcher.clocks.common_time import CommonTime
from dispatcher.clocks.wakeups import Job
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.runner import TELL_TIME_EVERY, Runner
from receiver.store.base import StoreUnavailable
from tests.dispatcher.clocks.test_clock import MONTH, Machine
from tests.dispatcher.support import MINUTE, START, Bench, a_bench, an_endpoint

SECOND = timedelta(seconds=1)
LIMIT = timedelta(seconds=10)


class Jobs:
    """Implements Alarms: nothing comes by itself."""

    def __init__(self) -> None:
        self.upkeep: Job | None = None

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    def every(self, interval: timedelta, job: Job) -> None:
        if interval == TELL_TIME_EVERY:
            self.upkeep = job

    def after(self, sleep: timedelta, job: Job) -> None: ...


class Process:
    """A dispatcher on a machine whose clock may be wrong. `bench.clock` is the true time."""

    def __init__(self, bench: Bench, machine: Machine, *endpoints: Endpoint) -> None:
        self.bench = bench
        self.machine = machine
        self.clock: SystemClock = machine.clock()
        self.worker = bench.another_worker(*endpoints, clock=self.clock)
        self._jobs = Jobs()

    async def start(self, boot: str | None) -> None:
        common = CommonTime(self.bench.storage.time, self.clock, boot)
        await common.join()
        self.runner = Runner(
            self.worker, self.bench.queue, self.clock, common_time=common, wakeups=self._jobs
        )
        await self.runner.start()

    async def look(self) -> None:
        """What a second brings: the upkeep, and a look. All is well, so far as /readyz knows."""
        assert self._jobs.upkeep is not None
        await self._jobs.upkeep()
        await self.runner.settle()
        assert await self.runner.trouble() is None


@asynccontextmanager
async def a_process(
    bench: Bench, machine: Machine, *endpoints: Endpoint, boot: str | None = "monday"
) -> AsyncIterator[Process]:
    process = Process(bench, machine, *(endpoints or (an_endpoint(),)))
    await process.start(boot)
    try:
        yield process
    finally:
        await process.runner.stop(LIMIT)


async def passes(time: timedelta, *processes: Process, step: timedelta = SECOND) -> None:
    """True time passes, and all look every now and then."""
    bench, machine = processes[0].bench, processes[0].machine
    for _ in range(time // step):
        bench.clock.advance(step)
        machine.pass_time(step)
        for process in processes:
            await process.look()


def pushes(bench: Bench) -> list[float]:
    """When there were pushes: minutes of the true time since the start, rounded down."""
    return [(push.at - START) // MINUTE for push in bench.sender.pushes]


SCHEDULED = [0, 1, 3, 8, 18, 35, 61, 98, 148]
"""The documented waits are 1, 2, 5, 10, 17, 26, 37 and 50 minutes."""


@pytest.mark.parametrize("boot", ["monday", None])
@pytest.mark.parametrize("by", [MONTH, -MONTH])
@pytest.mark.parametrize("lasts", [8 * SECOND, 2 * MINUTE, 80 * MINUTE])
async def test_the_schedule_is_kept(by: timedelta, lasts: timedelta, boot: str | None) -> None:
    """A clock that is a month off, for eight seconds or for so long that it is believed, and right
    again: each retry comes when the schedule says, in the time that passes."""
    machine = Machine()
    async with a_bench() as bench, a_process(bench, machine, boot=boot) as process:
        bench.sender.always(503)
        await bench.receive()
        await process.look()
        await passes(55 * SECOND, process)
        machine.set_clock(by)
        await passes(lasts, process)
        machine.set_clock(-by)
        await passes(timedelta(hours=3) - lasts, process, step=5 * SECOND)

        assert pushes(bench) == SCHEDULED


async def test_what_comes_in_meanwhile_keeps_it_too() -> None:
    """A report that is pushed first while the clock is off, and by a process that was started then:
    on the same start of the machine it goes on with the time of the one before."""
    machine = Machine()
    async with a_bench() as bench:
        async with a_process(bench, machine) as before:
            await before.look()
        machine.set_clock(MONTH)
        bench.sender.always(503)
        async with a_process(bench, machine) as process:
            await bench.receive()
            await process.look()
            await passes(2 * MINUTE, process)
            machine.set_clock(-MONTH)
            await passes(2 * MINUTE, process)

        assert pushes(bench) == [0, 1, 3]


@pytest.mark.parametrize("by", [MONTH, -20 * 365 * timedelta(days=1)])
async def test_a_machine_that_starts_with_a_wrong_clock(by: timedelta) -> None:
    """Nobody can know that it is wrong. What is planned by it goes along when it is set, what was
    planned before the machine started is due as it was: nothing waits for a month."""
    machine = Machine()
    async with a_bench() as bench:
        bench.sender.always(503)
        async with a_process(bench, machine) as before:
            await bench.receive()
            await before.look()
        machine.set_clock(by)
        async with a_process(bench, machine, boot="tuesday") as process:
            await bench.receive()
            await process.look()
            early = len(bench.sender.pushes)
            await passes(8 * SECOND, process)
            machine.set_clock(-by)
            await passes(20 * MINUTE, process)

        # Ahead, the first one was due at once, and was tried a minute early.
        assert early == (3 if by > timedelta() else 2)
        by_dispatch = [
            [push.number for push in bench.sender.pushes if push.name == name]
            for name in ("db-1", "db-2")
        ]
        assert by_dispatch == [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]


@pytest.mark.parametrize("by", [MONTH, -MONTH])
async def test_two_processes_move_the_plans_once(by: timedelta) -> None:
    """Each follows when it believes the clock; what lies in the database goes along once."""
    machine = Machine()
    async with a_bench() as bench, a_process(bench, machine) as one:
        async with a_process(bench, machine) as other:
            bench.sender.always(503)
            await bench.receive()
            await one.look()
            machine.set_clock(by)
            await passes(2 * MINUTE, one, other)
            (waiting,) = await bench.dispatches()
            assert waiting.due_at is not None
            assert timedelta() < waiting.due_at - machine.wall < 2 * MINUTE
            machine.set_clock(-by)
            await passes(2 * MINUTE, one, other)

        assert pushes(bench) == [0, 1, 3]


@pytest.mark.parametrize("by", [MONTH, -MONTH])
async def test_an_attempt_under_way_while_the_clock_is_set(by: timedelta) -> None:
    """Its retry counts from its start, in the time that passed."""
    machine = Machine()
    endpoint = an_endpoint(read_timeout=10 * MINUTE)
    async with a_bench() as bench, a_process(bench, machine, endpoint) as process:
        bench.sender.always(503)
        bench.sender.hold()
        await bench.receive()
        process.runner.wake()
        await bench.sender.held.wait()
        machine.set_clock(by)
        for _ in range(70):
            bench.clock.advance(SECOND)
            machine.pass_time(SECOND)
            assert process._jobs.upkeep is not None
            await process._jobs.upkeep()
        assert process.clock.now() == machine.wall
        bench.sender.let_go()
        await passes(3 * MINUTE, process)

        assert pushes(bench) == [0, 1, 3]
        assert [push.number for push in bench.sender.pushes] == [1, 2, 3]


@pytest.mark.parametrize(
    "changes",
    [
        {"breaker_failures": 1, "breaker_probe": 2 * MINUTE},
        {"rate_limit": 1 / 120, "window": 100},
    ],
)
@pytest.mark.parametrize("by", [MONTH, -MONTH])
async def test_breaker_and_rate_wait_as_long_as_they_would(
    by: timedelta, changes: dict[str, Any]
) -> None:
    """What an endpoint may be given does not change with the clock: nothing for two minutes after
    the last, and then something."""
    machine = Machine()
    endpoint = an_endpoint(bucket_size=1, **changes)
    async with a_bench() as bench, a_process(bench, machine, endpoint) as process:
        bench.sender.always(503)
        for _ in range(3):
            await bench.receive()
        await process.look()
        machine.set_clock(by)
        await passes(3 * MINUTE, process)
        machine.set_clock(-by)
        await passes(4 * MINUTE, process)

        minutes = sorted(set(pushes(bench)))
        gaps = [after - before for before, after in pairwise(minutes)]
        assert len(gaps) >= 2
        assert all(2 <= gap <= 3 for gap in gaps)


async def test_a_store_that_is_away_while_the_clock_is_set() -> None:
    """The plans go along as soon as it is back, and by as much."""
    machine = Machine()
    async with a_bench() as bench, a_process(bench, machine) as process:
        bench.sender.always(503)
        await bench.receive()
        await process.look()
        write: Any = bench.database.write

        async def away(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("away")

        machine.set_clock(-MONTH)
        await passes(50 * SECOND, process)
        bench.database.write = away  # type: ignore[method-assign]
        for _ in range(30):
            machine.pass_time(SECOND)
            bench.clock.advance(SECOND)
            assert process._jobs.upkeep is not None
            await process._jobs.upkeep()
        bench.database.write = write  # type: ignore[method-assign]
        await passes(3 * MINUTE, process)

        assert pushes(bench) == [0, 1, 3]
