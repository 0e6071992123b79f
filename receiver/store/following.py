"""The read model: search keys and totals, which are made after the reports are stored.

The transaction that stores reports writes none of it, since each index would halve its rate. A
`Follower` takes the reports after its cursor, some at a time, and writes what follows from them in
one transaction with the new cursor: whenever it is killed, each report has been counted once or not
yet. A reader takes the model up to the cursor, and the reports after the cursor themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from receiver.dlr.model import Generation
from receiver.store.base import TURN
from receiver.store.excerpt import excerpt_of
from receiver.store.fresh import Followed, FreshReports
from receiver.store.tally import MINUTE, MINUTES_KEPT, Sums, Tally

BLOCK_BITS = 18

OUTCOMES_MOST = 10_000
"""Combinations of status and error that are counted each: hostile ones must not fill the totals."""

PARTS_MOST = 2_000
"""Values of a dimension that are counted each: hostile ones must not fill the totals."""

OTHER_PART = "\x00"
"""The value under which everything is counted after that. No text of a report is it: keys end
before a NUL."""

Key = tuple[int, int, str, int]
"""Block, field, text and report: a row of search_key."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What follows from the reports after `read_from` up to `read_to`."""

    read_from: int
    read_to: int
    followed: int
    keys: Sequence[Key]
    sums: Sums

    @classmethod
    def of(cls, read_from: int, read_to: int, rows: Sequence[Followed]) -> Batch:
        keys: list[Key] = []
        tally = Tally()
        for row, summary in rows:
            block = row.id >> BLOCK_BITS
            keys += [(block, field, text, row.id) for field, text in summary.keys()]  # noqa: SIM118
            tally.add(row, summary)
        keys.sort()  # inserts that are neighbours touch few pages
        return cls(read_from, read_to, len(rows), keys, tally.sums())


def keys_of(rows: Iterable[tuple[int, str | bytes, Generation | None]]) -> list[Key]:
    """The search keys of reports, by id, item and generation."""
    return [
        (number >> BLOCK_BITS, field, key, number)
        for number, item, generation in rows
        for field, key in excerpt_of(item, generation).keys()  # noqa: SIM118
    ]


def minutes_gone_before(sums: Sums) -> int | None:
    """Minutes before this one go: they are too old beside those that were counted now. Not beside
    the newest: after a clock that was ahead for a moment, that would drop all there are."""
    minutes = [start for span, start, *_ in sums.outcomes if span == MINUTE]
    return min(minutes) - MINUTES_KEPT if minutes else None


class Following(ABC):
    """Implements ReadModel (base.py), apart from what a database does. One process has one. `fresh`
    is what its store has added."""

    def __init__(self, fresh: FreshReports | None) -> None:
        self._fresh = fresh or FreshReports()
        self._read_to: int | None = None

    async def turn(self, most: int = TURN) -> int:
        batch = self._in_hand(most)
        if batch is None or not await self._write(batch):
            batch = await self._read(most)
            if batch.followed:
                await self._write(batch)
            if batch.followed < most:
                self._fresh.begin()
        self._read_to = batch.read_to
        return batch.followed

    async def catch_up(self) -> int:
        followed = 0
        while count := await self.turn(4 * TURN):  # nobody else waits
            followed += count
        return followed

    def _in_hand(self, most: int) -> Batch | None:
        if self._read_to is None:
            return None
        rows = self._fresh.after(self._read_to, most)
        return Batch.of(self._read_to, rows[-1][0].id, rows) if rows else None

    @abstractmethod
    async def _read(self, most: int) -> Batch:
        """Read on from the cursor. Changes nothing."""

    @abstractmethod
    async def _write(self, batch: Batch) -> bool:
        """Write a batch and move the cursor. False, and nothing is written, when another follower
        has moved it meanwhile."""
