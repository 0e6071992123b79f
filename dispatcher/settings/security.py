"""The settings of what is safe: how a push proves who sends it, whom it trusts, where it may go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Annotated, Literal

from msgspec import structs
from yarl import URL

from dispatcher.security.addresses import AddressPolicy, policy, ports
from dispatcher.security.signing import (
    Basic,
    HeaderSecret,
    Hmac,
    OAuth,
    Security,
    StandardWebhooks,
    is_webhook_secret,
)
from dispatcher.security.tls import Tls, TlsVersion, faults
from dispatcher.settings.forms import (
    HeaderValue,
    HttpUrl,
    Username,
    header_fault,
)
from dispatcher.settings.sandbox import SandboxSettings
from receiver.hmac_signature import Algorithm, Encoding, HmacScheme, Signed
from receiver.settings.configuration import MAY_HOLD_SECRET, Form, Secret
from receiver.settings.settings import HeaderName, Network

_VISIBLE = re.compile(r"[ -~]*").fullmatch
_Prefix = Annotated[str, MAY_HOLD_SECRET, Form("visible ASCII characters", _VISIBLE)]
_SECRET = Annotated[Secret, Form("a text that is not empty", bool)]

_REQUIRED = {
    "none": (),
    "basic": ("username", "password"),
    "header": ("header", "value"),
    "hmac": ("secret_key",),
    "standard-webhooks": ("secret_key",),
    "oauth": ("token_url", "client_id", "client_secret"),
}
_OPTIONAL = {
    "none": (),
    "basic": (),
    "header": (),
    "hmac": ("header", "algorithm", "encoding", "prefix", "timestamp_header", "signed"),
    "standard-webhooks": ("old_secret_key",),
    "oauth": ("scope", "resource", "client_authentication"),
}


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """How a push proves who sends it. Each `type` takes settings of its own and no others; `None`
    is not set. The names are those of the provider's notification profile (reference, part 4.3),
    which documents nothing of the HMAC but the algorithms: the defaults of the rest are ours.
    """

    type: Literal["none", "basic", "header", "hmac", "standard-webhooks", "oauth"] = "none"
    username: Username | None = None
    password: Secret | None = None
    header: HeaderName | None = None  # hmac: None is X-Infobip-Signature
    value: HeaderValue | None = None
    secret_key: _SECRET | None = None
    old_secret_key: _SECRET | None = None  # signs too, until the customer has changed over
    algorithm: Algorithm | None = None  # None: HMAC_SHA_256
    encoding: Encoding | None = None  # None: hex
    prefix: _Prefix | None = None  # None: ""
    timestamp_header: HeaderName | None = None  # None: no instant is sent
    signed: Signed | None = None  # None: body
    token_url: HttpUrl | None = field(default=None, repr=False)  # may hold a password
    client_id: str | None = None
    client_secret: _SECRET | None = None
    scope: str | None = None
    resource: str | None = None
    client_authentication: Literal["header", "body"] | None = None  # None: header

    def shown(self) -> tuple[str, ...]:
        """The settings that say something under this type."""
        return "type", *_REQUIRED[self.type], *_OPTIONAL[self.type]

    def faults(self) -> Iterable[tuple[str, str]]:
        for name in _REQUIRED[self.type]:
            if getattr(self, name) is None:
                yield name, (f'expected a text, because type = "{self.type}" needs it, got nothing')
        for each in fields(self):
            if each.name not in self.shown() and getattr(self, each.name) is not None:
                yield each.name, f'does not belong to type = "{self.type}"'
        if self.token_url is not None and URL(self.token_url).raw_user is not None:
            yield "token_url", "expected no user and password in it; they are client_id and _secret"
        yield from self._faults_of_headers()
        if self.type == "hmac" and self.signed == "timestamp.body" and not self.timestamp_header:
            yield "signed", "expected a timestamp_header whose value is signed, got none"
        if self.type == "standard-webhooks":
            yield from self._faults_of_webhook_keys()

    def _faults_of_headers(self) -> Iterator[tuple[str, str]]:
        for name in ("header", "timestamp_header"):
            header = getattr(self, name) or ""
            if (fault := header_fault(header)) is not None:
                yield name, fault
            if header.lower() == "host":
                yield name, "cannot be Host, which says where the request goes"
        if (
            self.timestamp_header
            and self.timestamp_header.lower() == (self.header or HmacScheme().header).lower()
        ):
            yield "timestamp_header", "expected a header other than that of the signature"

    def _faults_of_webhook_keys(self) -> Iterator[tuple[str, str]]:
        for name in ("secret_key", "old_secret_key"):
            key = getattr(self, name)
            if key is not None and not is_webhook_secret(key.reveal()):
                words = "whsec_ and 24 to 64 bytes in base64, got a text"
                yield name, f"expected {words} of {len(key.reveal())} characters"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Whom an endpoint's connections trust, and the certificate that they show. Files are PEM, and
    read at the start; `None` of `ca_file` is the system's authorities."""

    minimum_version: TlsVersion = "1.2"
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None  # None: the key is in certificate_file

    def faults(self) -> Iterable[tuple[str, str]]:
        return faults(tls_of(self))


def _is_ports(text: str) -> bool:
    try:
        ports(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class OutgoingSettings:
    """Where requests may go whose URL came from outside. Endpoints of the settings are free, unless
    with `loopback_only` nothing leaves this machine. A sandbox has that in any case."""

    allowed_networks: tuple[Network, ...] = ()  # although they are private
    allowed_ports: tuple[
        Annotated[str, Form("a port or a range such as 1024-65535", _is_ports)], ...
    ] = ("80", "443", "1024-65535")
    loopback_only: bool = False


def security_of(settings: SecuritySettings) -> Security | None:
    """The security that the settings describe, which have no faults."""
    match settings.type:
        case "none":
            return None
        case "basic":
            return Basic(username=settings.username or "", password=_revealed(settings.password))
        case "header":
            return HeaderSecret(header=settings.header or "", value=_revealed(settings.value))
        case "hmac":
            return Hmac(secret_key=_revealed(settings.secret_key), scheme=_scheme(settings))
        case "standard-webhooks":
            old = settings.old_secret_key
            return StandardWebhooks(
                secret_key=_revealed(settings.secret_key),
                old_secret_key=None if old is None else old.reveal(),
            )
        case "oauth":
            return OAuth(
                token_url=settings.token_url or "",
                client_id=settings.client_id or "",
                client_secret=_revealed(settings.client_secret),
                scope=settings.scope,
                resource=settings.resource,
                client_authentication=settings.client_authentication or "header",
            )


def tls_of(settings: TlsSettings) -> Tls:
    return Tls(
        minimum_version=settings.minimum_version,
        ca_file=settings.ca_file,
        certificate_file=settings.certificate_file,
        key_file=settings.key_file,
    )


def policy_of(settings: OutgoingSettings, sandbox: SandboxSettings | None = None) -> AddressPolicy:
    """Where a process may send to, or that of a sandbox."""
    said = policy(settings.allowed_networks, settings.allowed_ports)
    if sandbox is None:
        return structs.replace(said, loopback_only=settings.loopback_only)
    hosts = frozenset(host.lower().removesuffix(".") for host in sandbox.allowed_hosts)
    return structs.replace(said, loopback_only=True, hosts=hosts, setting="sandbox.allowed_hosts")


def _scheme(settings: SecuritySettings) -> HmacScheme:
    """What is not set is as the scheme has it, which the receiver shares."""
    names = ("header", "algorithm", "encoding", "prefix", "timestamp_header", "signed")
    given = {name: getattr(settings, name) for name in names}
    return HmacScheme(**{name: value for name, value in given.items() if value is not None})


def _revealed(secret: Secret | None) -> str:
    return "" if secret is None else secret.reveal()
