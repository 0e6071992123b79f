"""Retention, every minute: removes what the settings say is too old or too many.

A process removes what it makes: one that receives, reports and quarantine; one that dispatches,
ended dispatches with their attempts.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from dispatcher.clocks.clock import Clock
from dispatcher.settings.settings import RetentionSettings
from dispatcher.upkeep.base import Retention
from receiver.store.base import Pause, StoreUnavailable

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
        **await retention.count_reports(before=_before(now, kept.reports), most=kept.reports_max),
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


class Upkeep:
    """Purges once at the start and then every minute, until it is stopped."""

    def __init__(
        self,
        retention: Retention,
        kept: RetentionSettings,
        clock: Clock,
        *,
        received: bool,
        dispatched: bool,
    ) -> None:
        self._retention = retention
        self._kept = kept
        self._clock = clock
        self._received = received
        self._dispatched = dispatched
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        self._scheduler.add_job(
            self.run,
            "interval",
            seconds=EVERY.total_seconds(),
            max_instances=1,
            coalesce=True,
            next_run_time=datetime.now(UTC),
        )
        self._scheduler.start()

    async def stop(self) -> None:
        """A purge that is running ends with its batch."""
        self._stopping = True
        await self._idle.wait()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def run(self) -> None:
        if self._stopping:
            return
        self._idle.clear()
        try:
            await self._purge()
        except _Stopped:
            pass
        finally:
            self._idle.set()

    async def _breathe(self) -> None:
        if self._stopping:
            raise _Stopped
        await breathe()

    async def _purge(self) -> None:
        try:
            removed = await purge(
                self._retention,
                self._kept,
                self._clock.now(),
                received=self._received,
                dispatched=self._dispatched,
                pause=self._breathe,
            )
        except StoreUnavailable as error:
            log.error("retention waits for the store: %s", error)
            return
        facts = {table: rows for table, rows in removed.items() if rows}
        if facts:
            log.info("retention", extra={"facts": facts})
