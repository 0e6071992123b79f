"""An endpoint: a customer's URL with what the dispatcher must know to push to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, Protocol
from urllib.parse import unquote

from msgspec import Struct

from dispatcher.retrying.outcome import OutcomeRules
from dispatcher.retrying.schedule import RetrySchedule
from dispatcher.security.signing import OAuth, Security, basic
from dispatcher.security.tls import Tls
from dispatcher.security.urls import without_user
from receiver.dlr.model import Generation

ContentType = Literal["application/json", "application/xml"]


class Rules(Struct, frozen=True):
    """Which reports go to an endpoint. Empty means: any; all that are given must agree.

    `nothing`: none goes there by itself, it takes only what is replayed to it. `own_urls`: those
    that came with a URL of their own; a URL of a message goes before any subscription (reference,
    4.3). `None`: with one or without. Numbers are in the comparable form (number.py).
    """

    own_urls: bool | None = False
    sources: frozenset[str] = frozenset()
    final: bool | None = None
    status_groups: frozenset[int] = frozenset()
    senders: frozenset[str] = frozenset()
    to_prefixes: tuple[str, ...] = ()
    bulk_ids: frozenset[str] = frozenset()
    application_ids: frozenset[str] = frozenset()
    entity_ids: frozenset[str] = frozenset()
    callback_data_prefix: str = ""
    callback_data_fields: Mapping[str, str] = {}  # of callbackData that is a JSON object
    nothing: bool = False

    @property
    def asks_fields(self) -> bool:
        """Whether the item must be read to decide; the rest lies in the store's columns."""
        return bool(
            self.senders
            or self.to_prefixes
            or self.bulk_ids
            or self.application_ids
            or self.entity_ids
            or self.callback_data_prefix
            or self.callback_data_fields
        )


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where and how to push. Names follow the provider's notification profile (reference, 4.3).

    `url` holds no credentials: they are in `headers`, which are never printed.
    `generation` None pushes each report in the shape in which it was received. `schedule` None is
    the worker's, `outcome` None are the rules of the schedule. `security` None proves nothing.
    `checked` says that the URL came from outside: then the address of each connection is judged
    before it is made (addresses.py), that of the token endpoint too.
    `own_urls` is the endpoint of all reports that came with a URL of their own: each goes there, in
    the format that it is wanted in, and `url` and `content_type` say nothing (own_urls.py).
    """

    name: str
    url: str
    content_type: ContentType = "application/json"
    generation: Generation | None = None
    bucket_size: int = 100
    window: int = 20
    connect_timeout: timedelta = timedelta(seconds=10)
    read_timeout: timedelta = timedelta(seconds=10)
    headers: Mapping[str, str] = {}
    rules: Rules = Rules()
    rate_limit: float | None = None  # requests a second, in the world's time
    breaker_failures: int = 0  # in a row; 0: no breaker
    breaker_probe: timedelta = timedelta(seconds=30)
    ordered: bool = False
    paused: bool = False
    schedule: RetrySchedule | None = None
    outcome: OutcomeRules | None = None
    security: Security | None = None
    tls: Tls = Tls()
    checked: bool = False
    own_urls: bool = False

    @property
    def may_be_xml(self) -> bool:
        """Whether a push to it can be XML, which takes long to make."""
        return self.own_urls or self.content_type == "application/xml"

    @property
    def holds_secrets(self) -> bool:
        """Whether a push brings along what was agreed with one host."""
        return self.security is not None or bool(self.headers)

    @property
    def exchange_time(self) -> timedelta:
        """No request with its answer takes longer, in the world's time."""
        return self.connect_timeout + self.read_timeout

    @property
    def attempt_time(self) -> timedelta:
        """No attempt takes longer, in the world's time. With OAuth it is at most four exchanges:
        a token, the push, and after a 401 a new token and the push again."""
        return self.exchange_time * (4 if isinstance(self.security, OAuth) else 1)


class EndpointsInForce(Protocol):
    """Where the endpoints are asked for that can change meanwhile."""

    async def endpoints(self) -> list[Endpoint]:
        """All endpoints as they are now."""


class Target(Struct, frozen=True):
    """Where a dispatch goes: a URL without user and password, the content type, and the header
    `Authorization` that they became."""

    url: str
    content_type: str
    authorization: str | None = None


def credentials_to_header(url: str) -> tuple[str, dict[str, str]]:
    """Move `user:password@` out of a URL into an Authorization header; so it is never logged."""
    without, userinfo = without_user(url)
    if userinfo is None:
        return url, {}
    user, _, password = userinfo.partition(":")  # the colon belongs to Basic, password or not
    return without, basic(unquote(user), unquote(password))
