"""Sleeping on a clock that is moved by hand: who sleeps is woken when the clock has come there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from heapq import heappop, heappush
from itertools import count


class Sleepers:
    """Those who sleep, by when they wake; who lay down first is first among equals."""

    def __init__(self, lay_down: Callable[[], None]) -> None:
        """`lay_down` is called each time that somebody does."""
        self._lay_down = lay_down
        self._heap: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._numbers = count()

    async def sleep_until(self, at: datetime) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._heap, (at, next(self._numbers), future))
        self._lay_down()
        await future

    def next_at(self) -> datetime | None:
        return self._heap[0][0] if self._heap else None

    def wake(self, now: datetime) -> int:
        """Let those go on whose time has come. Returns how many."""
        woken = 0
        while self._heap and self._heap[0][0] <= now:
            future = heappop(self._heap)[2]
            if not future.done():
                future.set_result(None)
                woken += 1
        return woken
