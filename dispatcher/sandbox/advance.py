"""Moves the sandbox's clock: all that is due on the way happens, in order and at its instant.

The clock stands still at each instant until nothing is left to do there: no step of a message, no
dispatch that could be pushed, no attempt under way. Only then it goes on to the next one. So a
retry is made at the very instant that the schedule says, however slow the customer's server is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from dispatcher.sandbox.sandbox import Sandbox

STUCK = timedelta(seconds=1)
"""How far to go on from an instant at which something is due that cannot be done."""


class Pushing(Protocol):
    """The dispatcher's loop as this sees it."""

    async def settle(self) -> None:
        """Return when nothing is under way, and nothing can be taken at this instant."""

    async def next_at(self) -> datetime | None: ...

    def clock_moved(self) -> None: ...


class Advanced(Struct, frozen=True):
    """Where the clock is, and what has happened on the way."""

    now: datetime
    steps: int
    reports: int
    attempts: int


class Advance:
    """One move at a time; a second one waits for the first."""

    def __init__(self, sandbox: Sandbox, pushing: Pushing) -> None:
        self._sandbox = sandbox
        self._clock = sandbox.clock
        self._pushing = pushing
        self._one = asyncio.Lock()

    async def by(self, time: timedelta) -> Advanced:
        """Move the clock and return when all is settled. Raises StoreUnavailable."""
        async with self._held():
            return await self._to(self._clock.now() + time)

    async def to_next(self) -> Advanced:
        """Move it to the instant at which something is due next; if nothing is, only settle.
        Raises StoreUnavailable."""
        async with self._held():
            await self._settle()
            return await self._to(await self.next_at() or self._clock.now())

    async def next_at(self) -> datetime | None:
        """When something is due next, a step of a message or a push; what is overdue: soon. Raises
        StoreUnavailable."""
        instants = [await self._sandbox.next_at(), await self._pushing.next_at()]
        due_at = min((at for at in instants if at is not None), default=None)
        if due_at is not None and due_at <= self._clock.now():
            return self._clock.now() + STUCK
        return due_at

    async def settled(self) -> None:
        """Return when all that is due now is done."""
        await self.by(timedelta(0))

    async def _to(self, end: datetime) -> Advanced:
        before = await self._sandbox.store.counters()
        steps = await self._settle()
        while (due_at := await self.next_at()) is not None and due_at <= end:
            await self._move(due_at)
            steps += await self._settle()
        await self._move(end)
        after = await self._sandbox.store.counters()
        reports, attempts = after.reports - before.reports, after.attempts - before.attempts
        return Advanced(self._clock.now(), steps, reports, attempts)

    async def _settle(self) -> int:
        taken = await self._sandbox.step_all()
        await self._pushing.settle()
        return taken.steps

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[None]:
        """The clock stands still and is nobody else's; after it, it goes on."""
        async with self._one:
            self._clock.hold()
            try:
                yield
            finally:
                self._clock.go_on()
                self._moved()

    async def _move(self, instant: datetime) -> None:
        self._clock.move_to(instant)
        await self._sandbox.store.move_clock(self._clock.ahead, self._clock.now())
        self._moved()

    def _moved(self) -> None:
        self._pushing.clock_moved()
        self._sandbox.wake()
