"""Sleeping on a clock that is moved by hand: who sleeps is woken when the clock has come there."""

from __future__ import annotations

import asyncio
from datetime import datetime
from heapq import heappop, heappush
from itertools import count


class Sleepers:
    """Those who sleep, by when they wake; who lay down first is first among equals."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    async def sleep_until(self, at: datetime) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._heap, (at, next(self._numbers), future))
        await future

    def next_at(self) -> datetime | None:
        return self._heap[0][0] if self._heap else None

    def wake(self, now: datetime) -> None:
        """Let those go on whose time has come."""
        while self._heap and self._heap[0][0] <= now:
            future = heappop(self._heap)[2]
            if not future.done():
                future.set_result(None)
