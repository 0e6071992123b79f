"""Wake-ups, also when somebody sets the machine's clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from dispatcher.clocks.clock import elapsed, wall_time
from dispatcher.clocks.wakeups import Wakeups

HOUR = timedelta(hours=1)
LIMIT = 10.0  # seconds after which a test has failed


class Woken:
    """A job that tells of each of its runs."""

    def __init__(self) -> None:
        self._runs: asyncio.Queue[None] = asyncio.Queue()

    async def job(self) -> None:
        self._runs.put_nowait(None)

    @property
    def runs(self) -> int:
        return self._runs.qsize()

    async def once_more(self) -> None:
        await asyncio.wait_for(self._runs.get(), LIMIT)


class Set:
    """How far the wall clock has been set."""

    by = timedelta(0)


@pytest.fixture
async def clock() -> Set:
    return Set()


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> AsyncIOScheduler:
    """APScheduler itself, as `wakeups` has made it."""
    made = AsyncIOScheduler()

    def make(**settings: Any) -> AsyncIOScheduler:
        made.configure(**settings)
        return made

    monkeypatch.setattr("dispatcher.clocks.wakeups.AsyncIOScheduler", make)
    return made


@pytest.fixture
async def wakeups(clock: Set, scheduler: AsyncIOScheduler) -> AsyncIterator[Wakeups]:
    assert not scheduler.running
    made = Wakeups(wall=lambda: wall_time() + clock.by, elapsed=elapsed)
    made.start()
    yield made
    await made.stop()


async def test_runs_again_and_again(wakeups: Wakeups) -> None:
    """A job with an interval runs until the end."""
    woken = Woken()
    wakeups.every(timedelta(milliseconds=1), woken.job)

    for _ in range(3):
        await woken.once_more()


async def test_runs_once(wakeups: Wakeups) -> None:
    """What is to run after a while runs then, at the last time that was said."""
    woken = Woken()
    wakeups.after(HOUR, woken.job)
    wakeups.after(timedelta(milliseconds=1), woken.job)

    await woken.once_more()


@pytest.mark.parametrize("by", [HOUR, -HOUR])
async def test_a_clock_that_is_set_stops_nothing(
    wakeups: Wakeups, scheduler: AsyncIOScheduler, clock: Set, by: timedelta
) -> None:
    """When the clock is set every job runs at once, and once.

    Set back by an hour, APScheduler would next have run them after an hour and the interval.
    """
    intervals, once = Woken(), Woken()
    wakeups.every(2 * HOUR, intervals.job)
    wakeups.after(2 * HOUR, once.job)
    clock.by = by
    wakeups.watch()
    wakeups.watch()

    # APScheduler itself is asked by the real clock, on which "now" of the one set forward lies
    # an hour ahead; in service there is one clock.
    if by < timedelta(0):
        await intervals.once_more()
        await once.once_more()
        assert (intervals.runs, once.runs) == (0, 0)
    else:
        runs = {job.next_run_time - wall_time() for job in scheduler.get_jobs()}
        assert max(runs) <= HOUR


async def test_ntp_wakes_nobody(wakeups: Wakeups, scheduler: AsyncIOScheduler, clock: Set) -> None:
    """Small corrections of the clock change nothing."""
    woken = Woken()
    wakeups.every(HOUR, woken.job)
    before = [job.next_run_time for job in scheduler.get_jobs()]

    clock.by = timedelta(milliseconds=500)
    wakeups.watch()

    assert [job.next_run_time for job in scheduler.get_jobs()] == before


async def test_makes_up_for_nothing(wakeups: Wakeups, scheduler: AsyncIOScheduler) -> None:
    """After a weekend asleep a job that runs five times a second runs once, not a million times."""
    woken = Woken()
    wakeups.every(timedelta(milliseconds=200), woken.job)
    (job,) = scheduler.get_jobs()

    monday = wall_time() + timedelta(days=3)

    assert job.next_run_time < monday
    assert job.trigger.get_next_fire_time(job.next_run_time, monday) > monday


async def test_a_job_is_finished_before_the_end(
    wakeups: Wakeups, caplog: pytest.LogCaptureFixture
) -> None:
    """`dlr demo` sometimes ended with a traceback: the end broke off a look that was going on, and
    APScheduler told of it."""
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def job() -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    wakeups.after(timedelta(milliseconds=1), job)
    await asyncio.wait_for(begun.wait(), LIMIT)
    stopping = asyncio.create_task(wakeups.stop())
    await asyncio.sleep(0)
    may_end.set()
    await asyncio.wait_for(stopping, LIMIT)

    assert ended.is_set()
    assert caplog.text == ""


async def test_a_run_that_is_skipped_is_no_line_in_the_log(
    wakeups: Wakeups, caplog: pytest.LogCaptureFixture
) -> None:
    """A look that takes longer than its interval is in order: the runs that are skipped meanwhile
    are not told. `dlr demo`, on a busy machine, had APScheduler's warning in its story.
    """
    free = asyncio.Event()
    other = Woken()
    wakeups.every(timedelta(milliseconds=1), _waiting_for(free))
    wakeups.every(timedelta(milliseconds=1), other.job)

    for _ in range(5):  # by now the other job has been skipped
        await other.once_more()
    free.set()

    assert [record.getMessage() for record in caplog.records] == []


def _waiting_for(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def job() -> None:
        await event.wait()

    return job
