"""What the selection of a replay asks of PostgreSQL (dispatcher/replay/selector.py)."""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.queue.base import UnknownDispatch
from dispatcher.queue.names import DispatchNames
from dispatcher.queue.postgres.members import MEMBERS, members_of
from dispatcher.queue.postgres.replays import items_of
from dispatcher.queue.postgres.states import page
from dispatcher.replay.replay import Item
from dispatcher.replay.request import Selection
from dispatcher.replay.selecting import Carried, PlaceRow
from dispatcher.replay.selector import Selector, all_pages
from receiver.store.base import ReportQuery, ReportStore
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.rows import ids_of
from receiver.store.postgres.search import find

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
_RUNNING = """
    SELECT id, fed, total FROM replay
    WHERE NOT tidy AND state = 'running' AND url IS NULL AND fed < total
"""


class PostgresSelector(Selector):
    """Implements ReplaySelector on a Database and the reports in it."""

    def __init__(self, database: Database, store: ReportStore) -> None:
        super().__init__(store)
        self._database = database

    async def endpoints_ever(self) -> set[str]:
        statement = "SELECT DISTINCT endpoint FROM dispatch_count"
        rows = await self._database.question(lambda c: c.execute(statement).fetchall())
        return {name for (name,) in rows}

    async def _running(self) -> Sequence[tuple[int, int, int]]:
        return await self._database.question(lambda c: c.execute(_RUNNING).fetchall())

    async def _items_of(self, replay: int, position: int, limit: int) -> Sequence[Item]:
        return await self._database.question(lambda c: items_of(c, replay, position, limit))

    async def _held(self) -> Sequence[tuple[str, int]]:
        held = "SELECT endpoint, report FROM held_report WHERE replay > 0"
        return await self._database.question(lambda c: c.execute(held).fetchall())

    async def _places(self, reports: Sequence[int]) -> Sequence[PlaceRow]:
        ids = ([*reports],)
        return await self._database.question(lambda c: c.execute(_PLACES, ids).fetchall())

    async def _fitting(self, candidates: Sequence[int], query: ReportQuery) -> Sequence[int]:
        return await self._database.question(
            lambda c: all_pages(lambda asked: find(c, asked, candidates), query)
        )

    async def _dispatches(self, selection: Selection, after: int, limit: int) -> Sequence[int]:
        rest, values = page(
            selection.endpoint, selection.state, place="id > %s", at=after, order="id", limit=limit
        )
        statement = f"SELECT id FROM dispatch {rest}"
        return await self._database.question(lambda c: ids_of(c, statement, values))

    async def _members(self, dispatches: Sequence[int]) -> Sequence[int]:
        ids = {"dispatches": [*dispatches]}
        return await self._database.question(lambda c: ids_of(c, _MEMBERS, ids))

    async def _carried_by(self, dispatch: str) -> Carried:
        return await self._database.question(lambda c: _carried_by(c, dispatch))


def _carried_by(connection: Connection, name: str) -> Carried:
    (queue,) = row_of(connection.execute("SELECT name FROM queue_name"))
    number = DispatchNames(queue).number(name)
    one = "SELECT endpoint, state FROM dispatch WHERE id = %s"
    row = connection.execute(one, (number,)).fetchone()
    if row is None:
        raise UnknownDispatch(name)
    endpoint, state = row
    return Carried(endpoint, state, members_of(connection, [number]).get(number, ()))
