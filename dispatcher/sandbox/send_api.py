"""The provider's send API over HTTP. What a route reads and answers is a row of `ENDPOINTS`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeVar

from aiohttp import web

from dispatcher.sandbox.model import Accepts, Api, Send
from dispatcher.sandbox.negotiation import respond, wanted_by
from dispatcher.sandbox.statuses import MESSAGE_ACCEPTED, PENDING_ACCEPTED
from dispatcher.sandbox.wire import preview, query, v1, v2, v3
from dispatcher.sandbox.wire.answers import ROOTS, answer_of
from dispatcher.sandbox.wire.body import checked, read_body
from dispatcher.sandbox.wire.rules import Reading
from dispatcher.sandbox.wire.shapes import Shape, Values
from receiver.callbacks.arriving import BodyReader

T = TypeVar("T")

Counts = Literal["always", "asked", "never"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route that sends. `counts`: when an answer tells the number of parts. `lone_bulk_id`:
    whether one message alone has a bulkId in the answer.
    """

    path: str
    api: Api
    shape: Shape
    send_of: Callable[[Api, Values, Reading], Send]
    counts: Counts
    lone_bulk_id: bool = True


# fmt: off
POSTED: Final = (
    Endpoint("/sms/1/text/single",     "v1", v1.TEXT_SINGLE,     v1.send_of, "always", False),
    Endpoint("/sms/1/binary/single",   "v1", v1.BINARY_SINGLE,   v1.send_of, "always", False),
    Endpoint("/sms/1/text/multi",      "v1", v1.TEXT_MULTI,      v1.send_of, "always", False),
    Endpoint("/sms/1/binary/multi",    "v1", v1.BINARY_MULTI,    v1.send_of, "always", False),
    Endpoint("/sms/1/text/advanced",   "v1", v2.TEXT_REQUEST_V1, v2.send_of, "always"),
    Endpoint("/sms/1/binary/advanced", "v1", v2.BINARY_REQUEST,  v2.send_of, "always"),
    Endpoint("/sms/2/text/advanced",   "v2", v2.TEXT_REQUEST,    v2.send_of, "asked"),
    Endpoint("/sms/2/binary/advanced", "v2", v2.BINARY_REQUEST,  v2.send_of, "never"),
    Endpoint("/sms/3/messages",        "v3", v3.REQUEST,         v3.send_of, "asked"),
)

QUERIED: Final = (
    Endpoint("/sms/1/text/query",      "v1", query.V1,           query.send_of, "always"),
    Endpoint("/sms/3/text/query",      "v3", query.V3,           query.send_of, "asked"),
    Endpoint("/sms/3/text/query.xml",  "v3", query.V3,           query.send_of, "asked"),
)
# fmt: on

PREVIEW: Final = "/sms/1/preview"

V1_STATUSES: Final = {"PENDING_ACCEPTED": PENDING_ACCEPTED, "MESSAGE_ACCEPTED": MESSAGE_ACCEPTED}
"""What v1 may tell for an accepted message, by the words of the settings."""

LARGE_BODY: Final = 32 * 1024
"""Bytes from which a body is read on a thread; it takes about 2 ms."""


def new_key() -> str:
    """A process key as S3 shows it: 32 hexadecimal digits in capitals."""
    return secrets.token_hex(16).upper()


class SendApi:
    """Reads requests, has them accepted, answers. `v1_status` is what v1 tells for an accepted
    message: documents of 2016 have MESSAGE_ACCEPTED, later ones PENDING_ACCEPTED.
    """

    def __init__(
        self,
        sandbox: Accepts,
        *,
        now: Callable[[], datetime],
        bodies: BodyReader,
        body_limit: int,
        v1_status: tuple[int, int] = PENDING_ACCEPTED,
        new_key: Callable[[], str] = new_key,
    ) -> None:
        self._sandbox = sandbox
        self._now = now
        self._bodies = bodies
        self._body_limit = body_limit
        self._v1_status = v1_status
        self._new_key = new_key

    def add_routes(self, app: web.Application) -> None:
        for endpoint in POSTED:
            app.router.add_post(endpoint.path, self._posted(endpoint))
        for endpoint in QUERIED:
            # HEAD would send too.
            app.router.add_get(endpoint.path, self._queried(endpoint), allow_head=False)
        app.router.add_post(PREVIEW, self.preview)

    def _posted(self, endpoint: Endpoint) -> Handler:
        async def post(request: web.Request) -> web.Response:
            send, values = await self._read(request, endpoint.shape, _made_by(endpoint))
            return await self._accept(request, endpoint, send, values)

        return post

    def _queried(self, endpoint: Endpoint) -> Handler:
        make = _made_by(endpoint)

        async def get(request: web.Request) -> web.Response:
            came = query.parameters(request.query)
            send, values = checked(endpoint.shape, came, make, self._now(), self._new_key)
            return await self._accept(request, endpoint, send, values)

        return get

    async def _accept(
        self, request: web.Request, endpoint: Endpoint, send: Send, values: Values
    ) -> web.Response:
        fields = answer_of(
            send,
            await self._sandbox.accept(send),
            counts=endpoint.counts == "always" or (endpoint.counts == "asked" and _asked(values)),
            bulk_id=endpoint.lone_bulk_id or len(send.messages) > 1,
            accepted_as=self._v1_status if endpoint.api == "v1" else PENDING_ACCEPTED,
        )
        return respond(wanted_by(request), ROOTS[endpoint.api], fields)

    async def preview(self, request: web.Request) -> web.Response:
        """How a text will look; nothing is sent."""
        fields = await self._read(request, preview.REQUEST, preview.answer_of)
        return respond(wanted_by(request), preview.ROOT, fields)

    async def _read(
        self, request: web.Request, shape: Shape, make: Callable[[Values, Reading], T]
    ) -> T:
        """What `make` makes of the body. Raises Refused, and NotTaken of its reader."""
        headers = request.headers
        kind, coding = headers.get("Content-Type"), headers.get("Content-Encoding")
        if getattr(request.content, "total_compressed_bytes", None):
            coding = None  # a server that is not ours has inflated it

        async with self._bodies.arriving(request) as body:

            def read() -> T:
                document = read_body(body, kind, coding, self._body_limit, shape)
                return checked(shape, document, make, self._now(), self._new_key)

            if len(body) < LARGE_BODY and coding is None:
                return read()
            return await asyncio.to_thread(read)


def _made_by(endpoint: Endpoint) -> Callable[[Values, Reading], tuple[Send, Values]]:
    def make(values: Values, reading: Reading) -> tuple[Send, Values]:
        return endpoint.send_of(endpoint.api, values, reading), values

    return make


def _asked(values: Values) -> bool:
    """Whether `includeSmsCountInResponse` is true; v3 has it among its options."""
    options = values.get("options") or values
    return bool(options.get("includeSmsCountInResponse"))
