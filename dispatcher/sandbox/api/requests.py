"""GET /sandbox/requests: what the provider's routes were asked, and what they answered."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Annotated, Final
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Middleware
from msgspec import Meta, Struct, structs
from multidict import MultiMapping
from yarl import URL, Query

from dispatcher.sandbox.api.credentials import TOKEN_PATH, is_providers
from dispatcher.sandbox.api.faults import CUT
from dispatcher.sandbox.api.negotiation import client_of
from dispatcher.sandbox.api.seen_bodies import BEGINNING
from dispatcher.sandbox.seen import Newest, SeenRequest, text_of
from receiver.answers import Handler, Id, Instant, Next, answer, timestamp
from receiver.api.parameters import (
    CURSOR,
    LIMIT,
    LIMIT_DEFAULT,
    TRUTH,
    Filter,
    in_query,
    next_cursor,
    page_of,
    read_query,
)
from receiver.faults import without_credentials
from receiver.routes import Reply, Route

log = logging.getLogger("dlr.sandbox")

HIDDEN: Final = frozenset(
    {"username", "password", "client_secret", "access_token", "authorization", "apikey", "api_key"}
)
"""Parameters whose values are not shown, in any case of letters. Some are sent by mistake."""

_URLS: Final = frozenset({"notifyurl", "trackingurl"})
"""Parameters that are URLs: tokens and passwords of webhooks travel in them."""

_URL: Final = re.compile(
    r'(["<](?:notifyUrl|trackingUrl|baseUrl|url)[">][\s:"]*)([^"<]*)', re.IGNORECASE
)
"""The same in a body, of JSON or XML."""

_OF_TOKENS: Final = frozenset({"grant_type", "client_id", "scope"})
"""Parameters of a request for a token (RFC 6749) whose values are shown. No others are: a secret
under a wrong name is one too."""

_TOKEN: Final = re.compile(r'("access_token"\s*:\s*)"[^"]*"?')


def seeing(
    requests: Newest[SeenRequest], now: Callable[[], datetime], *, logged: bool
) -> Middleware:
    """Keeps each request to the provider's routes with its answer, credentials left out. `logged`:
    each is a line of the log too."""

    @web.middleware
    async def see(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_providers(request):
            return await handler(request)
        at = now()
        response = await handler(request)
        cut = request.get(CUT, False)
        seen = SeenRequest(
            at=at,
            method=request.method,
            path=request.path,
            query=_shown(request.query, request.path),
            client=client_of(request),
            status=None if cut else response.status,
            body=_body(text_of(request.get(BEGINNING)), request.path),
            answer="" if cut else _answer(text_of(getattr(response, "body", None))),
        )
        requests.add(seen)
        if logged:
            log.info("request", extra={"facts": _facts(seen)})
        return response

    return see


def _facts(seen: SeenRequest) -> dict[str, str | int]:
    """Route, client and result: of a request that was refused the answer too."""
    facts: dict[str, str | int] = {
        "method": seen.method,
        "path": seen.path[:200],
        "client": (seen.client or "-")[:100],
        "status": "cut" if seen.status is None else seen.status,
    }
    return {**facts, "answer": seen.answer[:500]} if seen.refused else facts


def _shown(query: MultiMapping[str], path: str) -> str:
    """The query string as it is sent, without credentials."""
    if path == TOKEN_PATH:
        return _of_token(query.items())
    return _query_string([(name, _value(name.lower(), text)) for name, text in query.items()])


def _value(name: str, text: str) -> str:
    if name in HIDDEN:
        return "…"
    return without_credentials(text) if name in _URLS else text


def _body(text: str, path: str) -> str:
    """The body without credentials: of webhooks in their URLs, or of a request for a token. Of one
    that is no form nobody knows where they are."""
    if path != TOKEN_PATH or not text:
        return _URL.sub(_url, text)
    try:
        given = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=100)
    except ValueError:
        return "…"
    return _of_token(given)


def _url(found: re.Match[str]) -> str:
    url = found[2].replace("\\/", "/")  # as JSON may write it
    cut = without_credentials(url)
    return found[0] if cut == url else found[1] + cut


def _answer(text: str) -> str:
    return _TOKEN.sub(r'\1"…"', text)


def _of_token(given: Iterable[tuple[str, str]]) -> str:
    known = _OF_TOKENS | HIDDEN
    return _query_string(
        [
            (name if name in known else "…", text if name in _OF_TOKENS else "…")
            for name, text in given
        ]
    )


def _query_string(values: Query) -> str:
    return URL.build(query=values).raw_query_string.replace("%E2%80%A6", "…")


# --- the route -----------------------------------------------------------------------------------


class SandboxRequest(Struct, frozen=True, kw_only=True):
    """of body and answer at most the first 64 KB"""

    id: Id
    at: Instant
    method: str
    path: str
    query: Annotated[str, Meta(description="Secrets are left out")]
    client: Annotated[str | None, Meta(description="the `User-Agent`")]
    status: Annotated[int | None, Meta(description="null if a fault rule cut the connection")]
    refused: Annotated[
        bool,
        Meta(
            description=(
                "true for a status of 400 or more, or a cut connection: nothing was accepted"
            )
        ),
    ]
    body: Annotated[
        str,
        Meta(
            description=(
                "Empty if there was none, or if the request was refused before the"
                " body was read. Secrets are left out"
            )
        ),
    ]
    answer: str


class SandboxRequestPage(Struct, frozen=True):
    requests: list[SandboxRequest]
    next: Next


class RequestQuery(Struct, frozen=True):
    after: int = 0
    limit: int = LIMIT_DEFAULT
    refused: bool | None = None


_FILTERS: Final = (
    LIMIT,
    structs.replace(CURSOR, field="after"),
    Filter("refused", TRUTH, "Only requests that were refused, or only the others."),
)


class RequestsApi:
    """The route under /sandbox."""

    def __init__(self, requests: Newest[SeenRequest]) -> None:
        self._requests = requests

    @Route(
        "GET",
        "/sandbox/requests",
        "getSandboxRequests",
        "The newest requests to the provider's routes and their answers, oldest first",
        {200: Reply("A page", SandboxRequestPage)},
        parameters=in_query(_FILTERS),
        caller="tester",
    )
    async def requests(self, request: web.Request) -> web.Response:
        """What came, in its order; at most the newest 1000 since the start or a reset."""
        query = RequestQuery(**read_query(request.query, _FILTERS))
        found = seen_requests(self._requests, query.refused, query.after)
        shown, last = page_of(list(islice(found, query.limit + 1)), query.limit)
        return answer(SandboxRequestPage(list(shown), next_cursor(last)))


def seen_requests(
    requests: Newest[SeenRequest], refused: bool | None = None, after: int = 0
) -> Iterator[SandboxRequest]:
    """Those after a number, in their order: the refused ones, the others, or all."""
    return (
        _told(number, one)
        for number, one in requests.after(after)
        if refused in (None, one.refused)
    )


def _told(number: int, one: SeenRequest) -> SandboxRequest:
    return SandboxRequest(
        id=number,
        at=timestamp(one.at),
        method=one.method,
        path=one.path,
        query=one.query,
        client=one.client,
        status=one.status,
        refused=one.refused,
        body=one.body,
        answer=one.answer,
    )
