"""The settings of the receiver. `config/dlr.toml` shows each with its default and the reason."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal, Protocol

from yarl import URL

from receiver.hmac_signature import Algorithm, Encoding, Signed
from receiver.settings.configuration import MAY_HOLD_SECRET, Between, ByteSize, Form, Secret

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


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


Network = Annotated[str, Form("an address or a network such as 203.0.113.0/24", _is_network)]

Host = Annotated[str, Form("an address or a host name without a port", _is_host)]


def _is_origin(text: str) -> bool:
    try:
        url = URL(text)
        return url.scheme in ("http", "https") and str(url.origin()) == text
    except ValueError:
        return False


WebOrigin = Annotated[
    str, Form("an origin such as https://app.example or http://localhost:3000", _is_origin)
]
"""Where a page comes from, as browsers write it: without path, final slash and usual port."""

HeaderName = Annotated[
    str,
    MAY_HOLD_SECRET,
    Form("the name of an HTTP header", re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch),
]

Secrets = tuple[Annotated[Secret, Form("a text that is not empty", bool)], ...]
"""Any of them will do: while a secret is changed, the old and the new one are valid."""

ApiSecret = Annotated[
    Secret,
    Form("at least 16 visible ASCII characters", re.compile(r"[!-~]{16,}").fullmatch),
]

Sha256 = Annotated[
    str,
    MAY_HOLD_SECRET,
    Form("64 hexadecimal digits", re.compile(r"[0-9A-Fa-f]{64}", re.ASCII).fullmatch),
]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the server listens and what it takes. `port` 0 is a free one.

    Of the addresses in X-Forwarded-For the last `trusted_proxies` count, and only as far as they
    were written by an address of `proxy_networks`. What `hosts` and `cors_origins` are for is told
    in api/browser.py. `dispatch_port` `None`: `dlr dispatch` listens on the port after `port`, so
    that it and `dlr receive` can run side by side from one file.
    """

    bind: Host = "127.0.0.1"
    port: Annotated[int, Between(0, 65_535)] = 8080
    dispatch_port: Annotated[int, Between(0, 65_535)] | None = field(default=None, kw_only=True)
    # Processes that take callbacks, all on `port`. 1: this one. More have the first do the rest.
    receivers: Annotated[int, Between(1, 64)] = field(default=1, kw_only=True)
    body_limit: Annotated[ByteSize, Between(1)] = 10 * 1024**2
    stop_timeout: timedelta = timedelta(seconds=20)  # for requests under way, at an orderly stop
    without_credentials: Literal["refused", "allowed"] = "refused"
    trusted_proxies: Annotated[int, Between(0, 16)] = 0  # 0: X-Forwarded-For is ignored
    proxy_networks: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    event_readers: Annotated[int, Between(0)] = 20  # of GET /api/events, at once
    hosts: tuple[Host, ...] = ()  # names of this server, beside `bind` and the loopback's
    cors_origins: tuple[WebOrigin, ...] = ()  # of pages that may use /api; empty: only our own

    @property
    def port_of_dispatch(self) -> int:
        """Where `dlr dispatch` listens. Beside a free port (0) it takes a free one too."""
        if self.dispatch_port is not None:
            return self.dispatch_port
        return self.port + 1 if 0 < self.port < 65_535 else 0

    def faults(self) -> Iterable[tuple[str, str]]:
        if self.port and self.dispatch_port == self.port:
            yield "dispatch_port", f"expected another port than port, got {self.port} for both"


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one client may take of this process. `server.body_limit` belongs here too."""

    items: Annotated[int, Between(1)] = 2_000  # in one body
    field: Annotated[ByteSize, Between(1)] = 64 * 1024  # of one text of a report, in UTF-8
    header: Annotated[ByteSize, Between(256, 1024**2)] = 8 * 1024  # each, and the request line
    headers: Annotated[int, Between(8, 10_000)] = 128  # in one request
    body_timeout: Annotated[timedelta, Between(timedelta(milliseconds=10))] = timedelta(seconds=30)
    idle_timeout: Annotated[timedelta, Between(timedelta(milliseconds=10))] = timedelta(seconds=75)
    connections: Annotated[int, Between(1)] = 800
    bodies: Annotated[ByteSize, Between(1)] = 64 * 1024**2  # of all requests at once


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`database` is a path or a URL. A URL may hold a password, hence it is not in the repr."""

    database: Annotated[str, Form("a path or a URL", str.strip)] = field(
        default="dlr.db", repr=False
    )
    wait: Annotated[timedelta, Between(timedelta(0))] = timedelta(seconds=30)  # at the start


@dataclass(frozen=True, slots=True)
class LogSettings:
    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"
    mask_numbers: bool = True  # of recipients


@dataclass(frozen=True, slots=True)
class BasicSettings:
    """Authorization: Basic."""

    username: Annotated[
        str, MAY_HOLD_SECRET, Form("a name without a colon", re.compile("[^:]+").fullmatch)
    ]
    passwords: Secrets

    def faults(self) -> Iterable[tuple[str, str]]:
        yield from _none("passwords", self.passwords)


@dataclass(frozen=True, slots=True)
class HeaderSettings:
    """A secret in a header, after a `scheme` such as App or Bearer; alone where that is empty."""

    secrets: Secrets
    name: HeaderName = "X-Api-Key"
    scheme: Annotated[str, MAY_HOLD_SECRET, Form("one word", re.compile(r"[!-~]*").fullmatch)] = ""

    def faults(self) -> Iterable[tuple[str, str]]:
        yield from _none("secrets", self.secrets)


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """A secret in the query: `/notify/name?token=…`."""

    tokens: Secrets
    parameter: Annotated[str, Form("a name that is not empty", bool)] = "token"

    def faults(self) -> Iterable[tuple[str, str]]:
        yield from _none("tokens", self.tokens)


@dataclass(frozen=True, slots=True)
class HmacSettings:
    """An HMAC of the raw body. The provider documents the algorithms and nothing else."""

    keys: Secrets
    header: HeaderName = "X-Infobip-Signature"
    algorithm: Algorithm = "HMAC_SHA_256"
    encoding: Encoding = "hex"
    prefix: str = ""
    timestamp_header: HeaderName | None = None
    tolerance: Annotated[timedelta, Between(timedelta(seconds=1))] = timedelta(minutes=5)
    signed: Signed = "body"

    def faults(self) -> Iterable[tuple[str, str]]:
        yield from _none("keys", self.keys)
        if self.signed == "timestamp.body" and self.timestamp_header is None:
            yield "signed", "expected a timestamp_header whose value is signed, got none"


@dataclass(frozen=True, slots=True)
class CertificateSettings:
    """What a proxy that asks for client certificates says of them in headers. Believed only when
    the connection comes from `server.proxy_networks`.
    """

    verified_header: HeaderName = "X-SSL-Client-Verify"
    verified_value: Annotated[str, Form("a text that is not empty", bool)] = "SUCCESS"
    identity_header: HeaderName | None = None  # a fingerprint or a subject
    identities: tuple[str, ...] = ()  # any of them will do

    def faults(self) -> Iterable[tuple[str, str]]:
        if (self.identity_header is None) != (not self.identities):
            yield "identities", "expected together with identity_header, got one without the other"


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One sender of callbacks: it posts to `/notify/{name}`. All that is set here is demanded."""

    name: Name
    allow: tuple[Network, ...] = ()  # empty: from everywhere
    basic: BasicSettings | None = None
    header: HeaderSettings | None = None
    query: QuerySettings | None = None
    hmac: HmacSettings | None = None
    certificate: CertificateSettings | None = None

    def faults(self) -> Iterable[tuple[str, str]]:
        if self.basic and self.header and self.header.name.lower() == "authorization":
            yield "header.name", ("expected a header other than that of basic, got Authorization")


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """A token for `/api`, itself, its SHA-256, or one of each while it is changed. `read` may look,
    `operate` may do as well.
    """

    name: Name
    scope: Literal["read", "operate"] = "read"
    secret: ApiSecret | None = None
    sha256: Sha256 | None = None

    def faults(self) -> Iterable[tuple[str, str]]:
        if self.secret is None and self.sha256 is None:
            yield "secret", "expected this or sha256, got neither"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    # What /metrics asks for, where there are tokens.
    metrics: Literal["token", "open"] = field(default="token", kw_only=True)
    token: tuple[TokenSettings, ...] = ()  # empty: the API asks for no credentials

    def faults(self) -> Iterable[tuple[str, str]]:
        yield from repeated_names("token", self.token)


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How long reports and quarantine are kept, and how many of them at most. 0 is no limit."""

    reports: timedelta = timedelta(days=90)
    reports_max: Annotated[int, Between(0)] = 0
    quarantine: timedelta = timedelta(days=30)
    quarantine_max: Annotated[int, Between(0)] = 100_000


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    source: tuple[SourceSettings, ...] = (SourceSettings("default"),)
    log: LogSettings = LogSettings()
    limits: LimitSettings = LimitSettings()
    api: ApiSettings = ApiSettings()
    retention: RetentionSettings = RetentionSettings()

    def faults(self) -> Iterable[tuple[str, str]]:
        if not self.source:
            yield "source", "expected at least one [[source]], got none"
        yield from repeated_names("source", self.source)
        for index, source in enumerate(self.source):
            if source.certificate and not self.server.trusted_proxies:
                place = f"source[{index}].certificate"
                yield place, "expected server.trusted_proxies of at least 1 with it, got 0"


def _none(key: str, secrets: Sequence[Secret]) -> Iterator[tuple[str, str]]:
    if not secrets:
        yield key, "expected one secret, or two while it is being changed, got none"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def repeated_names(key: str, entries: Sequence[_Named]) -> Iterator[tuple[str, str]]:
    """A fault for every entry of the array `key` whose name an earlier one has."""
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.name in seen:
            yield f"{key}[{index}].name", f'expected a unique name, got "{entry.name}" again'
        seen.add(entry.name)


def may_listen(server: ServerSettings, api: ApiSettings = ApiSettings()) -> str | None:
    """Why the server must not listen on `bind`; `None` when it may.

    Without tokens the API asks for no credentials, so anywhere else than on the loopback whoever
    finds the port reads every report. It takes words to want that.
    """
    if api.token or server.without_credentials == "allowed" or is_loopback(server.bind):
        return None
    return (
        f"server.bind: {server.bind} can be reached by other machines, and the API asks for no "
        "credentials; name an [[api.token]], bind to 127.0.0.1, or set "
        'server.without_credentials to "allowed"'
    )


def is_loopback(bind: str) -> bool:
    """No name is looked up: of the names only `localhost` is known to stay on this machine."""
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return bind.lower() == "localhost"


def is_wildcard(bind: str) -> bool:
    """Whether it stands for all addresses of the machine."""
    try:
        return ipaddress.ip_address(bind).is_unspecified
    except ValueError:
        return False
