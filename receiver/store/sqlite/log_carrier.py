"""Brings the write-ahead log into the file while others write.

SQLite does that within a commit, as soon as the log has 4,000 pages: that commit then takes ten
milliseconds longer, and all callbacks wait for it. So another connection brings over what there is
beforehand, and a commit that does it finds little left. Nothing depends on it: a log that nobody
has brought over is as safe, and the commit does it all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from receiver.store.base import StoreUnavailable

AFTER_CHANGES = 2_000
"""Rows that are written until it is worth while: about 700 pages of the log."""


class LogCarrier:
    """When to bring the log over. `bring` does it, and keeps nobody from writing."""

    def __init__(self, bring: Callable[[], Awaitable[object]]) -> None:
        self._bring = bring
        self._changes = 0
        self._bringing: asyncio.Task[None] | None = None
        self._stopped = 0  # how many want it to be so

    def changed(self, rows: int) -> None:
        """A transaction has changed so many rows. May be called by the thread that writes."""
        self._changes += rows

    def carry_on(self) -> None:
        """Bring the log over if that is worth while by now, and nobody does."""
        if self._changes >= AFTER_CHANGES and self._bringing is None and not self._stopped:
            self._changes = 0
            self._bringing = asyncio.create_task(self._bring_over())

    async def _bring_over(self) -> None:
        try:
            with suppress(StoreUnavailable):  # whoever writes is told
                await self._bring()
        finally:
            self._bringing = None

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """Within the block nothing is brought over: SQLite refuses a second one meanwhile."""
        await self.end()
        try:
            yield
        finally:
            self._stopped -= 1

    async def end(self) -> None:
        """Wait for what is under way, and begin nothing more."""
        self._stopped += 1
        if self._bringing is not None:
            await asyncio.wait([self._bringing])
