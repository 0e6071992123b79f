"""What every store of the time that processes share does (dispatcher/clocks/base.py)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.clocks.base import Reading, SharedTime
from dispatcher.clocks.common_time import CommonTime
from tests.contracts.report_store import NOON
from tests.contracts.storages import StorageBackend, a_bench_on, unbroken
from tests.dispatcher.clocks.test_clock import MONTH, Machine
from tests.dispatcher.support import START

SECOND = timedelta(seconds=1)

FIRST = Reading(timedelta(hours=7, microseconds=1), NOON)
LATER = Reading(timedelta(hours=8), NOON + timedelta(hours=1, microseconds=999_999))


class Choice:
    """Takes what it is told, or `reading`; with `anew` always `reading`."""

    def __init__(self, reading: Reading, *, anew: bool = False) -> None:
        self._reading = reading
        self._anew = anew
        self.told: list[Reading | None] = []

    def __call__(self, told: Reading | None) -> Reading:
        self.told.append(told)
        return self._reading if told is None or self._anew else told


async def kept(time: SharedTime, boot: str = "monday", speed: float = 1.0) -> Reading | None:
    """What is kept for this boot and speed; it stays so, unless there is nothing."""
    choice = Choice(LATER)
    await time.agree(boot, speed, choice)
    return choice.told[-1]


class SharedTimeContract:
    several_machines = False
    """Whether processes of several machines may be on the database: then each start of a machine
    has a reading of its own."""

    @pytest.fixture
    def time(self, backend: StorageBackend) -> SharedTime:
        return backend.storage.time

    async def test_the_first_tells_the_others(self, backend: StorageBackend) -> None:
        """Who is first is told nothing, and everyone after is told what it said."""
        first = Choice(FIRST)
        assert await backend.storage.time.agree("monday", 1.0, first) == FIRST
        assert first.told == [None]

        second = Choice(LATER)
        assert await (await backend.another()).time.agree("monday", 1.0, second) == FIRST
        assert second.told == [FIRST]

    async def test_what_is_told_anew_replaces_it(self, time: SharedTime) -> None:
        """There is one time, and it is the latest that was told."""
        await time.agree("monday", 1.0, Choice(FIRST))
        assert await time.agree("monday", 1.0, Choice(LATER, anew=True)) == LATER
        assert await kept(time) == LATER

    @pytest.mark.parametrize(("boot", "speed"), [("tuesday", 1.0), ("monday", 600.0)])
    async def test_another_boot_or_speed_begins_anew(
        self, time: SharedTime, boot: str, speed: float
    ) -> None:
        """It is told nothing. What it says is all that is kept then, unless another machine may go
        on beside it."""
        await time.agree("monday", 1.0, Choice(FIRST))

        assert await kept(time, boot, speed) is None
        stays = self.several_machines and boot != "monday"
        assert await kept(time, "monday", 1.0) == (FIRST if stays else None)

    @pytest.mark.parametrize("speed", [0.1, 1 / 3, 1.0, 600.0, 1e6])
    @pytest.mark.parametrize(
        "reading",
        [
            Reading(timedelta(0), datetime(1970, 1, 1, tzinfo=UTC)),
            Reading(timedelta(microseconds=1), datetime(1969, 7, 20, tzinfo=UTC)),
            Reading(timedelta(days=4_000, microseconds=7), datetime(9998, 1, 1, 1, tzinfo=UTC)),
        ],
    )
    async def test_nothing_is_rounded(
        self, time: SharedTime, reading: Reading, speed: float
    ) -> None:
        """Neither the instant nor the time since the start nor the speed, however odd."""
        await time.agree("monday", speed, Choice(reading))

        assert await kept(time, speed=speed) == reading

    async def test_of_two_at_once_one_is_first(self, backend: StorageBackend) -> None:
        """All go by what the first has said, whichever that is."""
        times = (backend.storage.time, (await backend.another()).time)
        choices = [Choice(reading) for reading in (FIRST, LATER) * 5]
        each = zip(times * 5, choices, strict=True)
        agreed = await asyncio.gather(*(time.agree("monday", 1.0, choice) for time, choice in each))

        assert len(set(agreed)) == 1
        assert sum(choice.told == [None] for choice in choices) == 1

    async def test_who_refuses_changes_nothing(self, time: SharedTime) -> None:
        """What the choice raises is raised, and the time is as it was."""
        await time.agree("monday", 1.0, Choice(FIRST))

        def refuse(_: Reading | None) -> Reading:
            raise LookupError

        for boot in ("monday", "tuesday"):
            with pytest.raises(LookupError):
                await time.agree(boot, 1.0, refuse)
        assert await kept(time) == FIRST

    async def test_the_store_goes_away(self, backend: StorageBackend) -> None:
        """Wherever it goes, the time that was told before is there."""
        time = backend.storage.time
        await time.agree("monday", 1.0, Choice(FIRST))
        await unbroken(
            backend,
            lambda: time.agree("monday", 1.0, Choice(LATER, anew=True)),
            lambda: kept(time),
        )

        assert await kept(time) == LATER

    async def test_two_compressed_clocks_agree(self, backend: StorageBackend) -> None:
        """Two processes on one database, the second started later, are at the same instant."""
        machine = Machine()
        first = machine.compressed(600)
        await CommonTime(backend.storage.time, first, "monday").join()
        machine.pass_time(timedelta(minutes=1))

        second = machine.compressed(600)
        await CommonTime((await backend.another()).time, second, "monday").join()

        assert second.now() == first.now()

    # --- a clock that is set by days -----------------------------------------------------------

    @pytest.mark.parametrize("by", [MONTH, -MONTH])
    async def test_plans_of_this_start_go_along(
        self, backend: StorageBackend, by: timedelta
    ) -> None:
        """What waits, what is leased and when it is due; but not what was planned before."""
        storage = backend.storage
        bench = await a_bench_on(backend)
        bench.sender.always(503)
        await bench.receive()
        await bench.work()
        await storage.time.agree("monday", 1.0, Choice(FIRST))
        await bench.receive()
        await bench.work()
        await bench.receive()
        (leased,) = await bench.worker.claim()
        before = {each.id: each.due_at for each in await bench.dispatches()}
        stepped = Reading(FIRST.elapsed, START + by)

        assert await storage.time.step("monday", stepped, by) == stepped

        assert await kept(storage.time) == stepped
        after = {each.id: each.due_at for each in await bench.dispatches()}
        moved = {name: after[name] - at for name, at in before.items() if at and after[name]}  # type: ignore[operator]
        assert moved == {"db-1": timedelta(), "db-2": by, "db-3": by}
        assert await storage.queue.release_expired(leased.lease.until + by - SECOND) == 0
        assert await storage.queue.release_expired(leased.lease.until + by) == 1

    async def test_one_of_several_moves_them(self, backend: StorageBackend) -> None:
        """Who comes second finds the step made."""
        bench = await a_bench_on(backend)
        times = (backend.storage.time, (await backend.another()).time)
        await times[0].agree("monday", 1.0, Choice(FIRST))
        bench.sender.always(503)
        await bench.receive()
        await bench.work()
        (before,) = await bench.dispatches()
        assert before.due_at is not None
        one = Reading(FIRST.elapsed, NOON + MONTH)
        other = Reading(FIRST.elapsed + SECOND, NOON + MONTH + 2 * SECOND)

        steps = [
            await time.step("monday", at, MONTH)
            for time, at in zip(times, (one, other), strict=True)
        ]

        assert steps == [one, one]
        (after,) = await bench.dispatches()
        assert after.due_at == before.due_at + MONTH

    @pytest.mark.parametrize("by", [MONTH, -MONTH])
    async def test_what_the_slower_one_plans_in_between_goes_along(
        self, backend: StorageBackend, by: timedelta
    ) -> None:
        """Two processes step within a second of each other. What the slower one tried, formed or
        leased in it, by the old time, was due a month late. It goes along with the slower one's
        step, once, however many follow and however often one asks again; what was planned by the
        new time stays."""
        bench = await a_bench_on(backend)
        others = [await backend.another() for _ in range(2)]
        time = backend.storage.time
        await time.agree("monday", 1.0, Choice(FIRST))
        stepped = Reading(FIRST.elapsed, START + by)
        bench.sender.always(503)
        await time.step("monday", stepped, by)
        await bench.receive()
        await bench.work()
        await bench.receive()
        (leased,) = await bench.worker.claim()
        before = {each.id: each.due_at for each in await bench.dispatches()}

        for _ in range(2):
            for each in (*(other.time for other in others), time):
                assert await each.step("monday", stepped, by, again=each is time) == stepped

        after = {each.id: each.due_at for each in await bench.dispatches()}
        assert after == {name: at + by for name, at in before.items() if at}
        assert await backend.storage.queue.release_expired(leased.lease.until + by - SECOND) == 0
        assert await backend.storage.queue.release_expired(leased.lease.until + by) == 1

    @pytest.mark.parametrize("by", [MONTH, -MONTH])
    async def test_what_is_planned_by_the_new_time_before_the_step_is_kept_stays(
        self, backend: StorageBackend, by: timedelta
    ) -> None:
        """The store could not be used when the clock stepped, and could the moment after: what a
        worker planned then is not moved by the step that is made good."""
        bench = await a_bench_on(backend)
        old, new = (Reading(FIRST.elapsed, at) for at in (START - by, START))
        await backend.storage.time.agree("monday", 1.0, Choice(old))
        bench.sender.always(503)
        await bench.receive()
        await bench.work()
        (before,) = await bench.dispatches()

        assert await backend.storage.time.step("monday", new, by) == new

        (after,) = await bench.dispatches()
        assert after.due_at == before.due_at

    async def test_a_step_is_whole_or_not_at_all(self, backend: StorageBackend) -> None:
        """Wherever the store goes away."""
        bench = await a_bench_on(backend)
        await backend.storage.time.agree("monday", 1.0, Choice(FIRST))
        bench.sender.always(503)
        await bench.receive()
        await bench.work()
        stepped = Reading(FIRST.elapsed, START + MONTH)

        async def state() -> object:
            return await kept(backend.storage.time), await bench.dispatches()

        await unbroken(backend, lambda: backend.storage.time.step("monday", stepped, MONTH), state)

        assert await kept(backend.storage.time) == stepped
