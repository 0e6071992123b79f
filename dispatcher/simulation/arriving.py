"""The reports of a simulation in its store: they are there before they come, and seen after.

Many callbacks that come one after another are stored in one go, which takes a third of the time.
The worker sees a report when its instant has come, and mostly gets it without its being read back.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby, islice

from dispatcher.simulation.scenario import START
from receiver.store.base import StoredReport
from receiver.store.callback import Callback, Entry
from receiver.store.sqlite.store import SqliteStore

AHEAD = 256
"""The most callbacks that are stored in one go, and reports that are read."""

MOST_AT_HAND = 4 * AHEAD
"""The most reports that are kept in memory to be read."""


class Arriving:
    """Implements Outbox, of the reports that have arrived. Make it with `begin`."""

    def __init__(self, store: SqliteStore, callbacks: Iterator[Callback]) -> None:
        self._store = store
        # Repeats are told by the day: two days stored in one go would be taken for one.
        days = groupby(callbacks, key=lambda each: (each.received_at - START).days)
        self._pieces = (each for _, day in days for each in _pieces(day))
        self._coming: deque[tuple[datetime, int]] = deque()  # when so many reports come
        self._stored = self._arrived = 0  # reports; their ids count from 1
        self._asked = 0  # those after this report were asked for last
        self._page_after = 0  # the report after which the page begins
        self._page: list[StoredReport] = []

    @classmethod
    async def begin(cls, store: SqliteStore, callbacks: Iterator[Callback]) -> Arriving:
        arriving = cls(store, callbacks)
        await arriving._store_some()
        return arriving

    def next_at(self) -> datetime | None:
        """When the next callback comes; None: none does."""
        return self._coming[0][0] if self._coming else None

    def comes_by(self, now: datetime) -> bool:
        """Whether a callback has come that is not seen yet."""
        return bool(self._coming) and self._coming[0][0] <= now

    async def arrive(self, now: datetime) -> int:
        """What has come by now is seen from now on. Returns how many reports."""
        reports = 0
        while self._coming and self._coming[0][0] <= now:
            reports += self._coming.popleft()[1]
            if not self._coming:
                await self._store_some()
        self._arrived += reports
        return reports

    async def _store_some(self) -> None:
        piece = next(self._pieces, [])
        counts = await self._store.add(piece)
        coming = (
            (callback.received_at, of.stored) for callback, of in zip(piece, counts, strict=True)
        )
        self._coming.extend(coming)
        self._hand_over(piece, sum(of.stored for of in counts))

    def _hand_over(self, piece: Sequence[Callback], stored: int) -> None:
        """Put what was just stored on the page, as it would be read, unless it has repeats or what
        is on the page is far from read."""
        entries = [(callback, entry) for callback in piece for entry in callback.verdict.entries]
        rest = self._page[max(0, self._asked - self._page_after) :]
        follows = self._page_after + len(self._page) == self._stored
        if stored == len(entries) and follows and len(rest) + stored <= MOST_AT_HAND:
            numbers = range(self._stored + 1, self._stored + 1 + stored)
            fresh = [_stored(n, *each) for n, each in zip(numbers, entries, strict=True)]
            self._page, self._page_after = rest + fresh, self._stored - len(rest)
        self._stored += stored

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]:
        most = min(limit, self._arrived - report_id)
        if most <= 0:
            return []
        self._asked = report_id
        first = report_id - self._page_after
        if first < 0 or first + most > len(self._page):
            self._page = await self._store.reports_after(report_id, max(most, AHEAD))
            self._page_after, first = report_id, 0
        return self._page[first : first + most]

    async def reports_by_id(self, report_ids: Sequence[int]) -> list[StoredReport]:
        return await self._store.reports_by_id(report_ids)

    def forget_the_rest(self, connection: sqlite3.Connection) -> None:
        """Take away what has not come, as a part of a transaction."""
        connection.execute("DELETE FROM report WHERE id > ?", (self._arrived,))


def _stored(number: int, callback: Callback, entry: Entry) -> StoredReport:
    """A report that is no repeat, as it is read from the store."""
    return StoredReport(
        id=number,
        received_at=callback.received_at,
        source=callback.source,
        format=callback.format,
        generation=entry.generation,
        final=entry.final,
        status_group=entry.status_group,
        duplicates=0,
        message_key=entry.message_key,
        identity=entry.identity,
        item=entry.item,
        notify_to=entry.notify_to,
    )


def _pieces(callbacks: Iterator[Callback]) -> Iterator[list[Callback]]:
    while piece := list(islice(callbacks, AHEAD)):
        yield piece
