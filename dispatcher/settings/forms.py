"""What the texts of the dispatcher's settings must look like."""

from __future__ import annotations

import re
from typing import Annotated

from dispatcher.expressions import WORDS, is_expression
from dispatcher.security.urls import is_http_url, spelling_fault
from receiver.settings.configuration import MAY_HOLD_SECRET, Form, Secret

HttpUrl = Annotated[str, Form("an http or https URL with a host", is_http_url, spelling_fault)]

Regex = Annotated[str, Form(WORDS, is_expression)]

Username = Annotated[
    str, MAY_HOLD_SECRET, Form("a name without a colon", lambda text: ":" not in text)
]

HeaderValue = Annotated[
    Secret,
    Form("a text without control characters", re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*").fullmatch),
]

HEADERS_OF_THE_BODY = frozenset({"content-type", "content-length", "transfer-encoding"})
"""They follow from the body, and no setting may fix them."""

HEADERS_OF_THE_CONNECTION = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    }
)
"""They are between two neighbours on the way (RFC 9110, 7.6.1), and no setting may fix them."""


def header_fault(name: str) -> str | None:
    """Why no setting may fix this header; `None` when one may."""
    if name.lower() in HEADERS_OF_THE_BODY:
        return "cannot be set, because it depends on the body"
    if name.lower() in HEADERS_OF_THE_CONNECTION:
        return "cannot be set, because it belongs to the connection"
    return None
