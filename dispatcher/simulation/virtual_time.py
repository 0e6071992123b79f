"""Coroutines on a clock that is moved by hand. They await nothing but sleep, so that no event loop
is needed: each runs until it sleeps or ends, and goes on when the clock has come there.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from datetime import datetime
from heapq import heappop, heappush
from itertools import count


class Sleep:
    """Await it to sleep until then."""

    def __init__(self, until: datetime) -> None:
        self._until = until

    def __await__(self) -> Generator[datetime, None, None]:
        yield self._until


Sleeper = Coroutine[object, None, None]


class Sleepers:
    """The sleeping coroutines, by when they wake. Of those that wake together, the one that began
    to sleep first goes first."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Sleeper]] = []
        self._numbers = count()

    def run(self, sleeper: Sleeper) -> None:
        """Let it run until it sleeps or ends. Raises what it raises, and TypeError if it awaits
        anything but a Sleep."""
        try:
            until = sleeper.send(None)
        except StopIteration:
            return
        if not isinstance(until, datetime):
            raise TypeError(f"only a Sleep can be awaited on this clock, not {until!r}")
        heappush(self._heap, (until, next(self._numbers), sleeper))

    def next_at(self) -> datetime | None:
        return self._heap[0][0] if self._heap else None

    def wake(self, now: datetime) -> None:
        """Let those go on whose time has come."""
        while self._heap and self._heap[0][0] <= now:
            self.run(heappop(self._heap)[2])

    def close(self) -> None:
        """End those who sleep where they are."""
        for _, _, sleeper in self._heap:
            sleeper.close()
        self._heap.clear()
