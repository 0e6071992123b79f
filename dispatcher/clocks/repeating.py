"""The loop of whatever looks again and again beside the requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from receiver.callbacks.events import Sparing
from receiver.store.base import StoreUnavailable

Look = Callable[[], Awaitable[float | None]]
"""Does what there is to do. Returns how many seconds of the world to wait before the next look: 0
for none, None until `wake`."""


class Repeating:
    """Looks, waits and looks again, from `start` to `stop`. A look that fails does not end it.

    `waits` is logged with the error, once a minute, when the store (or what else is `expected` to
    fail now and then) cannot be used, `fails` with the traceback of a defect. The next look comes
    after `again_after` seconds then. `breaks_off`: `stop` does not wait for the end of a look.
    """

    def __init__(
        self,
        look: Look,
        *,
        log: logging.Logger,
        waits: str,
        fails: str,
        again_after: float,
        expected: tuple[type[Exception], ...] = (StoreUnavailable,),
        breaks_off: bool = False,
    ) -> None:
        self.stopping = False
        self._look = look
        self._logger = log
        self._waits = waits
        self._fails = fails
        self._again_after = again_after
        self._expected = expected
        self._breaks_off = breaks_off
        self._sparing = Sparing(most=1)
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._repeat())

    async def stop(self) -> None:
        """Look no more. A look that is going on is finished, unless it `breaks_off`."""
        self.stopping = True
        self.wake()
        if self._task is not None:
            if self._breaks_off:
                self._task.cancel()
            await asyncio.wait([self._task])

    def wake(self) -> None:
        """Look at once; after the look that is going on, if there is one."""
        self._woken.set()

    @property
    def woken(self) -> bool:
        """Whether the next look comes at once, since `wake` was called after the last had begun."""
        return self._woken.is_set()

    @property
    def alive(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def died(self) -> bool:
        """Whether it has ended though nobody stopped it: a defect to be seen."""
        return self._task is not None and self._task.done() and not self.stopping

    async def once(self) -> float | None:
        """One look. What goes wrong is logged. Returns how long to wait for the next."""
        try:
            return await self._look()
        except self._expected as error:
            if self._sparing.admit(self._waits) is not None:
                self._logger.error("%s: %s", self._waits, error)
        except Exception:
            # A loop that dies of a defect would do nothing any more, unseen.
            self._logger.exception(self._fails)
        return self._again_after

    async def _repeat(self) -> None:
        while not self.stopping:
            self._woken.clear()
            seconds = await self.once()
            if seconds != 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._woken.wait()
