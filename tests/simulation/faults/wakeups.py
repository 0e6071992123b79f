"""What wakes the runner here: as dispatcher/clocks/wakeups.py, but on the loop's time.

APScheduler goes by the wall clock of the machine that runs the tests.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from dispatcher.clocks.wakeups import Job
from dispatcher.runner import LOOK_EVERY


class Wakeups:
    """What Runner needs. Looks are rarer than in production: they are most of what goes on."""

    def __init__(self, look_every: float) -> None:
        self._look_every = look_every
        self._jobs: list[tuple[float, Job]] = []
        self._once: dict[str, asyncio.TimerHandle] = {}
        self._repeating: list[asyncio.Task[None]] = []

    def every(self, interval: timedelta, job: Job) -> None:
        seconds = self._look_every if interval == LOOK_EVERY else interval.total_seconds()
        self._jobs.append((seconds, job))

    def after(self, sleep: timedelta, job: Job) -> None:
        if job.__name__ in self._once:
            self._once[job.__name__].cancel()
        loop = asyncio.get_running_loop()
        run = lambda: asyncio.ensure_future(job())  # noqa: E731
        self._once[job.__name__] = loop.call_later(sleep.total_seconds(), run)

    def start(self) -> None:
        self._repeating = [asyncio.create_task(self._repeat(*job)) for job in self._jobs]

    async def stop(self) -> None:
        self.end()

    def end(self) -> None:
        for task in self._repeating:
            task.cancel()
        for timer in self._once.values():
            timer.cancel()

    async def _repeat(self, seconds: float, job: Job) -> None:
        while True:
            await asyncio.sleep(seconds)
            await job()
