"""What the texts of the dispatcher's settings must look like."""

from __future__ import annotations

import re
from typing import Annotated

from yarl import URL

from receiver.settings.configuration import Form, Secret


def is_http_url(text: str) -> bool:
    """Asked of yarl, because aiohttp is going to."""
    try:
        url = URL(text)
    except ValueError:
        return False
    return (
        url.scheme in ("http", "https") and bool(url.host) and not re.search(r"[\s\x00-\x1f]", text)
    )


HttpUrl = Annotated[str, Form("an http or https URL with a host", is_http_url)]

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
        return "cannot be fixed, it follows from the body"
    if name.lower() in HEADERS_OF_THE_CONNECTION:
        return "cannot be fixed, it belongs to the connection"
    return None
