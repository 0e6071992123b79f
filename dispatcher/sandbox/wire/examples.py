"""A request for each route that is posted to: what /api/openapi.json shows, ready to be sent."""

from __future__ import annotations

from typing import Any, Final

_TO: Final = "447700900001"  # a magic recipient
_URL: Final = "http://127.0.0.1:9000/sms/reports"
_BINARY: Final = {"hex": "0048006900200021", "dataCoding": 8, "esmClass": 0}

_TEXT_SINGLE: Final = {"from": "InfoSMS", "to": _TO, "text": "Your order is on its way"}
_BINARY_SINGLE: Final = {"from": "InfoSMS", "to": _TO, "binary": _BINARY}
_DESTINATIONS: Final = {"from": "InfoSMS", "destinations": [{"to": _TO}], "notifyUrl": _URL}
_TEXT: Final = {"messages": [{**_DESTINATIONS, "text": "Your order is on its way"}]}
_BYTES: Final = {"messages": [{**_DESTINATIONS, "binary": _BINARY}]}

EXAMPLES: Final[dict[str, Any]] = {
    "/sms/1/text/single": _TEXT_SINGLE,
    "/sms/1/binary/single": _BINARY_SINGLE,
    "/1/sms/binary/single": _BINARY_SINGLE,
    "/sms/1/text/multi": {"messages": [_TEXT_SINGLE]},
    "/sms/1/binary/multi": {"messages": [_BINARY_SINGLE]},
    "/sms/1/text/advanced": _TEXT,
    "/sms/1/binary/advanced": _BYTES,
    "/sms/2/text/single": _TEXT_SINGLE,
    "/sms/2/binary/single": _BINARY_SINGLE,
    "/sms/2/text/advanced": _TEXT,
    "/sms/2/binary/advanced": _BYTES,
    "/sms/3/messages": {
        "messages": [
            {
                "sender": "InfoSMS",
                "destinations": [{"to": _TO}],
                "content": {"text": "Your order is on its way"},
                "webhooks": {"delivery": {"url": _URL}},
            }
        ]
    },
    "/sms/1/preview": {"text": "Your order is on its way"},
}
"""By path."""
