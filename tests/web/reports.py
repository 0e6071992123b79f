"""Reports as the provider posts them, for pages to show."""

from __future__ import annotations

from typing import Any


def a_report(message_id: str = "m-1", **fields: Any) -> dict[str, Any]:
    """A delivered one of v3; `fields` replace or add fields of it."""
    return {
        "messageId": message_id,
        "to": "41793026727",
        "sender": "InfoSMS",
        "sentAt": "2026-11-28T10:00:00.000+0000",
        "doneAt": "2026-11-28T10:00:01.000+0000",
        "messageCount": 1,
        "price": {"pricePerMessage": 0.01, "currency": "EUR"},
        "status": {
            "groupId": 3,
            "groupName": "DELIVERED",
            "id": 5,
            "name": "DELIVERED_TO_HANDSET",
            "description": "Message delivered to handset",
        },
        "error": {
            "groupId": 0,
            "groupName": "OK",
            "id": 0,
            "name": "NO_ERROR",
            "description": "No Error",
            "permanent": False,
        },
        **fields,
    }


def undelivered(message_id: str = "m-2", **fields: Any) -> dict[str, Any]:
    """One that failed for good."""
    status = {
        "groupId": 2,
        "groupName": "UNDELIVERABLE",
        "id": 9,
        "name": "UNDELIVERABLE_NOT_DELIVERED",
    }
    error = {
        "groupId": 1,
        "groupName": "HANDSET_ERRORS",
        "id": 27,
        "name": "EC_ABSENT_SUBSCRIBER",
        "permanent": False,
    }
    return a_report(message_id, status=status, error=error, **fields)
