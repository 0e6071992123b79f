"""Says who keeps the database's log from being emptied.

A read transaction of somebody else (a shell that was left open, a copy tool) pins the write-ahead
log: it grows with each write, 70 KB for a report by itself, until the reader ends. Nothing can be
done about it from here, but whoever finds the disk filling has to be told whom to end.
"""

from __future__ import annotations

import logging
from typing import Final

from dispatcher.clocks.repeating import Repeating
from dispatcher.observe.base import DatabaseFiles, HeldLog

log = logging.getLogger("dlr.dispatcher")

EVERY: Final = 5.0
"""Seconds between two looks, which ask the file system and only seldom the database."""


class LogWatch(Repeating):
    """Logs that the log is held, again each time it has doubled, and that it is free again."""

    def __init__(self, files: DatabaseFiles) -> None:
        super().__init__(
            self._look,
            log=log,
            waits="the watch of the database's log waits until the database can be used",
            fails="the watch of the database's log failed and is started again",
            again_after=EVERY,
        )
        self._files = files
        self._told = 0  # the size that was told last; 0: it is not held
        self._was_held = False  # at the look before: a question of our own lasts no two looks

    async def _look(self) -> float:
        held = await self._files.held_log()
        if held is not None and not self._was_held:
            self._was_held = True
            return EVERY
        self._was_held = held is not None
        if held is None and self._told:
            log.info("the database's log is free again: it shrinks with the next writes")
            self._told = 0
        elif held is not None and held.size >= 2 * self._told:
            log.warning("%s", _words(held))
            self._told = held.size
        return EVERY


def _words(held: HeldLog) -> str:
    others = ", ".join(held.readers)
    return (
        f"the database's log (-wal) has grown to {held.size // 1024**2} MB, because a program has"
        " been reading the database for a long time: end it. Other processes that have it open:"
        f" {others or 'none seen'}"
    )
