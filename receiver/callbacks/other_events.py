"""What else the platform may post to the same URL. It is no report, and it is no mistake either:
it is answered 200, so that nobody repeats it for two days, and kept in quarantine by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.parsers.expat import ExpatError

import msgspec
import xmltodict

from receiver.dlr.model import Format, Report

CLICK = "a click event, not a report"
INBOUND = "an inbound SMS, not a report"
ONE_API = "a OneAPI notification, not a report"

_ONE_API = frozenset(
    {"deliveryInfoNotification", "deliveryInfoList", "inboundSMSMessageNotification"}
    | {"inboundSMSMessageList"}
)
_SIGNS = tuple(name.encode() for name in (*_ONE_API, "notificationType", "receivedAt"))


def of_item(report: Report) -> str | None:
    """What an item of `results` is, if it is no report: an inbound SMS has been received, and
    nothing was delivered whose status it could have.
    """
    if report.status is None and report.unknown and "receivedAt" in report.unknown:
        return INBOUND
    return None


def of_body(body: bytes, form: Format) -> str | None:
    """What a body without `results` is, if it is one of these events or a list of them.

    `body` is in UTF-8. Never raises, whatever the bytes.
    """
    if not any(sign in body for sign in _SIGNS):
        return None
    try:
        found = msgspec.json.decode(body) if form == "json" else _elements(body)
    except (msgspec.MsgspecError, ExpatError, ValueError, LookupError, RecursionError):
        return None
    events = found if isinstance(found, list) else [found]
    names = {_name(event) if isinstance(event, dict) else None for event in events}
    return names.pop() if len(names) == 1 else None


def _elements(body: bytes) -> dict[str, Any]:
    ((root, content),) = xmltodict.parse(body).items()
    children = content if isinstance(content, dict) else {}
    return {_local(root): content} | {_local(name): each for name, each in children.items()}


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _name(event: Mapping[str, Any]) -> str | None:
    if not _ONE_API.isdisjoint(event):
        return ONE_API
    kind = event.get("notificationType")
    if isinstance(kind, str):
        return CLICK if kind.upper().startswith("CLICK") else "an event of another type, no report"
    return INBOUND if "receivedAt" in event and "status" not in event else None
