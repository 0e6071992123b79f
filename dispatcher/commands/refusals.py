"""What a process would refuse at its start, beyond faults of single settings: `dlr check` says it
without a start."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dispatcher.commands.gone import gone_lines
from dispatcher.endpoints.registry import registry_of
from dispatcher.settings.never_matching import never_matching
from dispatcher.settings.sandbox import may_mount
from dispatcher.settings.settings import Settings
from dispatcher.storage import storage_as_it_is
from receiver.server import naming_the_address
from receiver.settings.settings import ServerSettings, may_listen
from receiver.store.base import StoreUnavailable


async def refusals(settings: Settings) -> tuple[list[str], list[str]]:
    """Why `dlr serve`, `receive` or `dispatch` would refuse to start; and, if the database can be
    read, a line for each endpoint that has left the settings."""
    opened, gone = _no_folder(settings.store.database), list[str]()
    if opened is None:
        opened, gone = await _database(settings)
    listening = may_listen(settings.server, settings.api)
    address = next(filter(None, map(_address, _ports(settings.server))), None)
    return [each for each in (listening, address, opened) if each is not None], gone


def warnings(settings: Settings) -> Iterator[str]:
    """What stops no start of these three, and what an operator wants to know."""
    if (refusal := may_mount(settings.server, settings.sandbox)) is not None:
        yield f"only `dlr sandbox` would not start: {refusal}"
    for server in _ports(settings.server):
        if _is_in_use(server):
            yield (
                f"server.port: {server.port} is in use, by a running dlr or by another program;"
                " `dlr check --live` asks it"
            )
    for place, reason in never_matching(settings):
        yield f"{place}: can never match: {reason}"


def _no_folder(database: str) -> str | None:
    """Why a new file cannot be made there."""
    folder = Path(database).parent
    if "://" in database or folder.is_dir():
        return None
    return f"store.database: there is no directory {folder}"


def _is_there(database: str) -> bool:
    return "://" in database or Path(database).exists()


async def _database(settings: Settings) -> tuple[str | None, list[str]]:
    if not _is_there(settings.store.database):
        return None, []
    try:
        async with storage_as_it_is(settings.store.database) as opened:
            if opened is None:  # of an older version: it is migrated at the start
                return None, []
            return None, await gone_lines(opened, registry_of(opened.endpoints, settings))
    except StoreUnavailable as error:
        return f"store.database: {error}", []


def _ports(server: ServerSettings) -> list[ServerSettings]:
    """Where `dlr serve` and `receive` listen, and where `dlr dispatch` does."""
    return [server, replace(server, port=server.port_of_dispatch)]


def _address(server: ServerSettings) -> str | None:
    """Why nobody can listen there, even when the port is free."""
    try:
        with naming_the_address(server.bind, server.port):
            _listen(server)
    except OSError as error:
        cause = error.__cause__
        in_use = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
        return None if in_use else f"server.bind: {error}"
    return None


def _is_in_use(server: ServerSettings) -> bool:
    try:
        _listen(server)
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _listen(server: ServerSettings) -> None:
    """Take the address for a moment. Raises OSError."""
    found = socket.getaddrinfo(
        server.bind, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
