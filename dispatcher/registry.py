"""The endpoints that there are: those of the settings file, and what was said at run time.

The file is the starting set and stays the truth for what nobody has changed at run time. A change
through the API or the command line is kept in the database and wins over the file, until `reset`
gives the endpoint back to it. Every process that works on the database notices.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from dispatcher.endpoint import Endpoint
from dispatcher.from_settings import endpoint_of
from dispatcher.settings import EndpointSettings
from receiver.configuration import as_table, read_table
from receiver.store.database import Database

Origin = Literal["file", "run-time"]


class Registered(Struct, frozen=True):
    """An endpoint in force. `from_outside`: its URL came over the API and is checked as such."""

    settings: EndpointSettings
    origin: Origin
    from_outside: bool = False
    paused: bool = False


class UnknownEndpoint(Exception):
    """There is no endpoint of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f'there is no endpoint "{name}"')


class EndpointExists(Exception):
    """An endpoint of this name is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(f'there is an endpoint "{name}" already; change it, or choose a name')


class _Row(Struct, frozen=True):
    """What the database says of an endpoint."""

    table: dict[str, Any] | None = None
    from_outside: bool = False
    paused: bool = False
    removed: bool = False


class Registry:
    """Reads and changes the set of endpoints."""

    def __init__(self, database: Database, of_file: Sequence[EndpointSettings]) -> None:
        self._database = database
        self._of_file = {endpoint.name: endpoint for endpoint in of_file}

    async def version(self) -> int:
        """A number that goes up with each change at run time, by whatever process."""
        return await self._database.read(_version)

    async def all(self) -> dict[str, Registered]:
        """The endpoints in force, by name: the file's first."""
        rows = await self._database.read(_rows)
        names = list(dict.fromkeys([*self._of_file, *rows]))
        found = ((name, self._registered(name, rows.get(name, _Row()))) for name in names)
        return {name: endpoint for name, endpoint in found if endpoint is not None}

    async def endpoints(self) -> list[Endpoint]:
        """The endpoints in force, as the worker takes them."""
        return [
            structs.replace(
                endpoint_of(each.settings, from_outside=each.from_outside), paused=each.paused
            )
            for each in (await self.all()).values()
        ]

    async def add(self, table: Mapping[str, Any], *, from_outside: bool) -> Registered:
        """Add an endpoint. `table` has the keys of [[endpoint]] in the settings file.

        Raises ConfigurationError with all faults, EndpointExists.
        """
        settings = read_table(EndpointSettings, table)
        if settings.name in await self.all():
            raise EndpointExists(settings.name)
        await self._put(settings.name, table, from_outside)
        return Registered(settings, "run-time", from_outside)

    async def change(
        self, name: str, changes: Mapping[str, Any], *, from_outside: bool
    ) -> Registered:
        """Change some settings of an endpoint; a value None goes back to its default.

        Raises ConfigurationError with all faults, UnknownEndpoint.
        """
        before = await self.one(name)
        rows = await self._database.read(_rows)
        table = rows.get(name, _Row()).table or as_table(before.settings)
        merged = {k: v for k, v in {**table, **changes, "name": name}.items() if v is not None}
        settings = read_table(EndpointSettings, merged)
        outside = before.from_outside or (from_outside and "url" in changes)
        await self._put(name, merged, outside)
        return Registered(settings, "run-time", outside, before.paused)

    async def one(self, name: str) -> Registered:
        """Raises UnknownEndpoint."""
        found = (await self.all()).get(name)
        if found is None:
            raise UnknownEndpoint(name)
        return found

    async def pause(self, name: str, paused: bool) -> None:
        """Hold an endpoint's dispatches, or let them go on. Raises UnknownEndpoint."""
        await self.one(name)
        await self._set(name, "paused = ?", (paused,))

    async def remove(self, name: str) -> int:
        """Take an endpoint out. What waits for it is cancelled: how many is returned.

        Raises UnknownEndpoint.
        """
        await self.one(name)
        await self._set(name, "removed = 1, settings = NULL, paused = 0", ())
        return await self._database.write(lambda c: _cancel_waiting(c, name))

    async def reset(self, name: str) -> None:
        """Forget what was said at run time: the file alone counts. Raises UnknownEndpoint."""
        if name not in self._of_file:
            raise UnknownEndpoint(name)
        await self._set(name, "removed = 0, settings = NULL, from_outside = 0, paused = 0", ())

    def _registered(self, name: str, row: _Row) -> Registered | None:
        if row.removed:
            return None
        if row.table is not None:
            return Registered(
                read_table(EndpointSettings, row.table), "run-time", row.from_outside, row.paused
            )
        of_file = self._of_file.get(name)
        return None if of_file is None else Registered(of_file, "file", paused=row.paused)

    async def _put(self, name: str, table: Mapping[str, Any], from_outside: bool) -> None:
        await self._database.write(lambda c: put_endpoint(c, name, table, from_outside))

    async def _set(self, name: str, change: str, values: Sequence[Any]) -> None:
        await self._database.write(lambda c: _set(c, name, change, values))


def put_endpoint(
    connection: sqlite3.Connection, name: str, table: Mapping[str, Any], from_outside: bool
) -> None:
    """Keep what was said of an endpoint, as a part of a transaction. `table` has been read."""
    text = msgspec.json.encode(table).decode()
    values = (text, from_outside)
    _set(connection, name, "settings = ?, from_outside = ?, removed = 0", values)


def _set(connection: sqlite3.Connection, name: str, change: str, values: Sequence[Any]) -> None:
    highest = connection.execute("SELECT coalesce(max(id), 0) FROM report").fetchone()[0]
    connection.execute(
        "INSERT INTO endpoint (name, read_to) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (name, highest),
    )
    connection.execute(f"UPDATE endpoint SET {change} WHERE name = ?", (*values, name))
    connection.execute("UPDATE endpoint_version SET number = number + 1")


def _version(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT number FROM endpoint_version").fetchone()[0]
    return number


def _rows(connection: sqlite3.Connection) -> dict[str, _Row]:
    rows = connection.execute("SELECT name, settings, from_outside, paused, removed FROM endpoint")
    return {
        name: _Row(msgspec.json.decode(text) if text else None, *map(bool, flags))
        for name, text, *flags in rows
    }


def _cancel_waiting(connection: sqlite3.Connection, name: str) -> int:
    """What waits for the endpoint, on its way or held, is not brought any more."""
    connection.execute("DELETE FROM held_report WHERE endpoint = ?", (name,))
    connection.execute("DELETE FROM message_under_way WHERE endpoint = ?", (name,))
    return connection.execute(
        "UPDATE dispatch SET state = 'cancelled', due_at = NULL"
        " WHERE endpoint = ? AND state = 'waiting'",
        (name,),
    ).rowcount
