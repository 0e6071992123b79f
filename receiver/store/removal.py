"""Removing reports and quarantine that are too old, or too many, whatever the database.

Everything goes in batches of a few hundred rows, each a transaction of its own with a pause after
it, so that no callback waits for more than one batch. Instants decide what is oldest, and not ids:
a quarantine entry that was read again is an old report with a new id. Rows are found in the order
of an index, so that a purge looks at what goes and at what is kept back, and at nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal

from receiver.store.base import DUPLICATE_DAYS, Pause
from receiver.store.instants import MICROS_PER_DAY, micros

BATCH = 200
"""Rows in a transaction, for which callbacks wait. Beside a purge the p99 of a commit was 37 ms and
not 18 with 200, 47 with 500 (on a busy machine; README.md)."""

LOOK = 1_000
"""Rows that are looked at between two pauses. Nobody waits for that."""

KEY_BATCH = 1_000
"""Keys in a transaction: they are neighbours, and nothing else belongs to them."""

Table = Literal["report", "quarantine"]

Place = tuple[int, int]
"""An instant and an id. In this order rows are old."""

FIRST: Place = (-(2**63), 0)
AFTER_ALL: Place = (2**63 - 1, 2**63 - 1)

Rows = Mapping[str, int]
"""How many rows of each table."""

Holders = Mapping[str, Collection[int]]
"""Reports that are still needed, by who needs them."""


class Removal(ABC):
    """Implements StoreRetention (base.py), apart from what a database does."""

    async def purge_reports(
        self,
        *,
        now: datetime,
        before: datetime | None,
        most: int,
        pause: Pause,
        held: Counter[str] | None = None,
    ) -> Rows:
        removed = 0
        async for places in self._to_go(before, most, held):
            for batch in _cut([id for _, id in places], BATCH):
                removed += await self._remove_reports(batch)
                await pause()
            if not places:
                await pause()
        keys = await self._purge_keys(now, pause) if removed else 0
        return {"report": removed, "report_key": keys}

    async def count_reports(
        self,
        *,
        now: datetime,
        before: datetime | None,
        most: int,
        held: Counter[str] | None = None,
    ) -> Rows:
        going: Counter[int] = Counter()  # by day
        async for places in self._to_go(before, most, held):
            going.update(at // MICROS_PER_DAY for at, _ in places)
        keys = await self._count_keys(first_recognised(now), going) if going else 0
        return {"report": going.total(), "report_key": keys}

    async def purge_quarantine(self, *, before: datetime | None, most: int, pause: Pause) -> Rows:
        end = await self._end_of_quarantine(before, most)
        after, removed = FIRST, 0
        while rows := await self._rows_after("quarantine", after, end, BATCH):
            after = rows[-1]
            removed += await self._remove_quarantine([id for _, id in rows])
            await pause()
        return {"quarantine": removed}

    async def count_quarantine(self, *, before: datetime | None, most: int) -> Rows:
        return {"quarantine": await self._count_quarantine(before, most)}

    async def _to_go(
        self, before: datetime | None, most: int, held: Counter[str] | None
    ) -> AsyncIterator[list[Place]]:
        """The reports that are too old or too many and that nobody needs, the oldest first; a piece
        may be empty. What has not been added up yet stays too, for the totals."""
        end, followed = await self._end_of_reports(before, most)
        after = FIRST
        while rows := await self._rows_after("report", after, end, LOOK):
            after = rows[-1]
            added_up = [(at, id) for at, id in rows if id <= followed]
            holders = await self._holders([id for _, id in added_up])
            if held is not None:
                held.update({name: len(kept) for name, kept in holders.items() if kept})
            kept = all_of(holders)
            yield [(at, id) for at, id in added_up if id not in kept]

    async def _purge_keys(self, now: datetime, pause: Pause) -> int:
        """Remove the keys of days that have no report any more. Those by which repeats are
        recognised stay, whatever became of their reports."""
        removed = 0
        for day in await self._days_without_reports(first_recognised(now)):
            while gone := await self._remove_keys(day):
                removed += gone
                await pause()
        return removed

    @abstractmethod
    async def _end_of_reports(self, before: datetime | None, most: int) -> tuple[Place, int]:
        """The first place of a report that stays, and the report up to which all are added up."""

    @abstractmethod
    async def _end_of_quarantine(self, before: datetime | None, most: int) -> Place:
        """The first place of an entry that stays."""

    @abstractmethod
    async def _rows_after(
        self, table: Table, after: Place, end: Place, most: int
    ) -> Sequence[Place]:
        """At most `most` rows between two places, the oldest first."""

    @abstractmethod
    async def _holders(self, reports: Sequence[int]) -> Holders:
        """Who needs which of these."""

    @abstractmethod
    async def _remove_reports(self, reports: Sequence[int]) -> int:
        """Remove those that nobody needs, in one transaction. Returns how many that are."""

    @abstractmethod
    async def _remove_quarantine(self, entries: Sequence[int]) -> int: ...

    @abstractmethod
    async def _count_quarantine(self, before: datetime | None, most: int) -> int:
        """The entries before `_end_of_quarantine`."""

    @abstractmethod
    async def _days_without_reports(self, recognised: int) -> Sequence[int]:
        """The days before `recognised` that have keys and no report."""

    @abstractmethod
    async def _remove_keys(self, day: int) -> int:
        """Some of the keys of a day, unless it has got a report meanwhile."""

    @abstractmethod
    async def _count_keys(self, recognised: int, going: Counter[int]) -> int:
        """The keys of the days before `recognised` that lose all their reports when so many of each
        day go."""


def all_of(holders: Holders) -> set[int]:
    return set().union(*holders.values())


def first_recognised(now: datetime) -> int:
    """The first of the days by whose keys repeats are still to be recognised."""
    return micros(now) // MICROS_PER_DAY - DUPLICATE_DAYS + 1


def instants_of(day: int) -> tuple[int, int]:
    """When a day begins, and when it has ended."""
    return day * MICROS_PER_DAY, (day + 1) * MICROS_PER_DAY


def place_of_age(before: datetime | None) -> Place:
    """The first place that is not too old."""
    return FIRST if before is None else (micros(before), 0)


def _cut(ids: Sequence[int], size: int) -> list[Sequence[int]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]
