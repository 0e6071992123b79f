"""What was said of endpoints at run time, and how far they have read, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec

from dispatcher.endpoints.base import Stored, StoredEndpoint, TakenOver
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.postgres import leaving
from receiver.store.instants import micros
from receiver.store.postgres.database import Connection, Database, row_of

_HIGHEST = """(
    SELECT coalesce(max(id), 0) FROM report WHERE id <= (SELECT dlr_last_settled('report_id'))
)"""
"""The last report there is, in SQL: who has read to there begins with the next. No report comes
before it later."""

# An endpoint that was made for one replay reads nothing, and its row goes with it.
_OF_A_REPLAY = """
    EXISTS (SELECT FROM replay WHERE replay.url IS NOT NULL AND replay.id =
        CASE WHEN {name} ~ '^replay-[0-9]{{1,18}}$' THEN substr({name}, 8)::bigint END)
"""
_MAKE_KNOWN = f"""
    INSERT INTO endpoint (name, read_to)
    SELECT new.name, CASE
        WHEN EXISTS (SELECT FROM endpoint WHERE NOT {_OF_A_REPLAY.format(name="endpoint.name")})
        THEN {_HIGHEST} ELSE 0 END
    FROM unnest(%s::text[]) AS new (name)
    WHERE NOT {_OF_A_REPLAY.format(name="new.name")} ON CONFLICT DO NOTHING
"""


_UPDATE = f"""
    UPDATE endpoint SET settings = %(settings)s, from_outside = %(from_outside)s,
        paused = %(paused)s, removed = %(removed)s,
        read_to = CASE WHEN removed AND NOT %(removed)s THEN {_HIGHEST} ELSE read_to END
    WHERE name = %(name)s
"""
_STORED = """
    SELECT name, settings, from_outside, paused, removed FROM endpoint ORDER BY name COLLATE "C"
"""
_ALONE = "SELECT FROM endpoint_version FOR UPDATE"
"""Whoever decides by what is stored of endpoints has nobody change them meanwhile."""


class PostgresEndpoints:
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
        def put(connection: Connection) -> None:
            connection.execute(_ALONE)
            endpoint = decide(_stored(connection))
            make_known(connection, [*known, name])
            _put(connection, name, endpoint)

        await self._database.write(put)

    async def remove(
        self, name: str, check: Callable[[Stored], object], *, known: Collection[str]
    ) -> int:
        cancelled = 0

        def piece(connection: Connection) -> tuple[int, bool]:
            connection.execute(_ALONE)
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
        statement = "UPDATE endpoint SET in_force_until = %s WHERE name = ANY(%s::text[])"
        values = (micros(until), sorted(names))
        await self._database.write_unflushed(lambda c: c.execute(statement, values).close())

    async def worked_for(self, now: datetime) -> frozenset[str]:
        statement = "SELECT name FROM endpoint WHERE in_force_until > %s"
        rows = await self._database.read(lambda c: c.execute(statement, (micros(now),)).fetchall())
        return frozenset(name for (name,) in rows)

    async def take_over(
        self, name: str, by: Endpoint, check: Callable[[Stored], object], *, known: Collection[str]
    ) -> TakenOver:
        dispatches = reports = 0

        def piece(connection: Connection) -> tuple[int, int, bool]:
            connection.execute(_ALONE)
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


def make_known(connection: Connection, names: Collection[str]) -> None:
    """Have these endpoints read, each from the next report on unless it reads already.

    The first endpoints of a database read from its first report on. Nothing may be lost silently:
    what `dlr receive` took in before any dispatcher ran is pushed when one does. But a customer who
    is added to a store of a year does not get the year.
    """
    connection.execute(_MAKE_KNOWN, (sorted(names),))


def put_endpoint(
    connection: Connection, name: str, table: Mapping[str, Any], from_outside: bool
) -> None:
    """Keep an endpoint of a replay's own, as a part of a transaction. `table` has been read."""
    connection.execute(
        f"INSERT INTO endpoint (name, read_to) VALUES (%s, {_HIGHEST}) ON CONFLICT DO NOTHING",
        (name,),
    )
    connection.execute(
        "UPDATE endpoint SET settings = %s, from_outside = %s, removed = false WHERE name = %s",
        (msgspec.json.encode(table).decode(), from_outside, name),
    )
    _changed(connection)


def _put(connection: Connection, name: str, endpoint: StoredEndpoint) -> None:
    connection.execute(_UPDATE, {**msgspec.structs.asdict(endpoint), "name": name})
    _changed(connection)


def _changed(connection: Connection) -> None:
    connection.execute("UPDATE endpoint_version SET number = number + 1")


def _version(connection: Connection) -> int:
    return int(row_of(connection.execute("SELECT number FROM endpoint_version"))[0])


def _stored(connection: Connection) -> Stored:
    return {name: StoredEndpoint(*said) for name, *said in connection.execute(_STORED)}
