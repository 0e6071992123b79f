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
from dispatcher.queue.sqlite import leaving
from receiver.store.instants import micros
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.rows import LISTED, listed

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
        cancelled = 0

        def piece(connection: sqlite3.Connection) -> tuple[int, bool]:
            check(_stored(connection))
            make_known(connection, [*known, name])
            number = leaving.cancel_waiting(connection, name)
            if leaving.PIECE in (number, leaving.drop_held(connection, name)):
                return number, False
            leaving.let_go_of_order(connection, name)
            _put(connection, name, StoredEndpoint(removed=True))
            return number, True

        while True:
            number, ended = await self._database.write(piece)
            cancelled += number
            if ended:
                return cancelled

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
        dispatches = reports = 0

        def piece(connection: sqlite3.Connection) -> tuple[int, int, bool]:
            check(_stored(connection))
            make_known(connection, [*known, name, by.name])
            if leaving.hand_over_order(connection, name, by.name) == leaving.PIECE:
                return 0, 0, False
            moved = leaving.hand_over_dispatches(connection, name, by)
            if moved == leaving.PIECE:
                return moved, 0, False
            read, taken = leaving.hand_over_unread(connection, name, by)
            if read == leaving.PIECE:
                return moved, taken, False
            _put(connection, name, StoredEndpoint(removed=True))
            return moved, taken, True

        while True:
            moved, taken, ended = await self._database.write(piece)
            dispatches += moved
            reports += taken
            if ended:
                return TakenOver(dispatches, reports)


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
