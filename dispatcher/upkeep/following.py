"""Has what follows behind reports or attempts follow, a bounded piece at a time."""

from __future__ import annotations

import logging
from typing import Protocol

from dispatcher.clocks.repeating import Repeating
from receiver.store.base import TURN

log = logging.getLogger("dlr.store")

BREATH_SECONDS = 0.015
"""Between two full turns the writer belongs to the callbacks. Some 12,000 reports a second can be
followed, and 8,700 come in one by one: with 0.025 the read model fell 13,000 behind in 12 s."""

LOOK_SECONDS = 0.5
"""How often to look while something comes in."""

IDLE_SECONDS = 10.0
"""How often to look while nothing comes in, for what another process has stored."""


class Follows(Protocol):
    """What is followed: reports for searches and totals, attempts for the health of endpoints."""

    async def turn(self, most: int = TURN) -> int:
        """Follow at most `most`; returns how many there were to follow."""


class Following(Repeating):
    """Takes turns from `start` to `stop`. What is left then is followed after the next start.

    `what` waits for it, in the words of the log.
    """

    def __init__(self, follows: Follows, what: str = "searches and totals") -> None:
        super().__init__(
            self._turn,
            log=log,
            waits=f"{what} wait until the database can be used",
            fails=f"the update of {what} failed and is tried again",
            again_after=LOOK_SECONDS,
        )
        self._follows = follows
        self._idle = False
        self._fresh = False  # stored since a turn has begun

    def stored(self) -> None:
        """Something to follow was stored in this process. It ends the sleep of an idle one; a turn
        for each would be a transaction for each."""
        self._fresh = True
        if self._idle:
            self.wake()

    async def _turn(self) -> float:
        self._idle = self._fresh = False
        followed = await self._follows.turn()
        self._idle = not followed and not self._fresh
        if followed == TURN:
            return BREATH_SECONDS
        return IDLE_SECONDS if self._idle else LOOK_SECONDS
