"""The common case decided in one pass: an item that says nothing but what the provider's documents
have, in the forms that they have.

`common_entry` makes of the bytes of such an item what `read_item` and `entry_of` would make of it,
at a third of their cost. It gives up on everything else: an unknown field, a number instead of a
text, an instant in another form, an item without a messageId. So those two alone decide how odd
items are read and which ones are refused; this file adds no rule. A property test compares the two
ways.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from receiver.dlr.identity import identity_of, key_of_message
from receiver.dlr.instants import utc_microseconds
from receiver.dlr.model import ErrorFields, Generation, Integer, StatusFields
from receiver.dlr.statuses import group_of, is_final
from receiver.store.callback import Entry
from receiver.store.excerpt import Summary


class _Price(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    # Exactly as it came: as a Decimal it could have been a text.
    per_message: Raw | UnsetType = field(default=UNSET, name="pricePerMessage")
    currency: str | None = None


class _Status(StatusFields, frozen=True, forbid_unknown_fields=True):
    pass


class _Error(ErrorFields, frozen=True, forbid_unknown_fields=True):
    pass


class _Platform(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    entity_id: str | None = field(default=None, name="entityId")
    application_id: str | None = field(default=None, name="applicationId")


class _V2(Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """An item of v2, its fields in the order in which they are stored (dlr/item.py)."""

    bulk_id: str | None = None
    message_id: str | None = None
    to: str | None = None
    sender: str | None = field(default=None, name="from")
    sent_at: str | None = None
    done_at: str | None = None
    sms_count: Integer | None = None
    mcc_mnc: str | None = None
    callback_data: str | None = None
    price: _Price | None = None
    status: _Status | None = None
    error: _Error | None = None
    entity_id: str | None = None
    application_id: str | None = None
    campaign_reference_id: str | None = None


class _V3(Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """An item of v3."""

    bulk_id: str | None = None
    price: _Price | None = None
    status: _Status | None = None
    error: _Error | None = None
    message_id: str | None = None
    to: str | None = None
    sender: str | None = None
    sent_at: str | None = None
    done_at: str | None = None
    message_count: Integer | None = None
    mcc_mnc: str | None = None
    callback_data: str | None = None
    platform: _Platform | None = None
    campaign_reference_id: str | None = None


_decode_v2 = msgspec.json.Decoder(_V2).decode
_decode_v3 = msgspec.json.Decoder(_V3).decode
_encode = msgspec.json.Encoder().encode


def common_entry(item: bytes, text_most: int | None) -> Entry | None:
    """The entry of an item's JSON; `None` if it is not the common case, whatever it is then.

    `text_most` is the limit on one text in bytes: an item that is longer may have such a text.
    """
    try:
        # Which of the two is tried. A v3 that tells no sender goes the long way, and so does a v2
        # that has such a text.
        if b'"sender"' in item:
            v3 = _decode_v3(item)
            return _entry(v3, "v3", text_most) if _is_v3(v3) else None
        v2 = _decode_v2(item)
        return _entry(v2, "v2" if _is_v2(v2) else None, text_most)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        return None


def _is_v2(fields: _V2) -> bool:
    return (
        fields.sms_count is not None
        or fields.sender is not None
        or fields.application_id is not None
        or fields.entity_id is not None
    )


def _is_v3(fields: _V3) -> bool:
    """Whether it says so itself; an empty `platform` does, and would not be stored."""
    platform = fields.platform
    if platform is not None:
        return platform.entity_id is not None or platform.application_id is not None
    return fields.message_count is not None or fields.sender is not None


class _Part(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An object in XML: `price`, `status`, `error` or `platform`. All are texts there."""

    group_id: str | None = None
    group_name: str | None = None
    id: str | None = None
    name: str | None = None
    description: str | None = None
    blank: str = field(default="", name="#text")  # between the elements


class _StatusPart(_Part, frozen=True):
    action: str | None = None


class _ErrorPart(_Part, frozen=True):
    permanent: str | None = None


class _PricePart(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    price_per_message: str | None = None
    currency: str | None = None
    blank: str = field(default="", name="#text")


class _PlatformPart(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    entity_id: str | None = None
    application_id: str | None = None
    blank: str = field(default="", name="#text")


class _Element(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An item of XML as xmltodict reads it, of either generation."""

    bulk_id: str | None = None
    message_id: str | None = None
    to: str | None = None
    from_: str | None = field(default=None, name="from")
    sender: str | None = None
    sent_at: str | None = None
    done_at: str | None = None
    sms_count: str | None = None
    message_count: str | None = None
    mcc_mnc: str | None = None
    callback_data: str | None = None
    price: _PricePart | None = None
    status: _StatusPart | None = None
    error: _ErrorPart | None = None
    entity_id: str | None = None
    application_id: str | None = None
    platform: _PlatformPart | None = None
    campaign_reference_id: str | None = None
    blank: str = field(default="", name="#text")


def common_entry_of_xml(
    element: dict[str, Any], hint: Generation | None, text_most: int | None
) -> Entry | None:
    """As `common_entry`, of an item as xmltodict reads it. `hint` is what the root tells."""
    if _has_empty(element):
        return None
    try:
        fields = msgspec.convert(element, _Element)
        return None if fields.blank.strip() else _entry_of_xml(fields, hint, text_most)
    except (msgspec.MsgspecError, ValueError, LookupError, ArithmeticError):
        return None


def _has_empty(element: dict[str, Any]) -> bool:
    """Whether an element is empty, which is a text and not an absent one."""
    return None in element.values() or any(
        None in child.values() for child in element.values() if child.__class__ is dict
    )


def _entry_of_xml(fields: _Element, hint: Generation | None, text_most: int | None) -> Entry | None:
    """Raises ValueError for a part in which something is odd."""
    flat = fields.entity_id is not None or fields.application_id is not None
    is_v2 = flat or fields.sms_count is not None or fields.from_ is not None
    is_v3 = (
        fields.platform is not None or fields.message_count is not None or fields.sender is not None
    )
    if is_v2 and is_v3:
        return None
    common: dict[str, Any] = {
        "bulk_id": fields.bulk_id,
        "message_id": fields.message_id,
        "to": fields.to,
        "sent_at": fields.sent_at,
        "done_at": fields.done_at,
        "mcc_mnc": fields.mcc_mnc,
        "callback_data": fields.callback_data,
        "price": None if fields.price is None else _price(fields.price),
        "status": None if fields.status is None else _status(fields.status),
        "error": None if fields.error is None else _error(fields.error),
        "campaign_reference_id": fields.campaign_reference_id,
    }
    generation: Generation | None = "v2" if is_v2 else "v3" if is_v3 else hint
    if generation == "v3":
        v3 = _V3(
            sender=fields.sender,
            message_count=_integer(fields.message_count),
            platform=None if fields.platform is None else _platform(fields.platform),
            **common,
        )
        return _entry(v3, "v3", text_most)
    v2 = _V2(
        sender=fields.from_,
        sms_count=_integer(fields.sms_count),
        entity_id=fields.entity_id,
        application_id=fields.application_id,
        **common,
    )
    return _entry(v2, generation, text_most)


def _price(part: _PricePart) -> _Price:
    _check_blank(part.blank)
    if part.price_per_message is None:
        return _Price(currency=part.currency)
    return _Price(Raw(part.price_per_message.encode()), part.currency)


def _status(part: _StatusPart) -> _Status:
    _check_blank(part.blank)
    return _Status(
        group_id=_integer(part.group_id),
        group_name=part.group_name,
        id=_integer(part.id),
        name=part.name,
        description=part.description,
        action=part.action,
    )


def _error(part: _ErrorPart) -> _Error:
    _check_blank(part.blank)
    return _Error(
        group_id=_integer(part.group_id),
        group_name=part.group_name,
        id=_integer(part.id),
        name=part.name,
        description=part.description,
        permanent=None if part.permanent is None else _BOOLEANS[part.permanent],
    )


def _platform(part: _PlatformPart) -> _Platform:
    _check_blank(part.blank)
    if part.entity_id is None and part.application_id is None:
        raise ValueError("an empty platform")
    return _Platform(part.entity_id, part.application_id)


def _check_blank(text: str) -> None:
    if text.strip():
        raise ValueError("a text beside elements")


_BOOLEANS: Final = {"true": True, "false": False}

_INTEGER = re.compile(r"-?[0-9]{1,18}")


def _integer(text: str | None) -> int | None:
    if text is None:
        return None
    if not _INTEGER.fullmatch(text):
        raise ValueError("not a plain integer")
    return int(text)


def _entry(fields: _V2 | _V3, generation: Generation | None, text_most: int | None) -> Entry | None:
    message_id, status, error, price = (
        fields.message_id,
        fields.status,
        fields.error,
        fields.price,
    )
    if not message_id or (status is None and error is None):
        return None
    amount = currency = None
    if price is not None:
        currency = price.currency
        if price.per_message is not UNSET and (amount := _plain(price.per_message)) is None:
            return None
    sent_at = done_at = None
    if fields.sent_at is not None and (sent_at := _micros(fields.sent_at)) is None:
        return None
    if fields.done_at is not None and (done_at := _micros(fields.done_at)) is None:
        return None
    item = _encode(fields)
    if text_most is not None and len(item) > text_most:
        return None
    return Entry(
        message_key=key_of_message(message_id),
        identity=identity_of(message_id, status, error, done_at),
        generation=generation,
        final=is_final(status),
        item=item,
        status_group=group_of(status),
        summary=Summary(
            to=fields.to,
            bulk_id=fields.bulk_id,
            sender=fields.sender,
            mcc_mnc=fields.mcc_mnc,
            status=status,
            error=error,
            currency=currency,
            price=amount,
            message_count=fields.sms_count if isinstance(fields, _V2) else fields.message_count,
            milliseconds=None
            if sent_at is None or done_at is None
            else (done_at - sent_at) // 1000,
        ),
    )


_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}"
    r"(?:\+[01][0-9]|\+2[0-3]|-0[1-9]|-1[0-9]|-2[0-3])[0-5][0-9]"
)
"""The form in which instants are written. -00… is left out: there are two names for zero."""


def _micros(text: str) -> int | None:
    """Microseconds since 1970 UTC of an instant that is written as it would be stored."""
    if not _INSTANT.fullmatch(text):
        return None
    instant = datetime.fromisoformat(text)
    return utc_microseconds(instant) if 1 < instant.year < 9999 else None


_PRICE_MOST: Final = 40  # bytes


def _plain(number: Raw) -> Decimal | None:
    """A price, if it is a number that is written as it would be stored."""
    text = bytes(number)
    return _written_the_same(text) if len(text) <= _PRICE_MOST else None


@lru_cache(maxsize=1024)  # prices are few
def _written_the_same(text: bytes) -> Decimal | None:
    written = text.decode()
    if written[:1] not in "-0123456789" or "E" in written or written == "-0":
        return None
    number = Decimal(written)
    return number if str(number) == written else None
