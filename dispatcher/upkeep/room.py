"""Has the database make room for the next days, at the start and each hour (partitions)."""

from __future__ import annotations

import logging
from typing import Final

from dispatcher.clocks.clock import Clock
from dispatcher.clocks.repeating import Repeating
from dispatcher.observe.base import DatabaseFiles

EVERY: Final = 3_600.0
"""Seconds between two looks; room is made for two days ahead."""

AGAIN_AFTER: Final = 60.0


class Room(Repeating):
    """Calls `keep_room`."""

    def __init__(self, files: DatabaseFiles, clock: Clock) -> None:
        super().__init__(
            self._keep,
            log=logging.getLogger("dlr.store"),
            waits="partitions of the next days wait until the database can be used",
            fails="making partitions of the next days failed and is tried again",
            again_after=AGAIN_AFTER,
        )
        self._files = files
        self._clock = clock

    async def _keep(self) -> float:
        await self._files.keep_room(self._clock.now())
        return EVERY
