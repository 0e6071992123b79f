"""The provider's send API over HTTP. What a route reads and answers is a row of `POSTED` or
`QUERIED`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from aiohttp import web
from msgspec import structs

from dispatcher.sandbox.api.negotiation import client_of, respond, wanted_by
from dispatcher.sandbox.api.openapi import parameters_of, provider_route
from dispatcher.sandbox.messages.lifecycle import PENDING_ENROUTE
from dispatcher.sandbox.messages.send import Accept, Api, Send
from dispatcher.sandbox.messages.statuses import MESSAGE_ACCEPTED, PENDING_ACCEPTED
from dispatcher.sandbox.wire import preview, query, v1, v2, v3
from dispatcher.sandbox.wire.answers import (
    ROOTS,
    Counts,
    SmsResponse,
    SmsResponseEnvelope,
    answer_of,
)
from dispatcher.sandbox.wire.asked import asked_of
from dispatcher.sandbox.wire.body import checked, read_body
from dispatcher.sandbox.wire.rules import Inspection
from dispatcher.sandbox.wire.tables import Table, Values
from dispatcher.settings.sandbox import Answered
from receiver.answers import Handler
from receiver.callbacks.arriving import BodyReader
from receiver.callbacks.auth import as_text
from receiver.routes import Route, Schema, add_route, ref

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SendRoute:
    """One route that sends. `counts`: which messages of an answer have their number of parts;
    "asked": all if it was asked for. `lone_bulk_id`: whether one message alone has a bulkId there.
    """

    path: str
    api: Api
    table: Table
    send_of: Callable[[Api, Values, Inspection], Send]
    counts: Counts | Literal["asked"]
    lone_bulk_id: bool = True


# fmt: off
# /1/sms/binary/single is a path of S1's last curl sample.
POSTED: Final = (
    SendRoute("/sms/1/text/single",     "v1", v1.TEXT_SINGLE,     v1.send_of, "always", False),
    SendRoute("/sms/1/binary/single",   "v1", v1.BINARY_SINGLE,   v1.send_of, "always", False),
    SendRoute("/1/sms/binary/single",   "v1", v1.BINARY_SINGLE,   v1.send_of, "always", False),
    SendRoute("/sms/1/text/multi",      "v1", v1.TEXT_MULTI,      v1.send_of, "always", False),
    SendRoute("/sms/1/binary/multi",    "v1", v1.BINARY_MULTI,    v1.send_of, "always", False),
    SendRoute("/sms/1/text/advanced",   "v1", v2.TEXT_REQUEST_V1, v2.send_of, "at once"),
    SendRoute("/sms/1/binary/advanced", "v1", v2.BINARY_REQUEST,  v2.send_of, "at once"),
    SendRoute("/sms/2/text/single",     "v2", v1.TEXT_SINGLE,     v1.send_of, "never", False),
    SendRoute("/sms/2/binary/single",   "v2", v1.BINARY_SINGLE,   v1.send_of, "never", False),
    SendRoute("/sms/2/text/advanced",   "v2", v2.TEXT_REQUEST,    v2.send_of, "asked"),
    SendRoute("/sms/2/binary/advanced", "v2", v2.BINARY_REQUEST,  v2.send_of, "never"),
    SendRoute("/sms/3/messages",        "v3", v3.REQUEST,         v3.send_of, "asked"),
)

QUERIED: Final = (
    SendRoute("/sms/1/text/query",      "v1", query.V1,           query.send_of, "always"),
    SendRoute("/sms/3/text/query",      "v3", query.V3,           query.send_of, "asked"),
    SendRoute("/sms/3/text/query.xml",  "v3", query.V3,           query.send_of, "asked"),
)
# fmt: on

V3: Final = next(each for each in POSTED if each.api == "v3")

PREVIEW: Final = "/sms/1/preview"

V1_STATUSES: Final[Mapping[Answered, tuple[int, int]]] = {
    "PENDING_ACCEPTED": PENDING_ACCEPTED,
    "PENDING_ENROUTE": PENDING_ENROUTE,
    "MESSAGE_ACCEPTED": MESSAGE_ACCEPTED,
}
"""What v1 may tell for an accepted message, by the words of the settings."""

LARGE_BODY: Final = 32 * 1024
"""Bytes from which a body is read on a thread; it takes about 2 ms."""


def new_key() -> str:
    """A process key as S3 shows it: 32 hexadecimal digits in capitals."""
    return secrets.token_hex(16).upper()


class SendApi:
    """Reads requests, has them accepted, answers. `v1_status` is what v1 tells for an accepted
    message where no rule says another: documents of 2016 have MESSAGE_ACCEPTED, later ones
    PENDING_ENROUTE or PENDING_ACCEPTED.
    """

    def __init__(
        self,
        accept: Accept,
        *,
        now: Callable[[], datetime],
        bodies: BodyReader,
        body_limit: int,
        v1_status: tuple[int, int] = PENDING_ACCEPTED,
        new_key: Callable[[], str] = new_key,
    ) -> None:
        self._take = accept
        self._now = now
        self._bodies = bodies
        self._body_limit = body_limit
        self._v1_status = v1_status
        self._new_key = new_key

    def add_routes(self, app: web.Application) -> None:
        for sending in POSTED:
            add_route(app, _posted_route(sending), self._posted(sending))
        for sending in QUERIED:
            add_route(app, _queried_route(sending), self._queried(sending))
        add_route(app, _PREVIEW_ROUTE, self.preview)

    def _posted(self, sending: SendRoute) -> Handler:
        async def post(request: web.Request) -> web.Response:
            send, values = await self._read(request, sending.table, _made_by(sending))
            return await self._accept(request, sending, send, values)

        return post

    def _queried(self, sending: SendRoute) -> Handler:
        make = _made_by(sending)

        async def get(request: web.Request) -> web.Response:
            came = query.parameters(request.query)
            send, values = checked(
                sending.table, came, make, self._now(), self._new_key, origin_of(request)
            )
            return await self._accept(request, sending, send, values)

        return get

    async def _accept(
        self, request: web.Request, sending: SendRoute, send: Send, values: Values
    ) -> web.Response:
        accepted_as = self._v1_status if sending.api == "v1" else PENDING_ACCEPTED
        told = await taken(request, self._take, sending, send, values, accepted_as=accepted_as)
        return respond(wanted_by(request), ROOTS[sending.api], told)

    async def preview(self, request: web.Request) -> web.Response:
        """How a text will look; nothing is sent."""
        answer = await self._read(request, preview.REQUEST, preview.answer_of)
        return respond(wanted_by(request), preview.ROOT, answer)

    async def _read(
        self, request: web.Request, table: Table, make: Callable[[Values, Inspection], T]
    ) -> T:
        """What `make` makes of the body. Raises Refused, and NotTaken of its reader."""
        headers, origin = request.headers, origin_of(request)
        kind, coding = headers.get("Content-Type"), headers.get("Content-Encoding")
        if getattr(request.content, "total_compressed_bytes", None):
            coding = None  # a server that is not ours has inflated it

        async with self._bodies.arriving(request) as body:

            def read() -> T:
                document = read_body(body, kind, coding, self._body_limit, table)
                return checked(table, document, make, self._now(), self._new_key, origin)

            if len(body) < LARGE_BODY and coding is None:
                return read()
            return await asyncio.to_thread(read)


async def send_document(
    request: web.Request, accept: Accept, document: Any, now: datetime
) -> SmsResponse | SmsResponseEnvelope:
    """Send what /sms/3/messages would be posted, on behalf of a request to another route. Raises
    Refused, StoreUnavailable."""
    send, values = checked(V3.table, document, _made_by(V3), now, new_key, origin_of(request))
    return await taken(request, accept, V3, send, values)


async def taken(
    request: web.Request,
    accept: Accept,
    sending: SendRoute,
    send: Send,
    values: Values,
    *,
    accepted_as: tuple[int, int] = PENDING_ACCEPTED,
) -> SmsResponse | SmsResponseEnvelope:
    """Have it accepted, with how it came; the answer of the route. `accepted_as` as in
    `answer_of`."""
    asked = asked_of(request.path, client_of(request), send, values)
    return answer_of(
        send,
        await accept(structs.replace(send, asked=asked)),
        counts=_counts(sending, values),
        bulk_id=sending.lone_bulk_id or len(send.messages) > 1,
        accepted_as=accepted_as,
    )


def origin_of(request: web.Request) -> str:
    """Where this server was called."""
    return f"{request.scheme}://{as_text(request.host)}"


def _made_by(sending: SendRoute) -> Callable[[Values, Inspection], tuple[Send, Values]]:
    def make(values: Values, inspection: Inspection) -> tuple[Send, Values]:
        return sending.send_of(sending.api, values, inspection), values

    return make


def _counts(sending: SendRoute, values: Values) -> Counts:
    """As the route has it, or as `includeSmsCountInResponse` asks; v3 has it among its options."""
    if sending.counts != "asked":
        return sending.counts
    options = values.get("options") or values
    return "always" if options.get("includeSmsCountInResponse") else "never"


# --- what clients are told of the routes ---------------------------------------------------------


def _name(path: str) -> str:
    """`/sms/1/text/single` is `SmsV1TextSingle`, `/1/sms/binary/single` `SmsV1OldBinarySingle`."""
    _, first, version, *rest = path.replace(".", "/").replace("/1/sms/", "/sms/1/old/").split("/")
    return "".join([first.title(), f"V{version}", *(word.title() for word in rest)])


def _answered(sending: SendRoute) -> type:
    return SmsResponseEnvelope if sending.api == "v3" else SmsResponse


def _posted_route(sending: SendRoute) -> Route:
    name = _name(sending.path)
    return provider_route(
        "POST", sending.path, f"post{name}", "Sends SMS", _answered(sending), body=ref(name)
    )


def _queried_route(sending: SendRoute) -> Route:
    return provider_route(
        "GET",
        sending.path,
        f"get{_name(sending.path)}",
        "Sends SMS with query parameters, which can include username and password",
        _answered(sending),
        parameters=parameters_of(sending.table),
        login=True,
        head=False,  # it would send too
    )


_PREVIEW_ROUTE: Final = provider_route(
    "POST",
    PREVIEW,
    f"post{_name(PREVIEW)}",
    "Previews a text: how it will look and how many messages it needs",
    preview.PreviewResponse,
    body=ref(_name(PREVIEW)),
)

REQUESTS: Final[Mapping[str, Schema]] = {
    **{_name(sending.path): sending.table.schema() for sending in POSTED},
    _name(PREVIEW): preview.REQUEST.schema(),
}
"""The bodies of requests, by the names under which routes refer to them."""
