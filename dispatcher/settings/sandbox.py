"""`[sandbox]`: who may use it, and what becomes of the messages that are sent to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal

from dispatcher.security.tls import Tls
from dispatcher.security.tls import faults as tls_faults
from dispatcher.security.urls import is_http_url, spelling_fault
from dispatcher.settings.forms import Regex
from receiver.dlr.number import is_prefix
from receiver.dlr.sms_errors import errors
from receiver.dlr.statuses import SMS_STATUSES
from receiver.settings.configuration import Between, Form, Secret
from receiver.settings.settings import Host, Name, ServerSettings, WebOrigin, is_loopback

Scheme = Literal["App", "Basic", "Bearer", "IBSSO"]
Scope = Literal[
    "message:send",
    "sms:message:send",
    "sms:logs:read",
    "inbound-message:read",
    "sms:inbound-message:read",
    "sms:manage",
    "account-management:manage",
]

Distribution = Literal["fixed", "uniform", "exponential"]

Told = Literal["once", "twice", "late-enroute", "never"]
"""How the outcome is told: as it should be, with an identical copy, before the report that the
message is on its way, or not at all."""


def _known(words: Callable[[], Container[str]]) -> Callable[[str], bool]:
    return lambda text: text in words()


Recipient = Annotated[
    str,
    Form(
        "a number such as 41793026727, or a prefix and a star such as 4179*",
        lambda text: not text or is_prefix(text.removesuffix("*")),
    ),
]

StatusName = Annotated[
    str, Form("the name of an SMS status", frozenset(SMS_STATUSES.values()).__contains__)
]

Answered = Literal["MESSAGE_ACCEPTED", "PENDING_ENROUTE", "PENDING_ACCEPTED"]
"""What the provider's documents show as the status of a message in the answer to its request."""

ErrorName = Annotated[str, Form("the name of an SMS error", _known(errors))]

Wait = Annotated[timedelta, Between(timedelta(0), timedelta(days=30))]


@dataclass(frozen=True, slots=True)
class OutcomeRule:
    """What becomes of the messages that fit. The first rule counts that fits and whose `share` of
    them it is. An empty text fits any message."""

    to: Recipient = ""
    sender: str = ""
    text: Regex = ""
    callback_data: Regex = ""
    share: Annotated[float, Between(0, 1)] = 1.0
    status: StatusName = "DELIVERED_TO_HANDSET"
    error: ErrorName | None = None  # None: as usual with the status
    after: Wait = timedelta(seconds=2)  # from its leaving; the mean, unless fixed
    distribution: Distribution = "fixed"
    told: Told = "once"
    price: Annotated[float, Between(0, 1_000)] | None = None  # None: sandbox.price; rejected: 0
    answered: Answered | None = None  # None: v1_status in v1, otherwise PENDING_ACCEPTED


@dataclass(frozen=True, slots=True)
class Ending:
    """How a message ends when that is told by hand."""

    status: StatusName
    error: ErrorName | None = None  # None: as usual with the status


RoutePath = Annotated[
    str,
    Form(
        "a path such as /sms/3/messages, or a prefix and a star such as /sms/2/*",
        re.compile(r"(/[!-)+-~]*\*?)?", re.ASCII).fullmatch,
    ),
]

Keyword = Annotated[
    str, Form("one word, or an empty text", lambda text: not text or text.split() == [text])
]

ForwardUrl = Annotated[
    str,
    Form(
        "an http or https URL with a host, or an empty text",
        lambda text: not text or is_http_url(text),
        lambda text: spelling_fault(text) if text else None,
    ),
]


@dataclass(frozen=True, slots=True)
class FaultRule:
    """Trouble on order: what the requests that fit get instead of their answer. The first rule
    counts that fits and whose `share` of them it is. An empty text fits any request."""

    status: Annotated[int, Between(200, 599)] | None = None  # None: as without this rule
    next: Annotated[int, Between(1, 1_000_000)] | None = None  # so many requests; None: all
    route: RoutePath = ""
    to: Recipient = ""
    share: Annotated[float, Between(0, 1)] = 1.0
    delay: Annotated[timedelta, Between(timedelta(0), timedelta(minutes=10))] | None = None
    drop: bool = False
    reset: bool = False
    body: str | None = None  # None: the provider's own with this status

    def faults(self) -> Iterable[tuple[str, str]]:
        if self.status is None and self.delay is None and not (self.drop or self.reset):
            yield "status", "expected at least one of status, drop, reset and delay"
        if self.status is None and self.body is not None:
            yield "body", "can only be used with a status"
        if self.status is not None and self.status < 400 and self.body is None:
            yield "body", f"expected with status {self.status}, which is not an error"


@dataclass(frozen=True, slots=True)
class InboundRule:
    """Where SMS go that come in. The first rule counts that fits. An empty text fits any SMS;
    without a URL it waits to be pulled."""

    to: Recipient = ""
    keyword: Keyword = ""
    url: ForwardUrl = field(default="", repr=False)  # may hold a password
    content_type: Literal["application/json", "application/xml"] = "application/json"
    callback_data: str = ""


@dataclass(frozen=True, slots=True)
class CredentialSettings:
    """One that is valid. `secret` is the API key, the password or the token. With Basic it is also
    taken as username and password in the query of /sms/1/text/query.
    """

    name: Name
    secret: Annotated[Secret, Form("a text that is not empty", bool)]
    scheme: Scheme = "App"
    username: str | None = None
    scopes: tuple[Scope, ...] = ()  # empty: all

    def faults(self) -> Iterable[tuple[str, str]]:
        if (self.scheme == "Basic") != (self.username is not None):
            yield "username", "is required with scheme Basic, and allowed only there"
        if self.username is not None and ":" in self.username:
            yield "username", "expected a name without a colon"


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """The sandbox. The same `seed` makes the same messages fare the same."""

    seed: int = 1
    price: Annotated[float, Between(0, 1_000)] = 0.01
    currency: Annotated[
        str, Form("three letters such as EUR", re.compile("[A-Z]{3}").fullmatch)
    ] = "EUR"
    mcc_mnc: Annotated[
        str, Form("5 or 6 digits such as 22801", re.compile("[0-9]{5,6}", re.ASCII).fullmatch)
    ] = "22801"
    v1_status: Answered = "PENDING_ACCEPTED"
    allowed_hosts: tuple[Host, ...] = ()  # called although they are not on this machine
    notify_ca_file: str = ""  # empty: notifyUrls must suit the system's authorities
    cors_origins: tuple[WebOrigin, ...] = ()  # of pages that may use it
    log_requests: bool = True  # a line for each request to the provider's routes
    outcome: tuple[OutcomeRule, ...] = ()
    fault: tuple[FaultRule, ...] = ()
    inbound: tuple[InboundRule, ...] = ()
    credential: tuple[CredentialSettings, ...] = ()  # empty: any that are well formed

    def faults(self) -> Iterable[tuple[str, str]]:
        for _, text in tls_faults(Tls(ca_file=self.notify_ca_file or None)):
            yield "notify_ca_file", text


def may_mount(server: ServerSettings, sandbox: SandboxSettings) -> str | None:
    """Why the send API must not be listened to where `bind` says; `None` when it may.

    Whoever finds an open one has this machine post to URLs of his choice, its loopback included.
    """
    if sandbox.credential or server.without_credentials == "allowed" or is_loopback(server.bind):
        return None
    return (
        f"server.bind: {server.bind} can be reached by other machines, and the sandbox takes any "
        "credentials; name a [[sandbox.credential]], bind to 127.0.0.1, or set "
        'server.without_credentials to "allowed"'
    )
