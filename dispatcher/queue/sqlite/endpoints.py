"""What was said of endpoints at run time, and how far they have read, in the SQLite file that also
holds their dispatches."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from dispatcher.endpoints.base import Stored, StoredEndpoint, TakenOver
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming.routing import goes_to
from dispatcher.queue.sqlite import ordering
from receiver.store.sqlite.database import Database, micros
from receiver.store.sqlite.rows import COLUMNS, LISTED, listed, stored_report

_HIGHEST = "(SELECT coalesce(max(id), 0) FROM report)"
"""The last report there is, in SQL: who has read to there begins with the next."""

# An endpoint that was made for one replay reads nothing, and its row goes with it. Its replay is
# found by its id: all replays there have been would be gone through otherwise.
_OF_A_REPLAY = """
    EXISTS (SELECT 1 FROM replay WHERE id = CAST(substr({name}, 8) AS INTEGER)
        AND 'replay-' || id = {name} AND replay.url IS NOT NULL)
"""
_KNOWN = f"SELECT 1 FROM endpoint WHERE NOT {_OF_A_REPLAY.format(name='endpoint.name')} LIMIT 1"
_MAKE_KNOWN = f"""
    INSERT INTO endpoint (name, read_to) SELECT ?1, {{start}}
    WHERE NOT {_OF_A_REPLAY.format(name="?1")} ON CONFLICT DO NOTHING
"""

_UPDATE = f"""
    UPDATE endpoint SET settings = ?1, from_outside = ?2, paused = ?3, removed = ?4,
        read_to = iif(removed AND NOT ?4, {_HIGHEST}, read_to)
    WHERE name = ?5
"""


class SqliteEndpoints:
    """Implements EndpointStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> int:
        return await self._database.read(_version)

    async def stored(self) -> Stored:
        return await self._database.read(_stored)

    async def put(
        self, name: str, decide: Callable[[Stored], StoredEndpoint], *, known: Collection[str]
    ) -> None:
        def put(connection: sqlite3.Connection) -> None:
            endpoint = decide(_stored(connection))
            make_known(connection, [*known, name])
            _put(connection, name, endpoint)

        await self._database.write(put)

    async def remove(
        self, name: str, check: Callable[[Stored], object], *, known: Collection[str]
    ) -> int:
        def remove(connection: sqlite3.Connection) -> int:
            check(_stored(connection))
            make_known(connection, [*known, name])
            _put(connection, name, StoredEndpoint(removed=True))
            return cancel_waiting(connection, name)

        return await self._database.write(remove)

    async def work_for(self, names: Collection[str], until: datetime) -> None:
        statement = f"UPDATE endpoint SET in_force_until = ? WHERE name IN {LISTED}"
        values = (micros(until), listed(names))
        await self._database.write_unflushed(lambda c: c.execute(statement, values).close())

    async def worked_for(self, now: datetime) -> frozenset[str]:
        statement = "SELECT name FROM endpoint WHERE in_force_until > ?"
        rows = await self._database.read(lambda c: c.execute(statement, (micros(now),)).fetchall())
        return frozenset(name for (name,) in rows)

    async def take_over(
        self, name: str, by: Endpoint, check: Callable[[Stored], object], *, known: Collection[str]
    ) -> TakenOver:
        def take_over(connection: sqlite3.Connection) -> TakenOver:
            check(_stored(connection))
            make_known(connection, [*known, name, by.name])
            dispatches = _take_dispatches(connection, name, by)
            reports = _take_unread(connection, name, by)
            _put(connection, name, StoredEndpoint(removed=True))
            return TakenOver(dispatches, reports)

        return await self._database.write(take_over)


_OPEN_OF = "endpoint = ? AND state IN ('waiting', 'leased')"
_MOVE_COUNTS = """
    INSERT INTO dispatch_count
        SELECT value ->> 0, state, (value ->> 1) * count
        FROM dispatch_count, json_each(?)
        WHERE endpoint = ? AND state IN ('waiting', 'leased')
    ON CONFLICT (endpoint, state) DO UPDATE SET count = count + excluded.count
"""
_PASSED_OVER = f"""
    SELECT {COLUMNS} FROM report
    WHERE id > (SELECT read_to FROM endpoint WHERE name = ?)
        AND id <= (SELECT read_from FROM endpoint WHERE name = ?)
"""


def _take_dispatches(connection: sqlite3.Connection, name: str, by: Endpoint) -> int:
    """What is on its way or held goes to the other endpoint. A header that was made of a URL's
    password stays behind."""
    both = listed([(name, -1), (by.name, 1)])
    connection.execute(_MOVE_COUNTS, (both, name))
    moved = connection.execute(
        f"UPDATE dispatch SET endpoint = ?, url = ?, authorization = NULL WHERE {_OPEN_OF}",
        (by.name, by.url, name),
    ).rowcount
    for table in ("message_under_way", "held_report"):
        connection.execute(
            f"UPDATE OR IGNORE {table} SET endpoint = ? WHERE endpoint = ?", (by.name, name)
        )
        connection.execute(f"DELETE FROM {table} WHERE endpoint = ?", (name,))
    ordering.hold_what_is_under_way(connection, by.name)
    return moved


def _take_unread(connection: sqlite3.Connection, name: str, by: Endpoint) -> int:
    """They are laid beside what the endpoint reads, like reports that were held."""
    rows = connection.execute(_PASSED_OVER, (name, by.name))
    taken = [report for report in map(stored_report, rows) if goes_to(report, by.rules)]
    ordering.hold(connection, ((by.name, report.id, report.message) for report in taken))
    return len(taken)


def make_known(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Have these endpoints read, each from the next report on unless it reads already.

    The first endpoints of a database read from its first report on. Nothing may be lost silently:
    what `dlr receive` took in before any dispatcher ran is pushed when one does. But a customer who
    is added to a store of a year does not get the year.
    """
    start = _HIGHEST if connection.execute(_KNOWN).fetchone() else "0"
    connection.executemany(_MAKE_KNOWN.format(start=start), [(name,) for name in names])


def put_endpoint(
    connection: sqlite3.Connection, name: str, table: Mapping[str, Any], from_outside: bool
) -> None:
    """Keep an endpoint of a replay's own, as a part of a transaction. `table` has been read."""
    connection.execute(
        f"INSERT INTO endpoint (name, read_to) VALUES (?, {_HIGHEST}) ON CONFLICT DO NOTHING",
        (name,),
    )
    connection.execute(
        "UPDATE endpoint SET settings = ?, from_outside = ?, removed = 0 WHERE name = ?",
        (msgspec.json.encode(table).decode(), from_outside, name),
    )
    _changed(connection)


def cancel_waiting(connection: sqlite3.Connection, name: str) -> int:
    """What waits for the endpoint, on its way or held, is not brought any more. What is held for a
    replay is dropped by it, and counted."""
    connection.execute("DELETE FROM held_report WHERE endpoint = ? AND replay = 0", (name,))
    connection.execute("UPDATE held_report SET freed = 1 WHERE endpoint = ?", (name,))
    connection.execute("DELETE FROM message_under_way WHERE endpoint = ?", (name,))
    return connection.execute(
        # Not by the index of all that there ever was of the endpoint.
        "UPDATE dispatch INDEXED BY dispatch_oldest SET state = 'cancelled', due_at = NULL"
        " WHERE endpoint = ? AND state = 'waiting'",
        (name,),
    ).rowcount


def _put(connection: sqlite3.Connection, name: str, endpoint: StoredEndpoint) -> None:
    connection.execute(_UPDATE, (*msgspec.structs.astuple(endpoint), name))
    _changed(connection)


def _changed(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE endpoint_version SET number = number + 1")


def _version(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT number FROM endpoint_version").fetchone()[0]
    return number


def _stored(connection: sqlite3.Connection) -> Stored:
    rows = connection.execute(
        "SELECT name, settings, from_outside, paused, removed FROM endpoint ORDER BY name"
    )
    return {name: StoredEndpoint(text, *map(bool, flags)) for name, text, *flags in rows}
