"""What wakes the runner here: as dispatcher/clocks/wakeups.py, but on the loop's time.

APScheduler goes by the wall clock of the machine that runs the tests.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from dispatcher.clocks.wakeups import Job


class Wakeups:
    """What Runner needs."""

    def __init__(self) -> None:
        self._jobs: list[tuple[float, Job]] = []
        self._once: dict[str, asyncio.TimerHandle] = {}
        self._repeating: list[asyncio.Task[None]] = []

    def every(self, interval: timedelta, job: Job) -> None:
        self._jobs.append((interval.total_seconds(), job))

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
