"""Wakes the runner with APScheduler, also when somebody sets the machine's clock.

APScheduler goes by the wall clock. Set back by an hour, it would not run a job for an hour; set
forward, it would make up for 18,000 looks that it believes to have missed. So intervals count from
the last run, and when the wall clock has moved against the time that really passed, every job runs
at once: all they do is look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from dispatcher.clocks.clock import elapsed, wall_time

WATCH_SECONDS = 1.0
"""How often the wall clock is compared with the time that passed."""

JUMP = timedelta(seconds=1)
"""A move of the wall clock that is more than a correction by NTP in one second."""

Job = Callable[[], Awaitable[None]]


class _Every(BaseTrigger):  # type: ignore[misc]
    def __init__(self, interval: timedelta) -> None:
        self._interval = interval

    def get_next_fire_time(self, _: datetime | None, now: datetime) -> datetime:
        return now + self._interval


class Wakeups:
    """A handful of jobs from `start` to `stop`."""

    def __init__(
        self,
        wall: Callable[[], datetime] = wall_time,
        elapsed: Callable[[], timedelta] = elapsed,
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed
        # It logs each run of a job, and warns of each that is skipped because the one before still
        # runs. Both are in order here: a job only looks, and the look that runs sees it all.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "max_instances": 1, "coalesce": True},
        )
        self._started_at = wall() - elapsed()
        self._watching: asyncio.TimerHandle | None = None
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        self._scheduler.start()
        self._watch_later()

    async def stop(self) -> None:
        """What runs is finished: APScheduler would break it off, and print where."""
        if self._watching is not None:
            self._watching.cancel()
        if self._scheduler.running:
            self._scheduler.pause()
            await asyncio.sleep(0)  # what it has just begun counts as running only after a turn
            await self._idle.wait()
            self._scheduler.shutdown(wait=False)

    def every(self, interval: timedelta, job: Job) -> None:
        self._scheduler.add_job(self._counted(job), _Every(interval))

    def after(self, sleep: timedelta, job: Job) -> None:
        """Run `job` once; a time that it was given before is forgotten."""
        at = self._wall() + sleep
        self._scheduler.add_job(
            self._counted(job), "date", run_date=at, id=job.__name__, replace_existing=True
        )

    def watch(self) -> None:
        """If the wall clock was set since the last time, run every job now."""
        started_at = self._wall() - self._elapsed()
        if abs(started_at - self._started_at) > JUMP:
            for job in self._scheduler.get_jobs():
                job.modify(next_run_time=self._wall())
        self._started_at = started_at

    def _counted(self, job: Job) -> Job:
        async def run() -> None:
            self._running += 1
            self._idle.clear()
            try:
                await job()
            finally:
                self._running -= 1
                if not self._running:
                    self._idle.set()

        return run

    def _watch_later(self) -> None:
        def look() -> None:
            self.watch()
            self._watch_later()

        self._watching = asyncio.get_running_loop().call_later(WATCH_SECONDS, look)
