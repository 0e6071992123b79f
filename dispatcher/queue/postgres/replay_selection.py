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

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace

from dispatcher.queue.base import UnknownDispatch
from dispatcher.queue.names import DispatchNames
from dispatcher.queue.postgres.members import MEMBERS, members_of
from dispatcher.queue.postgres.replays import items_of
from dispatcher.queue.postgres.states import page
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
from dispatcher.retrying.dispatch import DispatchState
from receiver.store.base import ReportQuery, ReportStore, of_one_source
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.rows import ids_of
from receiver.store.postgres.search import find

UNFED_AT_ONCE = 10_000
"""Items of a running replay that are read in one go."""

FIRST = 10
"""Items that a dry run shows."""

_PLACES = """
    SELECT report.id, report.received_at, dispatch.endpoint, dispatch.state,
        dispatch.replay IS NOT NULL, replay.url IS NOT NULL
    FROM report
    LEFT JOIN dispatch_report ON dispatch_report.report = report.id
    LEFT JOIN dispatch ON dispatch.id = dispatch_report.dispatch
    LEFT JOIN replay ON replay.id = dispatch.replay
    WHERE report.id = ANY(%s::bigint[])
    ORDER BY report.id, dispatch.id
"""
_MEMBERS = f"SELECT DISTINCT report FROM ({MEMBERS}) AS members"


class PostgresSelector:
    """Implements ReplaySelector (dispatcher/replay/base.py) on a Database and the reports in it."""

    def __init__(self, database: Database, store: ReportStore) -> None:
        self._database = database
        self._store = store

    async def endpoints_ever(self) -> set[str]:
        statement = "SELECT DISTINCT endpoint FROM dispatch_count"
        rows = await self._database.question(lambda c: c.execute(statement).fetchall())
        return {name for (name,) in rows}

    async def resolve(
        self, selection: Selection, target: str | None, known: Collection[str]
    ) -> tuple[Items, Selected]:
        items, first = Items(), list[Item]()
        undispatched, gone = 0, Counter[str]()
        unfed = await self._unfed() if selection.state is not None else {}
        carried = None
        if selection.dispatch is not None:
            carried = await self._database.question(_carried_by(selection.dispatch))
        found = await self._reports(selection, carried, to_one=target is not None)
        async for placed in self._placed(found, selection.endpoint):
            if carried is not None:
                placed = Placed(placed.report, placed.received_at, _place_of(carried))
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
        for replay, fed, total in await self._database.question(_running):
            for position in range(fed, total, UNFED_AT_ONCE):
                for item in await self._database.question(_items_of(replay, position)):
                    unfed.setdefault(item.endpoint, Ids()).add(item.report)
        for endpoint, report in await self._database.question(_held):
            unfed.setdefault(endpoint, Ids()).add(report)
        return unfed

    async def _placed(self, reports: Sequence[int], named: str | None) -> AsyncIterator[Placed]:
        for start in range(0, len(reports), PIECE):
            rows = await self._database.question(_rows(reports[start : start + PIECE]))
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
            piece = candidates[start : start + PIECE]
            found += await self._database.question(_fitting(piece, query))
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
        while dispatches := await self._database.question(_dispatches(selection, after)):
            for report in await self._database.question(_members(dispatches)):
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


def _fitting(candidates: Sequence[int], query: ReportQuery) -> Callable[[Connection], list[int]]:
    def fitting(connection: Connection) -> list[int]:
        newest_first: list[int] = []
        asked = query
        while True:
            found = find(connection, asked, candidates)
            newest_first += [report.id for report in found.reports]
            if found.next is None:
                return newest_first[::-1]
            asked = replace(asked, before=found.next)

    return fitting


def _dispatches(selection: Selection, after: int) -> Callable[[Connection], list[int]]:
    """The next dispatches newer than `after` with this endpoint and state."""
    rest, values = page(
        selection.endpoint, selection.state, place="id > %s", at=after, order="id", limit=PIECE
    )
    return lambda c: ids_of(c, f"SELECT id FROM dispatch {rest}", values)


def _carried_by(name: str) -> Callable[[Connection], Carried]:
    """Raises UnknownDispatch."""

    def carried(connection: Connection) -> Carried:
        (queue,) = row_of(connection.execute("SELECT name FROM queue_name"))
        number = DispatchNames(queue).number(name)
        one = "SELECT endpoint, state FROM dispatch WHERE id = %s"
        row = connection.execute(one, (number,)).fetchone()
        if row is None:
            raise UnknownDispatch(name)
        endpoint, state = row
        return Carried(endpoint, state, members_of(connection, [number]).get(number, ()))

    return carried


def _place_of(carried: Carried) -> dict[str, DispatchState]:
    return {carried.endpoint: carried.state}


def _running(connection: Connection) -> list[tuple[int, int, int]]:
    """Replays that go on, and to places where reports have been: how far each is fed."""
    return connection.execute(
        "SELECT id, fed, total FROM replay"
        " WHERE NOT tidy AND state = 'running' AND url IS NULL AND fed < total"
    ).fetchall()


def _items_of(replay: int, position: int) -> Callable[[Connection], list[Item]]:
    return lambda c: items_of(c, replay, position, UNFED_AT_ONCE)


def _held(connection: Connection) -> list[tuple[str, int]]:
    held = "SELECT endpoint, report FROM held_report WHERE replay > 0"
    return connection.execute(held).fetchall()


def _members(dispatches: Sequence[int]) -> Callable[[Connection], list[int]]:
    return lambda c: ids_of(c, _MEMBERS, {"dispatches": [*dispatches]})


def _rows(reports: Sequence[int]) -> Callable[[Connection], list[PlaceRow]]:
    return lambda c: c.execute(_PLACES, ([*reports],)).fetchall()
