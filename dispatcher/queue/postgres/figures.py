"""How much there is to do, in a handful of look-ups: none of them grows with what waits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from dispatcher.observe.base import Backlog, Depths, Remaining, Waiting
from dispatcher.queue.postgres.counts import COUNTS
from dispatcher.queue.postgres.unrouted import count_unrouted
from receiver.store.instants import instant, instant_or_none, micros
from receiver.store.postgres.database import Connection, Database, row_of

_OLDEST_WAITING = """
    SELECT attempts, due_at FROM dispatch
    WHERE state = 'waiting' AND endpoint = %s ORDER BY id LIMIT %s
"""
_WAITING = """
    SELECT count(*), coalesce(sum(reports), 0)::bigint FROM (
        SELECT reports FROM dispatch
        WHERE state = 'waiting' AND endpoint = %s ORDER BY due_at LIMIT %s
    ) AS waiting
"""
_DUE = """
    SELECT count(*) FROM (
        SELECT 1 FROM dispatch
        WHERE state = 'waiting' AND endpoint = %s AND due_at <= %s LIMIT %s
    ) AS due
"""
_OPEN = """
    SELECT EXISTS (SELECT 1 FROM dispatch_count
            WHERE state IN ('waiting', 'leased') GROUP BY endpoint, state HAVING sum(count) > 0)
        OR EXISTS (SELECT 1 FROM held_report)
        OR EXISTS (SELECT 1 FROM endpoint
            WHERE NOT removed AND read_to < (SELECT max(id) FROM report))
"""
_READERS = "SELECT name, read_to FROM endpoint WHERE NOT removed"
_UNREAD = "SELECT count(*) FROM (SELECT 1 FROM report WHERE id > %s LIMIT %s) AS unread"

_OWED = """
    EXISTS (SELECT FROM dispatch_report WHERE report = old.{end} AND dispatch = old.id)
    AND NOT EXISTS (
        SELECT FROM dispatch_report AS later JOIN dispatch AS newer ON newer.id = later.dispatch
        WHERE later.report = old.{end} AND later.dispatch > old.id
            AND newer.endpoint = old.endpoint
    )
"""
_EXHAUSTED = f"""
    SELECT endpoint, count(*) FROM (
        SELECT id, endpoint, first_report, last_report FROM dispatch
        WHERE state = 'exhausted' ORDER BY id DESC LIMIT %s
    ) AS old
    WHERE ({_OWED.format(end="first_report")}) OR ({_OWED.format(end="last_report")})
    GROUP BY endpoint
"""

EXACT_MOST = 10_000
"""Unread reports that are counted; more of them are told by their ids, which have gaps."""


class PostgresFigures:
    """Implements QueueFigures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def depths(self) -> Depths:
        return await self._database.question(_depths)

    async def oldest_waiting(
        self, endpoints: Collection[str], most: int
    ) -> Mapping[str, Sequence[Waiting]]:
        return await self._database.question(lambda c: _oldest_waiting(c, endpoints, most))

    async def backlogs(
        self, endpoints: Collection[str], now: datetime, most: int
    ) -> Mapping[str, Backlog]:
        return await self._database.question(lambda c: _backlogs(c, endpoints, micros(now), most))

    async def remaining(self, endpoints: Collection[str], most: int) -> Remaining:
        return await self._database.question(lambda c: _remaining(c, endpoints, most))

    async def idle(self) -> bool:
        return await self._database.question(lambda c: not row_of(c.execute(_OPEN))[0])


def _depths(connection: Connection) -> Depths:
    counts = {(endpoint, state): count for endpoint, state, count in connection.execute(COUNTS)}
    readers: dict[str, int] = dict(
        connection.execute("SELECT name, read_to FROM endpoint WHERE NOT removed").fetchall()
    )
    highest = int(row_of(connection.execute("SELECT coalesce(max(id), 0) FROM report"))[0])
    unread = {read_to: _unread(connection, read_to, highest) for read_to in {*readers.values()}}
    return Depths(
        dispatches=counts,
        oldest_waiting=_oldest(
            connection,
            "SELECT created_at FROM dispatch"
            " WHERE state = 'waiting' AND endpoint = %s ORDER BY id LIMIT 1",
            {endpoint: endpoint for endpoint, state in counts if state == "waiting"},
        ),
        unread={endpoint: unread[read_to] for endpoint, read_to in readers.items()},
        oldest_unread=_oldest(
            connection, "SELECT received_at FROM report WHERE id > %s ORDER BY id LIMIT 1", readers
        ),
    )


def _unread(connection: Connection, read_to: int, highest: int) -> int:
    if read_to >= highest:
        return 0
    (number,) = row_of(connection.execute(_UNREAD, (read_to, EXACT_MOST)))
    return number if number < EXACT_MOST else highest - read_to


def _oldest(
    connection: Connection, statement: str, values: Mapping[str, str | int]
) -> Mapping[str, datetime]:
    found = {}
    for endpoint, value in values.items():
        row = connection.execute(statement, (value,)).fetchone()
        if row is not None and row[0] is not None:
            found[endpoint] = instant(row[0])
    return found


def _oldest_waiting(
    connection: Connection, endpoints: Collection[str], most: int
) -> Mapping[str, Sequence[Waiting]]:
    return {
        name: [
            (attempts, instant(at))
            for attempts, at in connection.execute(_OLDEST_WAITING, (name, most))
        ]
        for name in endpoints
    }


def _backlogs(
    connection: Connection, endpoints: Collection[str], now: int, most: int
) -> Mapping[str, Backlog]:
    found = {}
    for name in endpoints:
        dispatches, reports = row_of(connection.execute(_WAITING, (name, most)))
        (due,) = row_of(connection.execute(_DUE, (name, now, most)))
        found[name] = Backlog(dispatches, reports, due)
    return found


def _remaining(connection: Connection, endpoints: Collection[str], most: int) -> Remaining:
    unrouted, final = count_unrouted(connection, endpoints, most)
    (oldest,) = row_of(connection.execute("SELECT min(received_at) FROM report"))
    return Remaining(
        unrouted=unrouted,
        unrouted_final=final,
        exhausted=dict(connection.execute(_EXHAUSTED, (most,)).fetchall()),
        oldest_report=instant_or_none(oldest),
    )
