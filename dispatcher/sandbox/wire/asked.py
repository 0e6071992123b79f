"""What is kept of a request to be shown: how it came, and its options as they were understood."""

from __future__ import annotations

from typing import Any, Final

from dispatcher.sandbox.messages.send import Asked, Send
from dispatcher.sandbox.wire.common import without_absent
from dispatcher.sandbox.wire.tables import Values
from receiver.faults import without_credentials

_IN_QUERY: Final = {
    "track": "track",
    "processKey": "processKey",
    "trackingType": "type",
    "trackingUrl": "trackingUrl",
}
"""The parameters of the text queries, and what the other routes call them in `tracking`."""


_URLS: Final = ("trackingUrl", "baseUrl")


def asked_of(route: str, client: str | None, send: Send, values: Values) -> Asked:
    """Of what the table of the route has read. v3 calls `tracking` what the others call
    `urlOptions`; here it has that name."""
    options = values.get("options") or {}
    tracking = values.get("tracking") or {
        name: values.get(parameter) for parameter, name in _IN_QUERY.items()
    }
    return Asked(
        route=route,
        client=client,
        speed=send.speed,
        tracking=_given(tracking),
        url_options=_given(values.get("urlOptions") or options.get("tracking")),
        conversion=_given(options.get("conversionTracking")),
    )


def _given(values: Values | None) -> dict[str, Any] | None:
    """URLs as they may be shown: whoever is told of clicks has tokens in them too."""
    given = without_absent(values or {})
    shown = {
        name: without_credentials(value) if name in _URLS and isinstance(value, str) else value
        for name, value in given.items()
    }
    return shown or None
