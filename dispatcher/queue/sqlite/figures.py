"""How much there is to do, in a handful of look-ups: none of them grows with what waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from dispatcher.observe.base import Backlog, Depths, Remaining, Waiting
from dispatcher.queue.sqlite.states import OF_FEW
from dispatcher.queue.sqlite.unrouted import count_unrouted
from receiver.store.instants import instant, instant_or_none, micros
from receiver.store.sqlite.database import Database

_OLDEST_WAITING = """
    SELECT attempts, due_at FROM dispatch INDEXED BY dispatch_waiting
    WHERE state = 'waiting' AND endpoint = ? ORDER BY id LIMIT ?
"""
_WAITING = """
    SELECT count(*), coalesce(sum(reports), 0) FROM (
        SELECT reports FROM dispatch INDEXED BY dispatch_due
        WHERE state = 'waiting' AND endpoint = ? ORDER BY due_at LIMIT ?
    )
"""
_DUE = """
    SELECT count(*) FROM (
        SELECT 1 FROM dispatch INDEXED BY dispatch_due
        WHERE state = 'waiting' AND endpoint = ? AND due_at <= ? LIMIT ?
    )
"""
_OPEN = """
    SELECT EXISTS (SELECT 1 FROM dispatch_count
            WHERE state IN ('waiting', 'leased') AND count > 0)
        OR EXISTS (SELECT 1 FROM held_report)
        OR EXISTS (SELECT 1 FROM endpoint
            WHERE NOT removed AND read_to < (SELECT max(id) FROM report))
"""
# `+` keeps the index of endpoints out of it, as in placed.py.
_OWED = """
    EXISTS (SELECT 1 FROM dispatch_report WHERE report = old.{end} AND dispatch = old.id)
    AND NOT EXISTS (
        SELECT 1 FROM dispatch_report AS later
        CROSS JOIN dispatch AS newer ON newer.id = later.dispatch
        WHERE later.report = old.{end} AND later.dispatch > old.id
            AND +newer.endpoint = old.endpoint
    )
"""
_EXHAUSTED = f"""
    SELECT endpoint, count(*) FROM (
        SELECT id, endpoint, first_report, last_report
        FROM dispatch INDEXED BY dispatch_of_state
        WHERE state = 'exhausted' AND {OF_FEW} ORDER BY id DESC LIMIT ?
    ) AS old
    WHERE ({_OWED.format(end="first_report")}) OR ({_OWED.format(end="last_report")})
    GROUP BY endpoint
"""


class SqliteFigures:
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
        return await self._database.question(lambda c: not c.execute(_OPEN).fetchone()[0])


def _depths(connection: sqlite3.Connection) -> Depths:
    counts = {
        (endpoint, state): count
        for endpoint, state, count in connection.execute("SELECT * FROM dispatch_count")
    }
    readers = dict(connection.execute("SELECT name, read_to FROM endpoint WHERE removed = 0"))
    highest = connection.execute("SELECT max(id) FROM report").fetchone()[0] or 0
    return Depths(
        dispatches=counts,
        oldest_waiting=_oldest(
            connection,
            "SELECT created_at FROM dispatch INDEXED BY dispatch_waiting"
            " WHERE state = 'waiting' AND endpoint = ? ORDER BY id LIMIT 1",
            {endpoint: endpoint for endpoint, state in counts if state == "waiting"},
        ),
        unread={endpoint: max(highest - read_to, 0) for endpoint, read_to in readers.items()},
        oldest_unread=_oldest(
            connection, "SELECT received_at FROM report WHERE id > ? ORDER BY id LIMIT 1", readers
        ),
    )


def _oldest(
    connection: sqlite3.Connection, statement: str, values: Mapping[str, str | int]
) -> Mapping[str, datetime]:
    found = {}
    for endpoint, value in values.items():
        row = connection.execute(statement, (value,)).fetchone()
        if row is not None and row[0] is not None:
            found[endpoint] = instant(row[0])
    return found


def _oldest_waiting(
    connection: sqlite3.Connection, endpoints: Collection[str], most: int
) -> Mapping[str, Sequence[Waiting]]:
    return {
        name: [
            (attempts, instant(at))
            for attempts, at in connection.execute(_OLDEST_WAITING, (name, most))
        ]
        for name in endpoints
    }


def _backlogs(
    connection: sqlite3.Connection, endpoints: Collection[str], now: int, most: int
) -> Mapping[str, Backlog]:
    found = {}
    for name in endpoints:
        dispatches, reports = connection.execute(_WAITING, (name, most)).fetchone()
        (due,) = connection.execute(_DUE, (name, now, most)).fetchone()
        found[name] = Backlog(dispatches, reports, due)
    return found


def _remaining(connection: sqlite3.Connection, endpoints: Collection[str], most: int) -> Remaining:
    unrouted, final = count_unrouted(connection, endpoints, most)
    (oldest,) = connection.execute("SELECT min(received_at) FROM report").fetchone()
    return Remaining(
        unrouted=unrouted,
        unrouted_final=final,
        exhausted=dict(connection.execute(_EXHAUSTED, (most,))),
        oldest_report=instant_or_none(oldest),
    )
