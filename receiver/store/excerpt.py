"""The fields of a stored report that can be asked about, without the rest.

Making a `Report` takes 12 us, an excerpt 2: searching and adding up go through many.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from receiver.dlr.model import Generation
from receiver.dlr.number import comparable
from receiver.dlr.statuses import SMS_STATUSES

TO: Final = 1
BULK_ID: Final = 2
SENDER: Final = 3

KEY_LENGTH: Final = 48
"""Characters of a text that are in its search key. Whatever a key finds is compared as a whole."""

_LONGEST_NAME: Final = 128
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
    sent_at: str | None = None
    done_at: str | None = None
    callback_data: str | None = None
    price: _Price | None = None
    status: _Status | None = None
    error: _Error | None = None

    def keys(self) -> list[tuple[int, str]]:
        """What the report can be looked up by: field and text, of a number the comparable one."""
        found = []
        if self.to is not None:
            found.append((TO, key_of_text(comparable(self.to))))
        if self.bulk_id is not None:
            found.append((BULK_ID, key_of_text(self.bulk_id)))
        if self.sender is not None:
            found.append((SENDER, key_of_text(comparable(self.sender))))
        return found

    def outcome_key(self) -> tuple[Any, ...]:
        """What an outcome is made of besides the columns: the arguments of `outcome_of`."""
        status, error = self.status or _NO_STATUS, self.error or _NO_ERROR
        return status.id, status.name, error.group_id, error.id, error.name, error.permanent


class _V2Excerpt(Excerpt, rename="camel"):
    sender: str | None = msgspec.field(default=None, name="from")


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


_NO_STATUS, _NO_ERROR = _Status(), _Error()

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
    """The outcome that a stored report tells, by its columns and its excerpt's `outcome_key`."""
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
