"""What retention removes of the queue, and what it leaves: the decisions, whatever the database.

Dispatches that have ended go whole, with their body and their attempts, some at a time. Reports
that an endpoint or a replay has still to read, or that a dispatch carries, stay.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from dispatcher.endpoints.base import Readers
from dispatcher.forming.routing import ReportReader, goes_to
from dispatcher.upkeep.base import Rows
from receiver.store.base import Pause, StoredReport
from receiver.store.instants import micros
from receiver.store.removal import FIRST, Holders, Place

BATCH = 200
"""Dispatches in a transaction."""

BATCH_REPORTS = 2_000
"""Reports of these dispatches in a transaction: each is a row of `dispatch_report`."""

TABLES = ("dispatch", "dispatch_body", "dispatch_report", "attempt")

Ended = tuple[int, int, int, int]
"""An ended dispatch: its id, first and last report, number of reports."""

Formed = tuple[int, int, int, int, int, bool]
"""A dispatch: when it was formed, its id, first and last report, number of reports, whether it has
ended."""


def unread_of(
    readers: Iterable[tuple[str, int]], reports: Sequence[int], gone: Collection[str]
) -> dict[str, set[int]]:
    """The reports among these that each endpoint has not read, whether they go to it or not.
    `readers`: the endpoints, and up to where each has read."""
    unread = {
        name: {report for report in reports if report > read_to}
        for name, read_to in readers
        if name not in gone
    }
    return {name: ids for name, ids in unread.items() if ids}


def holders_of(
    readers: Readers,
    unread: Mapping[str, set[int]],
    stored: Sequence[StoredReport],
    unfed: Iterable[tuple[int, set[int]]],
    carried: Iterable[tuple[str, int, bool]],
) -> Holders:
    """Who needs which reports.

    `stored` are all that are unread. `unfed`: what each running replay has still to feed.
    `carried`: the endpoint and the report of each dispatch that has not ended, and of what is held;
    and whether whoever takes the dispatch over needs the report, because its bytes are not kept.
    """
    held: defaultdict[str, set[int]] = defaultdict(set)
    read = ReportReader()
    for name, ids in unread.items():
        rules = readers.rules.get(name)
        held[name].update(
            report.id
            for report in stored
            if report.id in ids and (rules is None or goes_to(report, rules, read))
        )
    for replay, reports in unfed:
        held[f"replay {replay}"] |= reports
    for name, report, needed in carried:
        if needed or name not in readers.gone:
            held[name].add(report)
    return {name: kept for name, kept in held.items() if kept}


class DispatchRemoval(ABC):
    """Implements the part of Retention (base.py) about dispatches, apart from what is asked of a
    database."""

    _readers: Readers

    async def purge_dispatches(self, *, before: datetime | None, most: int, pause: Pause) -> Rows:
        removed: Counter[str] = Counter(dict.fromkeys(TABLES, 0))
        await self._give_up_for_the_gone(before, pause)
        async for ended in self._formed_before(before):
            removed.update(await self._removed(ended))
            await pause()
        async for ended in self._beyond(most):
            removed.update(await self._removed(ended))
            await pause()
        return dict(removed)

    async def _give_up_for_the_gone(self, before: datetime | None, pause: Pause) -> None:
        """Cancel what has waited too long for endpoints that nobody works for. All that is as old
        is looked at: retention removes most of it next."""
        if before is None or not self._readers.gone:
            return
        after, end = FIRST, (micros(before), 0)
        while found := await self._waiting_between(after, end, self._readers.gone, BATCH):
            *_, (at, number, _) = found
            after = at, number
            if old := [number for _, number, waits in found if waits]:
                await self._cancel(old)
                await pause()

    async def _formed_before(self, before: datetime | None) -> AsyncIterator[list[Ended]]:
        """The ended dispatches that are too old, the oldest first. A piece may be empty."""
        if before is None:
            return
        after, end = FIRST, (micros(before), 0)
        while found := bounded(await self._formed_between(after, end, BATCH)):
            after, ended = found
            yield ended

    async def _beyond(self, most: int) -> AsyncIterator[list[Ended]]:
        """The ended dispatches of attempts that are too many. A piece may be empty."""
        after, last = 0, await self._last_attempt_to_go(most)
        while found := await self._attempts_between(after, last, BATCH):
            after = found[-1][0]
            yield await self._ended_among(sorted({dispatch for _, dispatch in found}))

    async def _removed(self, ended: Sequence[Ended]) -> Rows:
        return await self._remove(ended) if ended else {}

    @abstractmethod
    async def _waiting_between(
        self, after: Place, end: Place, endpoints: Collection[str], most: int
    ) -> Sequence[tuple[int, int, bool]]:
        """The oldest dispatches between two places: when they were formed, their id, and whether
        they wait for one of these endpoints."""

    @abstractmethod
    async def _cancel(self, dispatches: Sequence[int]) -> None:
        """Those of them that still wait."""

    @abstractmethod
    async def _formed_between(self, after: Place, end: Place, most: int) -> Sequence[Formed]:
        """The oldest between two places."""

    @abstractmethod
    async def _last_attempt_to_go(self, most: int) -> int:
        """The attempt up to which they are more than the `most` newest (0: any number may
        stay)."""

    @abstractmethod
    async def _attempts_between(
        self, after: int, last: int, most: int
    ) -> Sequence[tuple[int, int]]:
        """The first attempts newer than `after`, up to `last`: their id and their dispatch."""

    @abstractmethod
    async def _ended_among(self, dispatches: Sequence[int]) -> list[Ended]: ...

    @abstractmethod
    async def _remove(self, ended: Sequence[Ended]) -> Rows:
        """Remove dispatches and all that belongs to them, in one transaction. Returns how many rows
        of each of TABLES are gone."""


def last_beyond(parts: Iterable[tuple[int, int]], most: int) -> int:
    """The id up to which there are more than `most` (0: any number may stay; nothing goes).
    `parts`: the first and the last id of each series without gaps, the newest first."""
    left = most
    for first, last in parts if most else ():
        if last - first + 1 > left:
            return last - left
        left -= last - first + 1
    return 0


def bounded(rows: Iterable[Formed]) -> tuple[Place, list[Ended]] | None:
    """Take dispatches until they have a bounded number of reports together, but at least one.
    Returns the place of the last one, and those that have ended; None if there is none."""
    ended: list[Ended] = []
    reports, looked_at = 0, None
    for formed_at, number, first, last, size, has_ended in rows:
        if ended and reports + size > BATCH_REPORTS:
            break
        looked_at = formed_at, number
        if has_ended:
            ended.append((number, first, last, size))
            reports += size
    return None if looked_at is None else (looked_at, ended)
