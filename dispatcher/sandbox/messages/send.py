"""A send request as the sandbox speaks of it, whatever route and format it came by.

`wire/` reads requests into a `Send` and writes an `Accepted` back; what lies between, `accept`,
knows nothing of HTTP. Names are ours; the provider's spelling is found in `wire/`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Literal

from msgspec import Struct

from receiver.dlr.model import Format

Api = Literal["v1", "v2", "v3"]
"""The generation of a route: `/sms/1`, `/sms/2` or `/sms/3`."""

VALIDITY_MOST = timedelta(hours=48)
"""A longer validity period counts as this one (reference, part 6.5)."""


class TextContent(Struct, frozen=True, tag="text"):
    """A text, and the text that goes over the air: `sent` is what transliteration and the
    treatment of URLs made of it. `None` is what was not asked for.
    """

    text: str
    sent: str
    transliteration: str | None = None
    language_code: str | None = None
    single_shift: bool | None = None
    locking_shift: bool | None = None


class BinaryContent(Struct, frozen=True, tag="binary"):
    """Octets, with the data coding and the esm_class of SMPP: 0 is GSM 7-bit, 8 is Unicode; the
    bit 0x40 of the class says that `data` begins with a user data header.
    """

    data: bytes
    data_coding: int = 0
    esm_class: int = 0


class DeliveryTimeWindow(Struct, frozen=True):
    """When messages may go, in UTC. `start` and `end` are both there or both `None`, which is the
    whole day; an `end` before `start` is of the next day. `days` are those on which it opens.
    """

    days: frozenset[int]  # 0 is Monday
    start: time | None = None
    end: time | None = None


class Delivery(Struct, frozen=True):
    """What the sender wants to be told. `notify` false: no report at all. `url` None: the account's
    subscription, and without one the report waits to be pulled.
    """

    intermediate: bool = False
    notify: bool = True
    url: str | None = None
    format: Format = "json"
    callback_data: str | None = None


class SendingSpeed(Struct, frozen=True):
    """At most `amount` messages of a bulk in each `per`."""

    amount: int
    per: timedelta


class Refusal(Struct, frozen=True):
    """A message that is rejected although the request was fine: HTTP 200 and this status."""

    group_id: int
    status_id: int


class Tracking(Struct, frozen=True):
    """Conversion and click tracking of a request. `process_key` is what the end tag answers with;
    `url` is where clicks are to be told.
    """

    process_key: str | None = None
    type: str | None = None
    url: str | None = None


class ShortLink(Struct, frozen=True):
    """A link of a text, and the one that stands there instead. `code` is what `short` ends with."""

    code: str
    url: str
    short: str


class ShortLinks(Struct, frozen=True):
    """The links of a text that were shortened. `tracked`: clicks are counted, and told to the URL
    `told_to`, if there is one. `converts`: a click is what the message was sent for."""

    links: Sequence[ShortLink]
    tracked: bool
    told_to: str | None = None
    converts: bool = False


class Sms(Struct, frozen=True, kw_only=True):
    """One SMS to one destination.

    `to` has digits only, unless `refusal` says that it is no number. `parts` is 0 for what was
    refused before it could be counted.
    """

    message_id: str | None  # None: accept makes one
    to: str
    sender: str | None
    content: TextContent | BinaryContent
    parts: int
    delivery: Delivery
    flash: bool = False
    validity: timedelta = VALIDITY_MOST
    send_at: datetime | None = None  # may lie in the past: then it goes at once
    window: DeliveryTimeWindow | None = None
    application_id: str | None = None
    entity_id: str | None = None
    campaign_reference_id: str | None = None
    network_id: int | None = None
    regional: dict[str, Any] | None = None  # checked, in the provider's names
    links: ShortLinks | None = None  # None: no link of the text was shortened
    refusal: Refusal | None = None


class Send(Struct, frozen=True, kw_only=True):
    """One request: a bulk of messages."""

    api: Api
    bulk_id: str | None  # None: accept makes one
    messages: Sequence[Sms]
    speed: SendingSpeed | None = None
    tracking: Tracking | None = None


class AcceptedSms(Struct, frozen=True):
    """What became of one message: its id, and (group, id) of the status it has now. `answered`: of
    the one that a rule wants told instead of PENDING_ACCEPTED."""

    message_id: str
    to: str
    group_id: int
    status_id: int
    parts: int
    answered: tuple[int, int] | None = None


class Accepted(Struct, frozen=True):
    """The answer to a `Send`; `messages` in the order in which they came."""

    bulk_id: str
    messages: Sequence[AcceptedSms]


Accept = Callable[[Send], Awaitable[Accepted]]
"""Takes a request. What it has answered is on disk. Raises StoreUnavailable."""
