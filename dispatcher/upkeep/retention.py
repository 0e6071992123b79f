"""Retention, every minute: removes what the settings say is too old or too many.

A process removes what it makes: one that receives, reports and quarantine; one that dispatches,
ended dispatches with their attempts.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import datetime, timedelta

from dispatcher.clocks.clock import Clock
from dispatcher.clocks.repeating import Repeating
from dispatcher.settings.settings import RetentionSettings
from dispatcher.upkeep.base import Retention
from receiver.store.base import Pause

log = logging.getLogger("dlr.retention")

EVERY = timedelta(minutes=1)
"""Little and often: a minute's worth is removed while it is a minute's worth."""

BREATH_SECONDS = 0.01
"""Between two batches the writer belongs to the callbacks. What is left is 10,000 rows a second,
twice the most that comes in."""


async def breathe() -> None:
    await asyncio.sleep(BREATH_SECONDS)


async def purge(
    retention: Retention,
    kept: RetentionSettings,
    now: datetime,
    *,
    received: bool = True,
    dispatched: bool = True,
    pause: Pause = breathe,
) -> dict[str, int]:
    """Remove what `kept` does not keep. Returns the rows of each table.

    Dispatches go first: what they carried is not needed any more then.
    """
    removed: dict[str, int] = {}
    if dispatched:
        removed |= await retention.purge_dispatches(
            before=_before(now, kept.attempts), most=kept.attempts_max, pause=pause
        )
    if received:
        removed |= await retention.purge_reports(
            now=now, before=_before(now, kept.reports), most=kept.reports_max, pause=pause
        )
        removed |= await retention.purge_quarantine(
            before=_before(now, kept.quarantine), most=kept.quarantine_max, pause=pause
        )
    return removed


async def count(retention: Retention, kept: RetentionSettings, now: datetime) -> dict[str, int]:
    """What `purge` would remove."""
    return {
        **await retention.count_dispatches(
            before=_before(now, kept.attempts), most=kept.attempts_max
        ),
        **await retention.count_reports(
            now=now, before=_before(now, kept.reports), most=kept.reports_max
        ),
        **await retention.count_quarantine(
            before=_before(now, kept.quarantine), most=kept.quarantine_max
        ),
    }


def _before(now: datetime, age: timedelta) -> datetime | None:
    """None when all ages are kept: what is older than the calendar is nothing."""
    if not age:
        return None
    try:
        return now - age
    except OverflowError:
        return None


class _Stopped(Exception):
    """The process stops: what has not been removed yet is removed after the next start."""


class Upkeep(Repeating):
    """Purges once at the start and then every minute, until it is stopped. A purge that is running
    then ends with its batch."""

    def __init__(
        self,
        retention: Retention,
        kept: RetentionSettings,
        clock: Clock,
        *,
        received: bool,
        dispatched: bool,
    ) -> None:
        super().__init__(
            self._purge,
            log=log,
            waits="retention waits for the store",
            fails="retention failed; it goes on",
            again_after=EVERY.total_seconds(),
        )
        self._retention = retention
        self._kept = kept
        self._clock = clock
        self._received = received
        self._dispatched = dispatched

    async def _purge(self) -> float:
        with suppress(_Stopped):
            removed = await purge(
                self._retention,
                self._kept,
                self._clock.now(),
                received=self._received,
                dispatched=self._dispatched,
                pause=self._breathe,
            )
            facts = {table: rows for table, rows in removed.items() if rows}
            if facts:
                log.info("retention", extra={"facts": facts})
        return EVERY.total_seconds()

    async def _breathe(self) -> None:
        if self.stopping:
            raise _Stopped
        await breathe()
