"""The report as both packages speak of it: what happened to one SMS.

Every field is optional, because the provider requires none (reference, part 1.1). `None` means
that the field did not come; an empty text or a zero is what came.

These are msgspec structs and not dataclasses because one is made per report received: a frozen
dataclass of this width costs ten times as much to make. Price, Status and Error stand on the wire
as they stand here (hence `rename` and the order of the fields), so that they are written in one go;
a Report is not: its generations differ and its instants have a form of their own.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Generation = Literal["v2", "v3"]
"""The two shapes on the wire: `v2` (also spoken by /sms/1) and `v3`."""

Format = Literal["json", "xml"]

Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""What a database column and other languages hold."""

Unknown = dict[str, Any]
"""Fields that we have no name for, by the provider's name, kept as they came."""


class Price(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"per_message": "pricePerMessage"},
):
    """`price`: exact, never a float. The currency is an ISO 4217 code."""

    per_message: Decimal | None = None
    currency: str | None = None
    unknown: Unknown | None = None


class StatusFields(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`status`: (group_id, id) is the key; an id alone is not one (reference, part 5)."""

    group_id: Integer | None = None
    group_name: str | None = None
    id: Integer | None = None
    name: str | None = None
    description: str | None = None
    action: str | None = None


class Status(StatusFields, frozen=True, kw_only=True):
    """A status with what has no name here."""

    unknown: Unknown | None = None


class ErrorFields(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`error`: success is the object with id 0 and name NO_ERROR, not an absent one."""

    group_id: Integer | None = None
    group_name: str | None = None
    id: Integer | None = None
    name: str | None = None
    description: str | None = None
    permanent: bool | None = None


class Error(ErrorFields, frozen=True, kw_only=True):
    """An error with what has no name here."""

    unknown: Unknown | None = None


class Report(Struct, frozen=True, kw_only=True):
    """One delivery report. Instants are aware and keep the offset they came with.

    `generation` is `None` when nothing in the item tells v2 and v3 apart.
    """

    generation: Generation | None = None
    bulk_id: str | None = None
    message_id: str | None = None
    to: str | None = None
    sender: str | None = None  # v2 `from`, v3 `sender`
    sent_at: datetime | None = None
    done_at: datetime | None = None
    message_count: int | None = None  # v2 `smsCount`, v3 `messageCount`
    mcc_mnc: str | None = None
    callback_data: str | None = None
    price: Price | None = None
    status: Status | None = None
    error: Error | None = None
    entity_id: str | None = None  # v3 inside `platform`
    application_id: str | None = None  # v3 inside `platform`
    campaign_reference_id: str | None = None
    unknown: Unknown | None = None
