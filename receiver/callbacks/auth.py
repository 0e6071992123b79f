"""Who may post: what a source demands of a callback. Pure; nothing here reads, logs or answers.

Everything but the HMAC is told by the head of a request, so that a stranger's body is never read.
All secrets are tried and compared in constant time, as bytes: the time an answer takes tells
neither how near a guess is nor which of two secrets it was.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from receiver.callbacks.forwarded import HEADER, Proxies, among
from receiver.hmac_signature import HmacScheme, verify
from receiver.settings.configuration import Secret
from receiver.settings.settings import (
    BasicSettings,
    CertificateSettings,
    HeaderSettings,
    HmacSettings,
    QuerySettings,
    SourceSettings,
)

Refusal = Literal["address", "certificate", "basic", "header", "query", "hmac"]
"""Which demand was not met: for the log and the counter. The client is not told."""


class Headers(Protocol):
    """Headers of a request, their names in whatever case; aiohttp's are such."""

    def get(self, name: str) -> str | None: ...

    def getall(self, name: str, default: Sequence[str]) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The head of a request. `peer` is the address at the other end of the connection."""

    peer: str | None
    headers: Headers
    query: Mapping[str, str]


Demand = tuple[Refusal, Callable[[RequestFacts], bool]]


class Authenticator:
    """What one source demands of a callback. All of it must be met."""

    def __init__(self, source: SourceSettings, proxies: Proxies) -> None:
        self._proxies = proxies
        self._demands: list[Demand] = []
        if source.allow:
            networks = [ipaddress.ip_network(text) for text in source.allow]
            self._demands.append(("address", lambda facts: among(self.client(facts), networks)))
        if source.certificate:
            self._demands.append(("certificate", _certificate(source.certificate, proxies)))
        if source.basic:
            self._demands.append(("basic", _basic(source.basic)))
        if source.header:
            self._demands.append(("header", _header(source.header)))
        if source.query:
            self._demands.append(("query", _query(source.query)))
        self._signed = _hmac(source.hmac) if source.hmac else None

    @property
    def open(self) -> bool:
        """Whether nothing is demanded at all."""
        return not self._demands and self._signed is None

    def client(self, facts: RequestFacts) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """Where the request comes from, as far as the proxies can be trusted."""
        return self._proxies.client(facts.peer, facts.headers.getall(HEADER, ()))

    def before_body(self, facts: RequestFacts) -> Refusal | None:
        """The first demand that the head does not meet."""
        return next((kind for kind, is_met in self._demands if not is_met(facts)), None)

    def after_body(self, facts: RequestFacts, body: bytes, now: datetime) -> Refusal | None:
        """Whether the signature of the body is missing or wrong. `body` as it came: inflated only
        afterwards.
        """
        if self._signed is None or self._signed(facts, body, now):
            return None
        return "hmac"


def authenticators_of(
    sources: Iterable[SourceSettings], proxies: Proxies
) -> dict[str, Authenticator]:
    """Those of the sources that demand something, by name."""
    every = {source.name: Authenticator(source, proxies) for source in sources}
    return {name: each for name, each in every.items() if not each.open}


def one_of(given: bytes, secrets: Sequence[bytes]) -> bool:
    """Whether `given` is one of the secrets. Never tells by its time, except of their lengths."""
    matches = [hmac.compare_digest(given, secret) for secret in secrets]
    return any(matches)


def revealed(secrets: Sequence[Secret]) -> list[bytes]:
    """The secrets as they come over the wire."""
    return [secret.reveal().encode() for secret in secrets]


def as_sent(header: str) -> bytes:
    """The bytes of a header's value; aiohttp keeps those that are no UTF-8 as half characters."""
    return header.encode("utf-8", "surrogateescape")


def as_text(header: str) -> str:
    """A header's value as a text that can be stored and shown, whatever its bytes are."""
    return as_sent(header).decode("utf-8", "replace")


def after_scheme(header: str | None, scheme: str) -> str | None:
    """What follows the scheme in a header's value: `App` of `App 1234`, written in any case."""
    if header is None or not scheme:
        return header
    word, blank, rest = header.partition(" ")
    return rest.strip() if blank and word.lower() == scheme.lower() else None


def _basic(settings: BasicSettings) -> Callable[[RequestFacts], bool]:
    pairs = [b"%b:%b" % (settings.username.encode(), each) for each in revealed(settings.passwords)]

    def is_met(facts: RequestFacts) -> bool:
        encoded = after_scheme(facts.headers.get("Authorization"), "Basic")
        if encoded is None:
            return False
        try:
            given = base64.b64decode(as_sent(encoded), validate=True)
        except binascii.Error:
            return False
        return one_of(given, pairs)

    return is_met


def _header(settings: HeaderSettings) -> Callable[[RequestFacts], bool]:
    secrets = revealed(settings.secrets)

    def is_met(facts: RequestFacts) -> bool:
        given = after_scheme(facts.headers.get(settings.name), settings.scheme)
        return given is not None and one_of(as_sent(given), secrets)

    return is_met


def _query(settings: QuerySettings) -> Callable[[RequestFacts], bool]:
    secrets = revealed(settings.tokens)

    def is_met(facts: RequestFacts) -> bool:
        given = facts.query.get(settings.parameter)
        # Half characters can come out of a query too, and are in no secret.
        return given is not None and one_of(given.encode("utf-8", "surrogatepass"), secrets)

    return is_met


def _certificate(settings: CertificateSettings, proxies: Proxies) -> Callable[[RequestFacts], bool]:
    verified = [settings.verified_value.encode()]
    identities = [each.encode() for each in settings.identities]

    def is_met(facts: RequestFacts) -> bool:
        if not proxies.trust(facts.peer) or not _says(facts, settings.verified_header, verified):
            return False
        header = settings.identity_header
        return header is None or _says(facts, header, identities)

    return is_met


def _says(facts: RequestFacts, name: str, values: Sequence[bytes]) -> bool:
    """Whether the proxy says one of the values. A header that is there twice was not set by the
    proxy alone, and says nothing.
    """
    given = facts.headers.getall(name, ())
    return len(given) == 1 and one_of(as_sent(given[0]), values)


def _hmac(settings: HmacSettings) -> Callable[[RequestFacts, bytes, datetime], bool]:
    keys = revealed(settings.keys)
    scheme = HmacScheme(
        header=settings.header,
        algorithm=settings.algorithm,
        encoding=settings.encoding,
        prefix=settings.prefix,
        timestamp_header=settings.timestamp_header,
        tolerance=settings.tolerance,
        signed=settings.signed,
    )

    def is_met(facts: RequestFacts, body: bytes, now: datetime) -> bool:
        header = scheme.timestamp_header
        timestamp = None if header is None else facts.headers.get(header)
        return verify(scheme, keys, body, facts.headers.get(scheme.header), timestamp, now)

    return is_met
