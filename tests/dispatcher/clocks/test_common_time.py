"""Processes on one database agree on the time."""

from __future__ import annotations

from datetime import timedelta

from dispatcher.clocks.clock import MachineClock
from dispatcher.clocks.common_time import CommonTime, boot_id
from dispatcher.queue.base import Lease
from tests.dispatcher.clocks.test_clock import Machine
from tests.dispatcher.support import MINUTE, START, Bench, a_bench, an_endpoint

HOUR = timedelta(hours=1)


async def joined(bench: Bench, clock: MachineClock, boot: str | None = "monday") -> CommonTime:
    common = CommonTime(bench.storage.time, clock, boot)
    await common.join()
    return common


async def test_one_that_starts_after_the_clock_was_set_agrees() -> None:
    """Two processes with a set clock between their starts have the same time, so the lease that one
    gave has not run out for the other."""
    async with a_bench() as bench:
        machine = Machine()
        old = machine.clock()
        await joined(bench, old)
        machine.pass_time(100 * HOUR)
        old.now()
        machine.set_clock(HOUR)
        machine.pass_time(MINUTE)
        new = machine.clock()
        await joined(bench, new)
        assert abs(new.now() - old.now()) < timedelta(seconds=10)

        await bench.receive()
        worker = bench.another_worker(an_endpoint(), clock=old)
        assert len(await worker.claim()) == 1
        assert await bench.queue.release_expired(new.now()) == 0
        machine.pass_time(MINUTE)
        assert await bench.queue.release_expired(new.now()) == 1


async def test_a_restart_after_the_clock_was_set_fires_nothing() -> None:
    """A process that comes back after the clock was set goes on in the time of the one before."""
    async with a_bench() as bench:
        machine = Machine()
        await joined(bench, machine.clock())
        machine.pass_time(100 * HOUR)
        machine.set_clock(-HOUR)

        clock = machine.clock()
        await joined(bench, clock)

        assert clock.now() == START + 100 * HOUR


async def test_what_follows_the_wall_clock_is_told() -> None:
    """One that starts while the others are on their way to the new time joins them there."""
    async with a_bench() as bench:
        machine = Machine()
        old = machine.clock()
        common = await joined(bench, old)
        machine.set_clock(HOUR)
        for _ in range(5 * 60):
            machine.pass_time(MINUTE)
            await common.tell()
        assert machine.wall - old.now() == HOUR / 2

        new = machine.clock()
        await joined(bench, new)

        assert new.now() == old.now()


async def test_compressed_clocks_agree() -> None:
    """Two processes on a compressed clock, one started later, are at the same instant."""
    async with a_bench() as bench:
        machine = Machine()
        first = machine.compressed(600)
        await joined(bench, first)
        machine.pass_time(MINUTE)

        second = machine.compressed(600)
        await joined(bench, second)

        assert second.now() == first.now() == START + 600 * MINUTE


async def test_another_boot_or_speed_begins_anew() -> None:
    """What was told before the machine was restarted, or at another speed, is no time to go on."""
    async with a_bench() as bench:
        machine = Machine()
        await joined(bench, machine.compressed(600))
        machine.pass_time(MINUTE)
        for clock, boot in ((machine.compressed(60), "monday"), (machine.clock(), "tuesday")):
            await joined(bench, clock, boot)
            assert clock.now() == machine.wall


async def test_a_compressed_time_out_of_the_calendar_begins_anew() -> None:
    """A day at a speed of a million is 2,700 years: nobody goes on there."""
    async with a_bench() as bench:
        machine = Machine()
        await joined(bench, machine.compressed(1e6))
        machine.pass_time(timedelta(days=30))

        clock = machine.compressed(1e6)
        await joined(bench, clock)

        assert clock.now() == machine.wall


async def test_a_machine_without_a_boot_id_goes_by_its_wall_clock() -> None:
    """Where nothing tells one start of the machine from another, nothing is told."""
    async with a_bench() as bench:
        machine = Machine()
        common = await joined(bench, machine.clock(), None)
        machine.set_clock(HOUR)
        machine.pass_time(MINUTE)
        await common.tell()

        clock = machine.clock()
        await joined(bench, clock, None)

        assert clock.now() == machine.wall


def test_a_boot_has_one_id() -> None:
    """The id of this start of the machine is the same whoever asks."""
    assert boot_id() == boot_id()


async def test_a_lease_that_never_ends_is_not_made_by_a_clock_set_back() -> None:
    """With the clock set back by an hour, what a worker that died held is free after its lease."""
    async with a_bench() as bench:
        machine = Machine()
        clock = machine.clock()
        await bench.receive()
        (leased,) = await bench.another_worker(an_endpoint(), clock=clock).claim()
        assert isinstance(leased.lease, Lease)
        machine.set_clock(-HOUR)
        machine.pass_time(MINUTE)

        assert await bench.queue.release_expired(clock.now()) == 1


async def test_neither_fires_all_nor_stalls() -> None:
    """Dispatches that wait keep the schedule, within a tenth, when the clock is set by an hour."""
    for by in (HOUR, -HOUR):
        async with a_bench() as bench:
            machine = Machine()
            clock = machine.clock()
            worker = bench.another_worker(an_endpoint(), clock=clock)
            bench.sender.always(503)
            for _ in range(3):
                await bench.receive()
                await worker.tick()
            machine.set_clock(by)
            assert await worker.tick() == 0

            machine.pass_time(MINUTE * 0.9)
            assert await worker.tick() == 0
            machine.pass_time(MINUTE * 0.25)
            assert await worker.tick() == 3
