"""Which reports a selection means, and where each is to go: decided once, when a replay is made.

    what is asked for         where to look
    -----------------------------------------------------------------------------------
    ids, messageIds           these reports
    dispatch                  the reports of this one
    state, endpoint           the reports of such dispatches
    anything else             the store's search, which knows hours, statuses and bulkIds

Whatever the way, each candidate is compared with the whole selection. It goes on in pieces of
bounded time on the connection for questions, so that neither callbacks nor pushes wait for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace

from dispatcher.replay.items import Items
from dispatcher.replay.replay import Item, Selected
from dispatcher.replay.request import Selection
from dispatcher.replay.selecting import (
    PIECE,
    Carried,
    Ids,
    Placed,
    PlaceRow,
    by_report,
    query_of,
    targets,
)
from receiver.store.base import FoundReports, ReportQuery, ReportStore, of_one_source

UNFED_AT_ONCE = 10_000
"""Items of a running replay that are read in one go."""

FIRST = 10
"""Items that a dry run shows."""


class Selector(ABC):
    """Implements ReplaySelector (base.py), apart from what is asked of a database."""

    def __init__(self, store: ReportStore) -> None:
        self._store = store

    async def resolve(
        self, selection: Selection, target: str | None, known: Collection[str]
    ) -> tuple[Items, Selected]:
        items, first = Items(), list[Item]()
        undispatched, gone = 0, Counter[str]()
        unfed = await self._unfed() if selection.state is not None else {}
        carried = None
        if selection.dispatch is not None:
            carried = await self._carried_by(selection.dispatch)
        found = await self._reports(selection, carried, to_one=target is not None)
        async for placed in self._placed(found, selection.endpoint):
            if carried is not None:
                place = {carried.endpoint: carried.state}
                placed = Placed(placed.report, placed.received_at, place)
            for endpoint in placed.places.keys() & unfed.keys():
                if placed.report in unfed[endpoint]:
                    placed.places[endpoint] = "waiting"
            undispatched += not placed.places
            for endpoint in targets(placed.places, selection, target):
                if endpoint != target and endpoint not in known:
                    gone[endpoint] += 1
                    continue
                items.add(placed.report, endpoint, placed.received_at)
                if len(first) < FIRST:
                    first.append(Item(placed.report, endpoint, 0))
        without_place = undispatched if target is None and not selection.of_dispatches else 0
        return items, Selected(len(items), without_place, dict(gone), first)

    async def _unfed(self) -> dict[str, Ids]:
        """By endpoint, the reports that running replays have still to bring there: their newest
        dispatch is yet to be formed, and the same command given again must not bring them twice."""
        unfed: dict[str, Ids] = {}
        for replay, fed, total in await self._running():
            for position in range(fed, total, UNFED_AT_ONCE):
                for item in await self._items_of(replay, position, UNFED_AT_ONCE):
                    unfed.setdefault(item.endpoint, Ids()).add(item.report)
        for endpoint, report in await self._held():
            unfed.setdefault(endpoint, Ids()).add(report)
        return unfed

    async def _placed(self, reports: Sequence[int], named: str | None) -> AsyncIterator[Placed]:
        for start in range(0, len(reports), PIECE):
            rows = await self._places(reports[start : start + PIECE])
            for placed in by_report(rows, named):
                yield placed

    async def _reports(
        self, selection: Selection, carried: Carried | None, *, to_one: bool
    ) -> Sequence[int]:
        """The ids of the reports that fit, as far as reports tell; ascending. `to_one`: all of them
        go to one target."""
        query = query_of(selection)
        candidates = await self._candidates(selection, carried, to_one=to_one)
        if candidates is None:
            return [each async for each in self._searched(query)][::-1]
        if query == ReportQuery(limit=PIECE):
            return candidates  # nothing is asked that only a look at the reports could tell
        found: list[int] = []
        for start in range(0, len(candidates), PIECE):
            found += await self._fitting(candidates[start : start + PIECE], query)
        return found

    async def _candidates(
        self, selection: Selection, carried: Carried | None, *, to_one: bool
    ) -> Sequence[int] | None:
        """The only reports that can fit, ascending; `None`: any can."""
        named: list[set[int]] = [] if carried is None else [set(carried.reports)]
        if selection.ids:
            named.append(set(selection.ids))
        if selection.message_ids:
            named.append({each async for each in self._of_messages(selection, to_one=to_one)})
        if not named and selection.of_dispatches:
            named.append({each async for each in self._dispatched(selection)})
        return sorted(set.intersection(*named)) if named else None

    async def _of_messages(self, selection: Selection, *, to_one: bool) -> AsyncIterator[int]:
        for message_id in selection.message_ids:
            reports = await self._store.reports_of(message_id, selection.source)
            for report in of_one_source(message_id, reports) if to_one else reports:
                yield report.id

    async def _dispatched(self, selection: Selection) -> AsyncIterator[int]:
        """The reports that have a dispatch of this endpoint and state, newest or not."""
        after = 0
        while dispatches := await self._dispatches(selection, after, PIECE):
            for report in await self._members(dispatches):
                yield report
            after = dispatches[-1]

    async def _searched(self, query: ReportQuery) -> AsyncIterator[int]:
        """Newest first."""
        while True:
            found = await self._store.find(query)
            for report in found.reports:
                yield report.id
            if found.next is None:
                return
            query = replace(query, before=found.next)

    @abstractmethod
    async def endpoints_ever(self) -> set[str]: ...

    @abstractmethod
    async def _running(self) -> Sequence[tuple[int, int, int]]:
        """Replays that go on, and to places where reports have been: their id, how far they are
        fed, and their length."""

    @abstractmethod
    async def _items_of(self, replay: int, position: int, limit: int) -> Sequence[Item]:
        """Of a replay, from this position on."""

    @abstractmethod
    async def _held(self) -> Sequence[tuple[str, int]]:
        """What replays hold back for order: endpoint and report."""

    @abstractmethod
    async def _places(self, reports: Sequence[int]) -> Sequence[PlaceRow]:
        """The dispatches of these reports, in the order of report and dispatch."""

    @abstractmethod
    async def _fitting(self, candidates: Sequence[int], query: ReportQuery) -> Sequence[int]:
        """Those of these reports that fit, ascending."""

    @abstractmethod
    async def _dispatches(self, selection: Selection, after: int, limit: int) -> Sequence[int]:
        """The next dispatches newer than `after` with this endpoint and state."""

    @abstractmethod
    async def _members(self, dispatches: Sequence[int]) -> Sequence[int]:
        """The reports of these dispatches, each once."""

    @abstractmethod
    async def _carried_by(self, dispatch: str) -> Carried:
        """Raises UnknownDispatch."""


def all_pages(find: Callable[[ReportQuery], FoundReports], query: ReportQuery) -> list[int]:
    """The reports that a search finds, page by page, ascending."""
    newest_first: list[int] = []
    while True:
        found = find(query)
        newest_first += [report.id for report in found.reports]
        if found.next is None:
            return newest_first[::-1]
        query = replace(query, before=found.next)
