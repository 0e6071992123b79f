"""The settings of `dlr serve` and its parts. `config/dlr.toml` shows each with its default."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from yarl import URL

from receiver.configuration import Between, Form, Secret, read
from receiver.settings import Name, ReceiverSettings, repeated_names


def _is_http_url(text: str) -> bool:
    """Asked of yarl, because aiohttp is going to."""
    try:
        url = URL(text)
    except ValueError:
        return False
    return (
        url.scheme in ("http", "https") and bool(url.host) and not re.search(r"[\s\x00-\x1f]", text)
    )


HttpUrl = Annotated[str, Form("an http or https URL with a host", _is_http_url)]

HeaderValue = Annotated[
    Secret,
    Form("a text without control characters", re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*").fullmatch),
]

StatusGroup = Literal["ACCEPTED", "PENDING", "UNDELIVERABLE", "DELIVERED", "EXPIRED", "REJECTED"]

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OUR_HEADERS = frozenset({"content-type", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """A customer URL, how it is called, and which reports go there.

    The bounds of `bucket_size`, `connect_timeout` and `read_timeout` are those of the provider's
    notification profiles; `window` and `read_timeout` may be less here, for tests of a slow
    customer. `read_timeout` is the longest silence, not the whole answer.
    """

    name: Name
    url: HttpUrl = field(repr=False)  # may hold a password
    content_type: Literal["application/json", "application/xml"] = "application/json"
    generation: Literal["as-received", "v2", "v3"] = "as-received"
    bucket_size: Annotated[int, Between(1, 2_000)] = 100  # reports in one request, at most
    window: Annotated[int, Between(1, 10_000)] = 20  # requests under way at once
    connect_timeout: Annotated[
        timedelta, Between(timedelta(milliseconds=300), timedelta(seconds=30))
    ] = timedelta(seconds=10)
    read_timeout: Annotated[
        timedelta, Between(timedelta(milliseconds=100), timedelta(seconds=90))
    ] = timedelta(seconds=10)
    headers: dict[str, HeaderValue] = field(default_factory=dict)
    sources: tuple[str, ...] = ()  # empty: all
    reports: Literal["all", "final", "intermediate"] = "all"
    status_groups: tuple[StatusGroup, ...] = ()  # empty: all

    def faults(self) -> Iterable[tuple[str, str]]:
        for name in self.headers:
            if not _HEADER_NAME.fullmatch(name):
                yield "headers", f'expected names of HTTP headers, got "{name}"'
            elif name.lower() in _OUR_HEADERS:
                yield f"headers.{name}", "cannot be fixed, it follows from the body"


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """When a failed attempt is repeated: `infobip` is 1 min + 1 min·n² for n = 0…19."""

    preset: Literal["infobip"] = "infobip"


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """Everything that `dlr serve` needs. It is the receiver's settings too, so that `receive`,
    `dispatch` and `serve` read one and the same file.
    """

    endpoint: tuple[EndpointSettings, ...] = ()
    schedule: DispatchSettings = DispatchSettings()

    def faults(self) -> Iterable[tuple[str, str]]:
        # Not super(): a dataclass with slots is another class than the one super() remembers.
        yield from ReceiverSettings.faults(self)
        yield from repeated_names("endpoint", self.endpoint)
        yield from self._unknown_sources()

    def _unknown_sources(self) -> Iterator[tuple[str, str]]:
        known = [each.name for each in self.source]
        words = "the name of a [[source]] (" + ", ".join(f'"{name}"' for name in known) + ")"
        for number, endpoint in enumerate(self.endpoint):
            for index, name in enumerate(endpoint.sources):
                if name not in known:
                    place = f"endpoint[{number}].sources[{index}]"
                    yield place, f'expected {words}, got "{name}"'


def find_file(named: Path | None, working_directory: Path) -> Path | None:
    """The file to read: the one that is named, be it there or not; else `dlr.toml`, else
    `config/dlr.toml` of the working directory; `None` when there is neither.
    """
    if named is not None:
        return named
    usual = (working_directory / "dlr.toml", working_directory / "config" / "dlr.toml")
    return next((each for each in usual if each.is_file()), None)


def read_settings(file: Path | None, environment: Mapping[str, str]) -> Settings:
    """The settings from `file`, or from where they usually are when it is `None`, and from the
    `DLR_…` variables. Raises `ConfigurationError` with all faults.
    """
    return read(Settings, find_file(file, Path()), environment)
