"""JSON answers, the types of their fields, and the one shape of errors:
`{"error":{"code","message","details"}}`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, overload

import msgspec
from msgspec import Meta, Struct

from receiver.store.base import AmbiguousMessage, StoreUnavailable

if TYPE_CHECKING:
    from aiohttp import web as web
else:

    class _Web:
        """`aiohttp.web`, which is imported when something of it is first used. Importing it takes
        as long as all of `dlr reports`, which answers nobody over HTTP."""

        def __getattr__(self, name: str) -> Any:
            from aiohttp import web

            value = self.__dict__[name] = getattr(web, name)
            return value

    web = _Web()

log = logging.getLogger("dlr.http")

RETRY_AFTER_SECONDS = "10"
"""What a caller is told to wait when the store cannot be written."""

SERVER_NAME = "dlr"
"""What the header Server says: not which library in which version, which helps only attackers."""

Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]

Count = Annotated[int, Meta(ge=0)]
Id = Annotated[int, Meta(ge=0, le=10**18 - 1)]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Instant = Annotated[
    str, Meta(examples=["2026-11-21T10:00:00.000Z"], extra_json_schema={"format": "date-time"})
]
"""As `timestamp` writes one."""
Next = Annotated[
    str | None, Meta(description=("The cursor of the next page; null on the last page"))
]


class Fault(Struct, frozen=True):
    code: Annotated[str, Meta(examples=["bad_query"])]
    message: Annotated[str, Meta(examples=["limit: expected a number"])]
    details: dict[str, Any]


class ErrorAnswer(Struct, frozen=True):
    """The one shape of errors."""

    error: Fault


_encode = msgspec.json.Encoder(decimal_format="number").encode


def answer(value: Any, status: int = 200) -> web.Response:
    """`value` as JSON."""
    return web.Response(body=_encode(value), status=status, content_type="application/json")


def fault(status: int, code: str, message: str, **details: Any) -> web.Response:
    """An error as JSON. 503 tells the caller when to come again."""
    response = answer(ErrorAnswer(Fault(code, message, details)), status)
    if status == 503:
        response.headers["Retry-After"] = RETRY_AFTER_SECONDS
    return response


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{phrase} – dlr</title></head>
<body><h1>{phrase}</h1><p>{words}</p></body>
</html>
"""
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def fault_or_page(request: web.Request, status: int, code: str, message: str) -> web.Response:
    """An error in the form that the client asks for: a short page for a browser that opens an
    address or sends a form, JSON for everyone else, and under /api for browsers too."""
    wants_page = "text/html" in request.headers.get("Accept", "")
    if not wants_page or request.path.startswith("/api/"):
        return fault(status, code, message)
    return fault_page(status, message)


def fault_page(status: int, message: str) -> web.Response:
    """An error as a short page."""
    words = escape(f"{message[:1].upper()}{message[1:]}.")
    text = _PAGE.format(phrase=HTTPStatus(status).phrase, words=words)
    return web.Response(text=text, status=status, content_type="text/html", headers=_PAGE_HEADERS)


@overload
def timestamp(at: datetime) -> str: ...


@overload
def timestamp(at: None) -> None: ...


@overload
def timestamp(at: datetime | None) -> str | None: ...


def timestamp(at: datetime | None) -> str | None:
    """An instant of ours, in RFC 3339 with milliseconds. (Reports keep the provider's form.)"""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class BadQuery(ValueError):
    """A parameter of the query that cannot be used; the text says which, and what was expected."""


class NotTaken(Exception):
    """A body that is refused and not kept. `status` and `code` are those of the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A middleware: no error leaves as a page or as a traceback."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = fault(error.status, *_http_error(request, error))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception as error:  # noqa: BLE001 - told and logged there
        return fault_of(error, request.method, request.path)


def fault_of(error: BaseException, method: str, path: str) -> web.Response:
    """The answer to a request that has ended with an error, which is logged if it is a defect."""
    match error:
        case BadQuery():
            return fault(400, "bad_query", str(error))
        case NotTaken():
            return fault(error.status, error.code, str(error))
        case AmbiguousMessage():
            why = f"{error}; name one of them as source"
            return fault(409, "ambiguous", why, sources=error.sources)
        case StoreUnavailable():
            return fault(503, "store_unavailable", str(error))
        case web.RequestPayloadError():
            # cut off, or not compressed as its Content-Encoding says: aiohttp has kept no bytes
            text = " ".join(f"the body cannot be read: {error}".split())
            return fault(400, "unreadable", text)
        case ConnectionError():
            return fault(400, "disconnected", "the client has disconnected")  # to nobody
        case _:
            log.error(
                "%s %s failed and was answered 500; this is a defect of dlr, please report it",
                method,
                path,
                exc_info=error,
            )
            return fault(500, "internal_error", "internal error; see the log of dlr")


def _http_error(request: web.Request, error: web.HTTPException) -> tuple[str, str]:
    match error:
        case web.HTTPRequestEntityTooLarge():
            return "too_large", f"the body is larger than {request.client_max_size} bytes"
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return "method_not_allowed", f"{request.path} accepts {allowed}, not {request.method}"
        case web.HTTPNotFound():
            said = error.text
            nothing = f"not found: {request.path}"
            return "not_found", nothing if said in (None, "404: Not Found") else str(said)
        case _:
            return "http_error", error.reason or "this request cannot be processed"
