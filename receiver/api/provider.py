"""What the provider sends, as GET /api/openapi.json shows it: reports and callbacks.

Nothing of it is an answer of ours that could be derived. No field is required, and others may come.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from receiver.dlr.model import Error, Status
from receiver.routes import Schema, ref

_TEXT: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}


def _of_provider(properties: dict[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": True, **more}


def _of_struct(kind: type[Struct]) -> Schema:
    """Of a part that stands on the wire as it stands in the model. Never null: it is left out."""
    found = msgspec.json.schema_components([kind])[1][kind.__name__]["properties"]
    types = {name: _PLAIN[each["anyOf"][0]["type"]] for name, each in found.items()}
    del types["unknown"]
    return _of_provider(types)


_PLAIN: dict[str, Schema] = {
    "string": _TEXT,
    "integer": _INTEGER,
    "boolean": {"type": "boolean"},
    "object": {},
}

_INSTANT: Schema = {
    "type": "string",
    "description": "in the provider's format",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"\.[0-9]{3}([0-9]{3})?[+-][0-9]{4}$",
    "examples": ["2019-11-09T16:00:00.000+0100"],
}

_COMMON: dict[str, Schema] = {
    "bulkId": _TEXT,
    "messageId": _TEXT,
    "to": _TEXT,
    "sentAt": _INSTANT,
    "doneAt": _INSTANT,
    "mccMnc": _TEXT,
    "callbackData": _TEXT,
    "price": ref("Price"),
    "status": ref("Status"),
    "error": ref("ReportError"),
    "campaignReferenceId": _TEXT,
}

_EXAMPLE = {
    "bulkId": "BULK-1",
    "messageId": "2033247207850523791",
    "to": "41793026727",
    "from": "InfoSMS",
    "sentAt": "2026-11-21T10:00:00.000+0000",
    "doneAt": "2026-11-21T10:00:04.000+0000",
    "smsCount": 1,
    "mccMnc": "22801",
    "callbackData": "order 4711",
    "price": {"pricePerMessage": 0.01, "currency": "EUR"},
    "status": {
        "groupId": 3,
        "groupName": "DELIVERED",
        "id": 5,
        "name": "DELIVERED_TO_HANDSET",
        "description": "Message delivered to handset",
    },
    "error": {"groupId": 0, "groupName": "Ok", "id": 0, "name": "NO_ERROR", "permanent": False},
}

ITEM: Schema = {"anyOf": [ref("ReportV2"), ref("ReportV3")]}

PROVIDER: dict[str, Schema] = {
    "Price": _of_provider({"pricePerMessage": {"type": "number"}, "currency": _TEXT}),
    "Status": _of_struct(Status),
    "ReportError": _of_struct(Error),
    "ReportV2": _of_provider(
        {**_COMMON, "from": _TEXT, "smsCount": _INTEGER, "entityId": _TEXT, "applicationId": _TEXT},
        description="a report in the format of v1 and v2",
        examples=[_EXAMPLE],
    ),
    "ReportV3": _of_provider(
        {
            **_COMMON,
            "sender": _TEXT,
            "messageCount": _INTEGER,
            "platform": _of_provider({"entityId": _TEXT, "applicationId": _TEXT}),
        },
        description="a report in the format of v3",
    ),
    "JsonCallback": _of_provider(
        {"results": {"type": ["array", "null"], "items": ITEM}},
        examples=[{"results": [_EXAMPLE]}],
        required=["results"],
    ),
    "XmlCallback": {
        "type": "object",
        "properties": {
            "results": {
                "type": "array",
                "items": {**ref("ReportV3"), "xml": {"name": "result"}},
                "xml": {"wrapped": True},
            }
        },
        "required": ["results"],
        "description": (
            "The root element is `DeliveryReports` (v3) or `reportResponse` (v2);"
            " any other name is accepted"
        ),
        "xml": {"name": "DeliveryReports"},
    },
}
"""By the names under which routes refer to them."""
