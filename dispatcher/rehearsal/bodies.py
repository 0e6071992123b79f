"""The bodies of a run: reports made with the project's own encoders, and ids that name the run.

A message id is `rehearsal-SEED-CHECK-N`, so that the app's owner can tell what came from a
rehearsal, and one run from another. Ids of another form are made of that name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from dispatcher.rehearsal.truth import DELIVERED
from receiver.dlr import json_format, xml_format
from receiver.dlr.model import Error, Format, Generation, Price, Report, Status
from receiver.dlr.statuses import GROUP_NAMES, SMS_STATUSES

TYPES: dict[Format, str] = {"json": "application/json", "xml": "application/xml"}

Ids = Literal["named", "numeric", "uuid"]

_GROUPS = {name: group for (group, _), name in SMS_STATUSES.items()}
_IDS = {name: id for (_, id), name in SMS_STATUSES.items()}
_START = datetime(2026, 1, 1, 12, tzinfo=UTC)
_DESCRIPTIONS = {DELIVERED: "Message delivered to handset"}
_NO_ERROR = Error(
    group_id=0, group_name="OK", id=0, name="NO_ERROR", description="No Error", permanent=False
)
_ABSENT = Error(
    group_id=1,
    group_name="HANDSET_ERRORS",
    id=27,
    name="EC_ABSENT_SUBSCRIBER",
    description="Absent Subscriber",
    permanent=False,
)


class Body(Struct, frozen=True, kw_only=True):
    """What is pushed. `what` says it in a few words; `headers` are beside the content type.
    `content_type` None: none is sent. `parts` are pushed when the whole is not taken, to find out
    which of them is to blame."""

    what: str
    data: bytes
    content_type: str | None = "application/json"
    headers: Mapping[str, str] = {}
    parts: tuple[Body, ...] = ()

    def __str__(self) -> str:
        kind = f", {self.content_type}" if self.content_type else ", no Content-Type"
        return f"{self.what}{kind}, {len(self.data):,} bytes"


def status(name: str) -> Status:
    """The status of this name as the provider writes it."""
    group = _GROUPS[name]
    return Status(
        group_id=group,
        group_name=GROUP_NAMES[group],
        id=_IDS[name],
        name=name,
        description=_DESCRIPTIONS.get(name, name.replace("_", " ").capitalize()),
    )


def body(
    reports: Sequence[Report],
    form: Format = "json",
    generation: Generation = "v2",
    what: str = "",
    **changes: Any,
) -> Body:
    """One push of these reports, as the platform would write it."""
    if form == "xml":
        data = xml_format.encode_body(reports, generation)
    else:
        data = json_format.encode_body(json_format.encode_item(r, generation) for r in reports)
    counted = "1 report" if len(reports) == 1 else f"{len(reports):,} reports"
    text = f"{counted}, {generation} {form.upper()}{', ' + what if what else ''}"
    return replace(Body(what=text, data=data, content_type=TYPES[form]), **changes)


class Values(Struct, frozen=True, kw_only=True):
    """The kinds of values that an app is rehearsed with. `callback_data` None: a plain text; else
    that, with the message's id in place of `{messageId}`."""

    ids: Ids = "named"
    callback_data: str | None = None
    to: str = "41793026727"
    sender: str = "InfoSMS"


class Maker:
    """Makes the reports of one check. `run` is what its ids have in common: the seed, and behind a
    dot the round when the seed was used before."""

    def __init__(self, run: str, check: str, values: Values = Values()) -> None:  # noqa: B008
        self._prefix = f"rehearsal-{run}-{check}"
        self._numbers = count(1)
        self.values = values

    def message_id(self) -> str:
        return self.numbered_id(next(self._numbers))

    def numbered_id(self, number: int) -> str:
        return self.as_id(f"{self._prefix}-{number}", self.values.ids)

    def as_id(self, name: str, ids: Ids) -> str:
        """The id of this name: itself, 19 digits as the platform makes them, or a UUID."""
        if ids == "named":
            return name
        digest = hashlib.sha256(name.encode()).digest()
        if ids == "uuid":
            return str(UUID(bytes=digest[:16], version=4))
        return f"2{int.from_bytes(digest[:16]) % 10**18:018}"

    def callback_data(self, message_id: str, text: str | None) -> str | None:
        """`text`, or what the run was told to send in place of it."""
        template = self.values.callback_data
        if template is None or text is None:
            return text
        return template.replace("{messageId}", message_id)

    def report(self, name: str = DELIVERED, **changes: Any) -> Report:
        """A full report of a message of its own; `changes` in the names of `Report`."""
        message_id = changes.pop("message_id", None) or self.message_id()
        told = status(name)
        failed = told.group_id in (2, 4, 5)
        if "callback_data" in changes:
            changes["callback_data"] = self.callback_data(message_id, changes["callback_data"])
        report = Report(
            bulk_id=self.as_id(self._prefix, self.values.ids),
            message_id=message_id,
            to=self.values.to,
            sender=self.values.sender,
            sent_at=_START,
            done_at=_START + timedelta(seconds=4),
            message_count=1,
            mcc_mnc="22801",
            callback_data=self.callback_data(message_id, f"order {message_id}"),
            price=Price(per_message=Decimal("0.01"), currency="EUR"),
            status=told,
            error=_ABSENT if failed else _NO_ERROR,
        )
        return replace(report, **changes)

    def reports(self, number: int) -> list[Report]:
        return [self.report() for _ in range(number)]


def at_offset(minutes: int) -> datetime:
    """An instant in another zone than UTC."""
    return _START.astimezone(timezone(timedelta(minutes=minutes)))


def later(report: Report, seconds: int) -> datetime:
    """An instant so many seconds after the report was done (negative: before)."""
    assert report.done_at is not None
    return report.done_at + timedelta(seconds=seconds)
