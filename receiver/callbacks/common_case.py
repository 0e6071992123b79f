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
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from receiver.dlr.identity import identity_of, key_of_message
from receiver.dlr.instants import utc_microseconds
from receiver.dlr.model import ErrorFields, Generation, Integer, StatusFields
from receiver.dlr.statuses import group_of, is_final
from receiver.store.callback import Entry


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
        # Which of the two is tried. One in which a text looks like such a name goes the long way.
        if b'"sender"' in item or b'"messageCount"' in item or b'"platform"' in item:
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


def _entry(fields: _V2 | _V3, generation: Generation | None, text_most: int | None) -> Entry | None:
    message_id, status, error, price = (
        fields.message_id,
        fields.status,
        fields.error,
        fields.price,
    )
    if not message_id or (status is None and error is None):
        return None
    if price is not None and price.per_message is not UNSET and not _is_plain(price.per_message):
        return None
    if fields.sent_at is not None and _micros(fields.sent_at) is None:
        return None
    done_at = None
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


def _is_plain(number: Raw) -> bool:
    """Whether a price is a number that is written as it would be stored."""
    text = bytes(number)
    return len(text) <= _PRICE_MOST and _reads_the_same(text)


@lru_cache(maxsize=1024)  # prices are few
def _reads_the_same(text: bytes) -> bool:
    number = text.decode()
    if number[0] not in "-0123456789" or "E" in number or number == "-0":
        return False
    return str(Decimal(number)) == number
