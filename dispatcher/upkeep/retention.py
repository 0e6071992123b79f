"""Retention, every minute: removes what the settings say is too old or too many.

A process removes what it makes: one that receives, reports and quarantine; one that dispatches,
ended dispatches with their attempts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic

from msgspec import structs

from dispatcher.clocks.clock import Clock, SystemClock, elapsed
from dispatcher.clocks.repeating import Repeating
from dispatcher.endpoints.base import Readers
from dispatcher.endpoints.registry import Registry
from dispatcher.settings.settings import RetentionSettings
from dispatcher.upkeep.base import Retention
from receiver.store.base import Pause, StoreUnavailable

log = logging.getLogger("dlr.retention")

EVERY = timedelta(minutes=1)
"""Little and often: a minute's worth is removed while it is a minute's worth."""

BREATH_SECONDS = 0.01
"""Between two batches the writer belongs to the callbacks. What is left is 10,000 rows a second,
twice the most that comes in."""

REST = 10
"""How much longer than a purge the time after it lasts, when it met reports that stay for somebody:
these are looked at again each time, and a million of them take seconds."""

DOUBTED = timedelta(days=1)
"""When the clock is so much further than what was stored or purged last, it may be wrong; what is
removed by a wrong clock is lost."""

DOUBT_LASTS = timedelta(hours=1)
"""Then it is believed: a clock that nobody has corrected for so long, and a store that was idle."""

IN_FORCE = 3 * EVERY
"""How long others take it that this process works for its endpoints, since it last said so."""


async def breathe() -> None:
    await asyncio.sleep(BREATH_SECONDS)


async def readers_of(endpoints: Registry, *, dispatches: bool) -> Readers:
    """Who reads the store. A process that pushes nothing and has no endpoints in its settings
    cannot know which of them are gone: those of `dlr dispatch` may be in another file."""
    readers = await endpoints.readers()
    return (
        readers if dispatches or endpoints.has_file else structs.replace(readers, gone=frozenset())
    )


async def purge(
    retention: Retention,
    kept: RetentionSettings,
    now: datetime,
    *,
    received: bool = True,
    dispatched: bool = True,
    pause: Pause = breathe,
    held: Counter[str] | None = None,
) -> dict[str, int]:
    """Remove what `kept` does not keep. Returns the rows of each table; `held` is told how many
    reports stay for whom though they are to go.

    Dispatches go first: what they carried is not needed any more then.
    """
    removed: dict[str, int] = {}
    if dispatched:
        removed |= await retention.purge_dispatches(
            before=_before(now, kept.attempts), most=kept.attempts_max, pause=pause
        )
    if received:
        removed |= await retention.purge_reports(
            now=now,
            before=_before(now, kept.reports),
            most=kept.reports_max,
            pause=pause,
            held=held,
        )
        removed |= await retention.purge_quarantine(
            before=_before(now, kept.quarantine), most=kept.quarantine_max, pause=pause
        )
    return removed


async def count(
    retention: Retention,
    kept: RetentionSettings,
    now: datetime,
    held: Counter[str] | None = None,
) -> dict[str, int]:
    """What `purge` would remove."""
    return {
        **await retention.count_dispatches(
            before=_before(now, kept.attempts), most=kept.attempts_max
        ),
        **await retention.count_reports(
            now=now, before=_before(now, kept.reports), most=kept.reports_max, held=held
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
        endpoints: Registry,
        *,
        received: bool,
        dispatched: bool,
        tell: Callable[[Mapping[str, int]], None] = lambda _: None,
    ) -> None:
        """`tell` hears after each purge of reports how many stay for whom."""
        super().__init__(
            self._purge,
            log=log,
            waits="retention waits until the database can be used",
            fails="retention failed and is tried again",
            again_after=EVERY.total_seconds(),
        )
        self._retention = retention
        self._kept = kept
        self._clock = clock
        self._endpoints = endpoints
        self._received = received
        self._dispatched = dispatched
        self._tell = tell
        self._seen: datetime | None = None  # when was purged last, or what was stored last
        self._doubted_since: timedelta | None = None
        self._gone = frozenset[str]()

    async def stop(self) -> None:
        await super().stop()
        if self._dispatched:
            with suppress(StoreUnavailable):
                await self._endpoints.work(timedelta())

    async def _purge(self) -> float:
        if self._dispatched:
            await self._endpoints.work(IN_FORCE)
        now = self._clock.now()
        if isinstance(self._clock, SystemClock) and await self._doubts(now):
            return EVERY.total_seconds()
        readers = await readers_of(self._endpoints, dispatches=self._dispatched)
        self._say_who_is_gone(readers.gone)
        held = Counter[str]()
        started = monotonic()
        with suppress(_Stopped):
            removed = await purge(
                self._retention.reading(readers),
                self._kept,
                now,
                received=self._received,
                dispatched=self._dispatched,
                pause=self._breathe,
                held=held,
            )
            if self._received:
                self._tell(held)
            facts = {table: rows for table, rows in removed.items() if rows}
            if facts:
                log.info("retention", extra={"facts": facts})
        took = monotonic() - started
        return max(EVERY.total_seconds(), took * REST if held else 0)

    def _say_who_is_gone(self, gone: frozenset[str]) -> None:
        if self._dispatched:
            for name in sorted(gone - self._gone):
                log.warning("endpoint %s is no longer in the settings: see `dlr endpoints`", name)
        self._gone = gone

    async def _doubts(self, now: datetime) -> bool:
        """Whether the clock may be wrong: it has gone far without us."""
        seen = self._seen or await self._retention.last_stored_at()
        if seen is None or now - seen <= DOUBTED:
            self._doubted_since = None
        elif self._doubted_since is None:
            self._doubted_since = elapsed()
            log.warning(
                "nothing is removed for an hour: the clock is %s after the newest report."
                " Check the clock",
                now - seen,
            )
            return True
        elif elapsed() - self._doubted_since < DOUBT_LASTS:
            return True
        self._seen = now
        return False

    async def _breathe(self) -> None:
        if self.stopping:
            raise _Stopped
        await breathe()
