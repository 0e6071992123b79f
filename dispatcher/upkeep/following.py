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
"""How often to look for new reports after the last have been followed."""


def following(read_model: ReadModel) -> Repeating:
    """Takes turns from `start` to `stop`. What is left then is followed after the next start."""

    async def turn() -> float:
        return BREATH_SECONDS if await read_model.turn() == TURN else LOOK_SECONDS

    return Repeating(
        turn,
        log=log,
        waits="searches and totals wait for the store",
        fails="searches and totals stay behind",
        again_after=LOOK_SECONDS,
    )
