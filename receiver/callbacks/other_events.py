"""What else the platform may post to the same URL. It is no report, and it is no mistake either:
it is answered 200, so that nobody repeats it for two days, and kept in quarantine by its name.

A report says how a message fares: it has a status, an error or a doneAt. An item with none of them
is another event, whether its name is known here or not. If it were stored as a report, it would be
counted, pushed to customers, and taken for a repeat of the next such event of the same message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from receiver.dlr.errors import MalformedBody
from receiver.dlr.model import Format, Report
from receiver.dlr.xml_format import root_and_content

CLICK = "a click event, not a report"
INBOUND = "an inbound SMS, not a report"
ONE_API = "a OneAPI notification, not a report"
SEEN = "a seen event, not a report"
DELETED = "a deleted event, not a report"
OTHER = "an event of another type, no report"
NOTHING_SAID = "an event without status, error and doneAt, not a report"

_ONE_API = frozenset(
    {"deliveryInfoNotification", "deliveryInfoList", "inboundSMSMessageNotification"}
    | {"inboundSMSMessageList"}
)
_BY_FIELD = {
    "seenAt": SEEN,
    "deletedAt": DELETED,
    "receivedAt": INBOUND,
    "cleanText": INBOUND,
    "keyword": INBOUND,
}
"""The field by which the provider's documents tell each event from a report."""

_TEXTS_IN_ITEMS = ("text", "message")
"""What an inbound message says. No report has them, but only in an item are they a sign: a body
without `results` may be anything that has a text."""

_SIGNS = tuple(name.encode() for name in (*_ONE_API, *_BY_FIELD, "notificationType"))


def of_item(report: Report) -> str | None:
    """What an item of `results` is, if it is no report; `None` for a report."""
    if report.status is not None or report.error is not None:
        return None
    fields = report.unknown or {}
    if (named := _named(fields)) is not None:
        return named
    if report.done_at is not None:
        return None
    return INBOUND if any(name in fields for name in _TEXTS_IN_ITEMS) else NOTHING_SAID


def of_body(body: bytes, form: Format) -> str | None:
    """What a body without `results` is, if it is one of these events or a list of them.

    `body` is in UTF-8. Never raises, whatever the bytes.
    """
    if not any(sign in body for sign in _SIGNS):
        return None
    try:
        found = msgspec.json.decode(body) if form == "json" else _elements(body)
    except (msgspec.MsgspecError, MalformedBody, ValueError, LookupError, RecursionError):
        return None
    events = found if isinstance(found, list) else [found]
    names = {_event(event) if isinstance(event, dict) else None for event in events}
    return names.pop() if len(names) == 1 else None


def _elements(body: bytes) -> dict[str, Any]:
    root, content = root_and_content(body)
    children = content if isinstance(content, dict) else {}
    return {_local(root): content} | {_local(name): each for name, each in children.items()}


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _event(fields: Mapping[str, Any]) -> str | None:
    """What an object alone is; what has a status or an error is a report that lost its list."""
    if not _ONE_API.isdisjoint(fields):
        return ONE_API
    if isinstance(fields.get("notificationType"), str):
        return _named(fields)
    return None if "status" in fields or "error" in fields else _named(fields)


def _named(fields: Mapping[str, Any]) -> str | None:
    """The event that these fields are of, by the one that tells it; `None` if none does."""
    kind = fields.get("notificationType")
    if isinstance(kind, str):
        return CLICK if kind.upper().startswith("CLICK") else OTHER
    return next((event for name, event in _BY_FIELD.items() if name in fields), None)
