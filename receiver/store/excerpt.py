"""The fields of a stored report that can be asked about, without the rest.

Making a `Report` takes 12 us, an excerpt 2: searching and adding up go through many.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from decimal import Context, Decimal, Inexact
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from receiver.dlr.instants import parse_instant
from receiver.dlr.model import ErrorFields, Generation, StatusFields
from receiver.dlr.number import comparable
from receiver.dlr.statuses import GROUP_NUMBERS, SMS_STATUSES

TO: Final = 1
BULK_ID: Final = 2
SENDER: Final = 3

Dimension = Literal["network", "sender", "source"]
"""What reports are added up by."""

KEY_LENGTH: Final = 48
"""Characters of a text that are in its search key. Whatever a key finds is compared as a whole."""

EXACT: Final = Context(prec=250, traps=[Inexact])
"""Prices and their sums are exact, or not at all: 80 digits of a price leave room for any count."""

_LONGEST_NAME: Final = 128
_DELIVERED: Final = GROUP_NUMBERS["DELIVERED"]
_IDS = {(group, name): id for (group, id), name in SMS_STATUSES.items()}


class _Price(Struct, rename={"per_message": "pricePerMessage"}):
    per_message: Decimal | None = None
    currency: str | None = None


class _Status(Struct, rename="camel"):
    id: int | None = None
    name: str | None = None


class _Error(Struct, rename="camel"):
    group_id: int | None = None
    id: int | None = None
    name: str | None = None
    permanent: bool | None = None


class Excerpt(Struct, rename="camel"):
    """The fields of a stored item that can be asked about, by their names in v3."""

    bulk_id: str | None = None
    message_id: str | None = None
    to: str | None = None
    sender: str | None = None
    message_count: int | None = None
    mcc_mnc: str | None = None
    sent_at: str | None = None
    done_at: str | None = None
    callback_data: str | None = None
    price: _Price | None = None
    status: _Status | None = None
    error: _Error | None = None

    def keys(self) -> list[tuple[int, str]]:
        """What the report can be looked up by: field and text, of a number the comparable one."""
        return _keys(self.to, self.bulk_id, self.sender)

    def said(self) -> tuple[Any, ...]:
        """The arguments of `outcome_of` besides the columns."""
        return _said(self.status, self.error)


class _V2Excerpt(Excerpt, rename="camel"):
    sender: str | None = msgspec.field(default=None, name="from")
    message_count: int | None = msgspec.field(default=None, name="smsCount")


class ReportOutcome(Struct, frozen=True, array_like=True):
    """What a report says of status and error. Ids and names stand for each other where only one
    of them came and the provider's table knows the other."""

    final: bool
    status_group: int | None
    status_id: int | None
    status_name: str | None
    error_group: int | None
    error_id: int | None
    error_name: str | None
    permanent: bool | None

    @property
    def delivered(self) -> bool:
        """Whether it is final, and in the group DELIVERED."""
        return self.final and self.status_group == _DELIVERED


class Summary(Struct, frozen=True):
    """What the read model takes of a report: what it is looked up by, and what is added up of it.

    Made for each report as it comes in, so it holds what is there already; the rest is worked out
    by whoever follows. `price` is that of one part, `message_count` the number of parts.
    `milliseconds` are those from sentAt to doneAt, cut off.
    """

    to: str | None
    bulk_id: str | None
    sender: str | None
    mcc_mnc: str | None
    status: StatusFields | _Status | None
    error: ErrorFields | _Error | None
    currency: str | None
    price: Decimal | None
    message_count: int | None
    milliseconds: int | None

    def keys(self) -> list[tuple[int, str]]:
        """What the report can be looked up by, as of `Excerpt`."""
        return _keys(self.to, self.bulk_id, self.sender)

    def said(self) -> tuple[Any, ...]:
        """The arguments of `outcome_of` besides the columns."""
        return _said(self.status, self.error)

    def cost(self) -> Decimal | None:
        """What the message cost: the price of a part times the parts. A message without a count is
        one part.

        pricePerMessage is the "price per one message" (models/message_price.py of the provider's
        Python client 6.0.0; "per one SMS" in its v2 schema), and messageCount the "number of
        messages content was split to" (models/sms_log.py): both count parts. A long SMS is "charged
        per number of its parts" (dev.infobip.com/docs/long-sms).
        """
        if self.price is None or self.message_count is None or self.message_count <= 1:
            return self.price
        return EXACT.multiply(self.price, self.message_count)

    def parts(self) -> tuple[tuple[Dimension, str], ...]:
        """What it is added up by besides: the operator and the calling code of the recipient, and
        the sender. Each is empty where nothing tells it."""
        network = f"{(self.mcc_mnc or '').strip()[:_MCC_MNC_LENGTH]} {calling_code(self.to)}"
        return ("network", network), ("sender", key_of_text(self.sender or ""))


def calling_code(to: str | None) -> str:
    """The calling code that a number begins with; empty for what is none."""
    found = None if to is None else _CALLING_CODE.match(comparable(to))
    return "" if found is None else found[0]


def summary_of_item(item: str | bytes, generation: Generation | None) -> Summary:
    """The summary of an item as it is stored. Never raises, as `excerpt_of`."""
    excerpt = excerpt_of(item, generation)
    return Summary(
        to=excerpt.to,
        bulk_id=excerpt.bulk_id,
        sender=excerpt.sender,
        mcc_mnc=excerpt.mcc_mnc,
        status=excerpt.status,
        error=excerpt.error,
        currency=None if excerpt.price is None else excerpt.price.currency,
        price=None if excerpt.price is None else excerpt.price.per_message,
        message_count=excerpt.message_count,
        milliseconds=_milliseconds(excerpt.sent_at, excerpt.done_at),
    )


def _said(
    status: StatusFields | _Status | None, error: ErrorFields | _Error | None
) -> tuple[Any, ...]:
    of_status = (None, None) if status is None else (status.id, status.name)
    if error is None:
        return *of_status, None, None, None, None
    return *of_status, error.group_id, error.id, error.name, error.permanent


def _milliseconds(sent_at: str | None, done_at: str | None) -> int | None:
    if sent_at is None or done_at is None:
        return None
    with suppress(ValueError, OverflowError):
        return (parse_instant(done_at) - parse_instant(sent_at)) // _MILLISECOND
    return None


def _keys(to: str | None, bulk_id: str | None, sender: str | None) -> list[tuple[int, str]]:
    found = []
    if to is not None:
        found.append((TO, key_of_text(comparable(to))))
    if bulk_id is not None:
        found.append((BULK_ID, key_of_text(bulk_id)))
    if sender is not None:
        found.append((SENDER, key_of_text(comparable(sender))))
    return found


# By ITU-T E.164: two zones of one digit, these of two, and three digits for all others.
_CALLING_CODE = re.compile(
    r"(?:[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|[2-9][0-9]{2})(?=[0-9]{5})"
)
_MCC_MNC_LENGTH: Final = 8  # of six digits; some write a separator

_MILLISECOND = timedelta(milliseconds=1)

OTHER_OUTCOMES: Final = 0
"""The number under which everything is added up after the table of outcomes is full."""

_v2 = msgspec.json.Decoder(_V2Excerpt).decode
_v3 = msgspec.json.Decoder(Excerpt).decode
_encode = msgspec.json.Encoder().encode
_outcome = msgspec.json.Decoder(ReportOutcome).decode


def excerpt_of(item: str | bytes, generation: Generation | None) -> Excerpt:
    """The excerpt of an item as it is stored.

    Never raises: an item that cannot be read is never stored, and if there is one all the same, it
    must not stop the others.
    """
    try:
        return _v3(item) if generation == "v3" else _v2(item)
    except (msgspec.MsgspecError, ArithmeticError):
        return Excerpt()


def key_of_text(text: str) -> str:
    """The search key of a text: its beginning, up to a NUL, which SQLite's JSON cannot hold."""
    return text[:KEY_LENGTH].partition("\0")[0]


def outcome_of(
    final: bool,
    status_group: int | None,
    status_id: int | None,
    status_name: str | None,
    error_group: int | None,
    error_id: int | None,
    error_name: str | None,
    permanent: bool | None,
) -> ReportOutcome:
    """The outcome that a stored report tells, by its columns and its summary's `said`."""
    id, name = status_id, _name(status_name)
    if id is None and name is not None and status_group is not None:
        id = _IDS.get((status_group, name))
    elif name is None and id is not None and status_group is not None:
        name = SMS_STATUSES.get((status_group, id))
    return ReportOutcome(
        final=final,
        status_group=status_group,
        status_id=id,
        status_name=name,
        error_group=error_group,
        error_id=error_id,
        error_name=_name(error_name),
        permanent=permanent,
    )


def _name(text: str | None) -> str | None:
    return text.strip().upper()[:_LONGEST_NAME] if text and not text.isspace() else None


def outcome_text(outcome: ReportOutcome) -> str:
    """An outcome as the database keeps it."""
    return _encode(outcome).decode()


def read_outcome(text: str) -> ReportOutcome:
    return _outcome(text)
