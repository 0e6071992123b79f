"""The settings of the receiver. `config/dlr.toml` shows each with its default and the reason."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal, Protocol

from receiver.configuration import Between, ByteSize, Form

Name = Annotated[
    str,
    Form(
        "a name of 1 to 64 letters, digits, dots, underscores or hyphens",
        re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII).fullmatch,
    ),
]
"""A name that can stand in a URL's path as it is."""


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})", text))
    return True


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the server listens and what it takes. `port` 0 is a free one."""

    bind: Annotated[str, Form("an address or a host name without a port", _is_host)] = "127.0.0.1"
    port: Annotated[int, Between(0, 65_535)] = 8080
    body_limit: Annotated[ByteSize, Between(1)] = 10 * 1024**2
    stop_timeout: timedelta = timedelta(seconds=20)  # for requests under way, at an orderly stop
    without_credentials: Literal["refused", "allowed"] = "refused"


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`database` is a path or a URL. A URL may hold a password, hence it is not in the repr."""

    database: Annotated[str, Form("a path or a URL", bool)] = field(default="dlr.db", repr=False)


@dataclass(frozen=True, slots=True)
class LogSettings:
    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One sender of callbacks: it posts to `/notify/{name}`."""

    name: Name


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    source: tuple[SourceSettings, ...] = (SourceSettings("default"),)
    log: LogSettings = LogSettings()

    def faults(self) -> Iterable[tuple[str, str]]:
        if not self.source:
            yield "source", "expected at least one [[source]], got none"
        yield from repeated_names("source", self.source)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def repeated_names(key: str, entries: Sequence[_Named]) -> Iterator[tuple[str, str]]:
    """A fault for every entry of the array `key` whose name an earlier one has."""
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.name in seen:
            yield f"{key}[{index}].name", f'expected a name of its own, got "{entry.name}" again'
        seen.add(entry.name)


def may_listen(server: ServerSettings) -> str | None:
    """Why the server must not listen on `bind`; `None` when it may.

    The API and the pages ask for no credentials yet, so anywhere else than on the loopback
    whoever finds the port reads every report. It takes words to want that.
    """
    if server.without_credentials == "allowed" or _is_loopback(server.bind):
        return None
    return (
        f"server.bind: {server.bind} can be reached by other machines, and the API asks for no "
        'credentials; bind to 127.0.0.1, or set server.without_credentials to "allowed"'
    )


def _is_loopback(bind: str) -> bool:
    """No name is looked up: of the names only `localhost` is known to stay on this machine."""
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return bind.lower() == "localhost"
