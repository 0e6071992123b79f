"""Has the read model follow the reports, a bounded piece at a time, while the process receives."""

from __future__ import annotations

import logging

from dispatcher.clocks.repeating import Repeating
from receiver.store.base import TURN, ReadModel

log = logging.getLogger("dlr.store")

BREATH_SECONDS = 0.1
"""Between two full turns the writer belongs to the callbacks: 10,000 reports a second can be
followed, which is twice of what comes in one by one."""

LOOK_SECONDS = 0.5
"""How often to look for new reports while some come in."""

IDLE_SECONDS = 10.0
"""How often to look while none come in, for those that another process has stored."""


class Following(Repeating):
    """Takes turns from `start` to `stop`. What is left then is followed after the next start."""

    def __init__(self, read_model: ReadModel) -> None:
        super().__init__(
            self._turn,
            log=log,
            waits="searches and totals wait for the store",
            fails="searches and totals stay behind",
            again_after=LOOK_SECONDS,
        )
        self._read_model = read_model
        self._idle = False
        self._fresh = False  # stored since a turn has begun

    def stored(self) -> None:
        """Reports were stored in this process. They end the sleep of an idle one; a turn for each
        callback would be a transaction for each."""
        self._fresh = True
        if self._idle:
            self.wake()

    async def _turn(self) -> float:
        self._idle = self._fresh = False
        followed = await self._read_model.turn()
        self._idle = not followed and not self._fresh
        if followed == TURN:
            return BREATH_SECONDS
        return IDLE_SECONDS if self._idle else LOOK_SECONDS
