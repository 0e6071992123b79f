"""Whether a database can be written, without writing for whoever asks.

150 questions to /readyz once wrote 1.2 MB. Any commit of the last second is proof; otherwise one
probe serves all who ask meanwhile, and its success holds for a second. After a commit has failed
no other commit is proof, because a small one may find room where a callback did not: then it takes
a large probe to say that all is well again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from receiver.store.base import StoreUnavailable

LASTS = 1.0
"""Seconds for which a commit is proof. A failure is asked for anew: it writes nothing."""

Probe = Callable[[bool], Awaitable[None]]
"""Writes, a lot if it is told so. Raises StoreUnavailable."""


class Proof:
    """What is known of one database. `written` is called from its thread."""

    def __init__(self) -> None:
        self._written_at: float | None = None
        self._failing = False
        self._probing: asyncio.Task[None] | None = None

    def written(self) -> None:
        """A commit is on disk."""
        self._written_at = monotonic()

    def failed(self) -> None:
        """A transaction could not be written."""
        self._failing = True

    async def ask(self, probe: Probe) -> None:
        """Raises StoreUnavailable when nothing can be written."""
        now = monotonic()
        if not self._failing and self._written_at is not None and now - self._written_at < LASTS:
            return
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe(probe))
            self._probing.add_done_callback(_seen)
        await asyncio.shield(self._probing)  # others wait for it, too

    async def end(self) -> None:
        """Wait for a probe that runs."""
        if self._probing is not None:
            await asyncio.wait([self._probing])

    async def _probe(self, probe: Probe) -> None:
        try:
            await probe(self._failing)
        except StoreUnavailable:
            self._failing = True
            raise
        else:
            self._failing = False
            self.written()
        finally:
            self._probing = None


def _seen(probing: asyncio.Task[None]) -> None:
    """Mark its failure as seen, in case nobody waits for it any more."""
    if not probing.cancelled():
        probing.exception()
