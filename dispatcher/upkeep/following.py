"""Has the read model follow the reports, a bounded piece at a time, while the process receives."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from receiver.store.base import TURN, ReadModel, StoreUnavailable

log = logging.getLogger("dlr.store")

BREATH_SECONDS = 0.1
"""Between two full turns the writer belongs to the callbacks: 10,000 reports a second can be
followed, which is twice of what comes in one by one."""

LOOK_SECONDS = 0.5
"""How often to look for new reports after the last have been followed."""


class Following:
    """Takes turns from `start` to `stop`. What is left then is followed after the next start."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """The turn that is running is finished."""
        self._stopped.set()
        if self._task is not None:
            await self._task

    async def _follow(self) -> None:
        while not self._stopped.is_set():
            pause = BREATH_SECONDS if await self._turn() else LOOK_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), pause)

    async def _turn(self) -> bool:
        """Whether there is more to follow at once."""
        try:
            return await self._read_model.turn() == TURN
        except StoreUnavailable as error:
            log.error("searches and totals wait for the store: %s", error)
        except Exception:
            # Reports come in and go out without it; a task that has ended would not be seen.
            log.exception("searches and totals stay behind")
        return False
