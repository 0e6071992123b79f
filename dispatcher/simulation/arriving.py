"""The reports of a simulation in its store: they are there before they come, and seen after.

Many callbacks that come one after another are stored in one go, which takes a third of the time.
The worker sees a report when its instant has come.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby, islice

from dispatcher.simulation.scenario import START
from receiver.store.base import StoredReport
from receiver.store.callback import Callback
from receiver.store.sqlite.store import SqliteStore

AHEAD = 256
"""The most callbacks that are stored in one go."""


class Arriving:
    """Implements Outbox, of the reports that have arrived."""

    def __init__(self, store: SqliteStore, callbacks: Iterator[Callback]) -> None:
        self._store = store
        # Repeats are told by the day: two days stored in one go would be taken for one.
        days = groupby(callbacks, key=lambda each: (each.received_at - START).days)
        self._callbacks = (each for _, day in days for each in _pieces(day))
        self._coming: deque[tuple[datetime, int]] = deque()  # when so many reports come
        self._arrived = 0  # reports; their ids count from 1

    async def next_at(self) -> datetime | None:
        """When the next callback comes; None: none does."""
        if not self._coming and (piece := next(self._callbacks, None)) is not None:
            counts = await self._store.add(piece)
            self._coming.extend(
                (callback.received_at, of.stored)
                for callback, of in zip(piece, counts, strict=True)
            )
        return self._coming[0][0] if self._coming else None

    async def arrive(self, now: datetime) -> int | None:
        """What has come by now is seen from now on. Returns how many reports; None: no callback."""
        reports = None
        while (at := await self.next_at()) is not None and at <= now:
            reports = (reports or 0) + self._coming.popleft()[1]
        self._arrived += reports or 0
        return reports

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]:
        limit = min(limit, self._arrived - report_id)
        return await self._store.reports_after(report_id, limit) if limit > 0 else []

    async def reports_by_id(self, report_ids: Sequence[int]) -> list[StoredReport]:
        return await self._store.reports_by_id(report_ids)

    def forget_the_rest(self, connection: sqlite3.Connection) -> None:
        """Take away what has not come, as a part of a transaction."""
        connection.execute("DELETE FROM report WHERE id > ?", (self._arrived,))


def _pieces(callbacks: Iterator[Callback]) -> Iterator[list[Callback]]:
    while piece := list(islice(callbacks, AHEAD)):
        yield piece
