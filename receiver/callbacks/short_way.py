"""The short way of a callback: past the router and the middlewares.

They cost as much as reading the body does, and for nearly all callbacks they have nothing to do.
So the server asks here first. What is not plainly a callback as platforms send them goes the way of
all requests, where those decide: another path or method, a page in a browser, an `Expect`, a
connection that is to be closed. An answer that is no 200 is made there too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from email.utils import formatdate
from time import perf_counter, time

import msgspec
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from receiver.answers import SERVER_NAME, Handler, errors_as_json
from receiver.callbacks.events import REQUEST_ID, StoredCallback, Teller

Take = Callable[[web.Request, str], Awaitable[StoredCallback | web.Response]]
"""Takes a callback of a source: what was stored of it, or another answer than 200."""


def short_way(take: Take, teller: Teller, sources: Iterable[str]) -> Callable[[Handler], Handler]:
    """What the server's handler is to be wrapped in."""
    paths = {"/notify": "default"} | {f"/notify/{source}": source for source in sources}
    ways = {path: (source, _handler(take, source)) for path, source in paths.items()}

    def around(otherwise: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            way = ways.get(request.rel_url.raw_path)
            if way is None or not _is_plain(request):
                return await otherwise(request)
            source, handler = way
            started = perf_counter()
            response = await errors_as_json(request, handler)
            if isinstance(response, StoredAnswer):
                response.complete(teller.tell(request, source, 200, started, response.stored))
            else:
                response.headers[REQUEST_ID] = teller.tell_of(request, source, response, started)
            return response

        return handle

    return around


def _is_plain(request: web.Request) -> bool:
    headers = request.headers
    return (
        request.method == "POST"
        and request.version == HttpVersion11
        and request.keep_alive
        # What a middleware or the router looks at.
        and "Origin" not in headers
        and "Sec-Fetch-Site" not in headers
        and "Expect" not in headers
    )


def _handler(take: Take, source: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        done = await take(request, source)
        return StoredAnswer(done) if isinstance(done, StoredCallback) else done

    return handler


_encode = msgspec.json.Encoder().encode

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: %b\r\n"
    b"Server: " + SERVER_NAME.encode() + b"\r\nContent-Length: %d\r\nDate: %b\r\n\r\n%b"
)


class StoredAnswer(web.StreamResponse):
    """200 and what became of the reports, written in one go.

    It has what aiohttp asks of a response, and no more: a real one takes as long as the verdict on
    a report.
    """

    def __init__(self, stored: StoredCallback) -> None:
        # Not that of StreamResponse: of its state nothing is needed.
        self.stored: StoredCallback | None = stored
        self._data = b""

    def complete(self, request_id: str) -> None:
        """Make the bytes of it. The callback is held no longer: the answer of a silent connection
        lives until the next one."""
        assert self.stored is not None
        body = _encode(self.stored.counts)
        self._data = _HEAD % (request_id.encode(), len(body), _date(), body)
        self.stored = None

    @property
    def status(self) -> int:
        return 200

    @property
    def keep_alive(self) -> bool:
        return True

    @property
    def prepared(self) -> bool:
        return True  # its headers are complete

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        await request.writer.write(self._data)
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """It has been written."""


_dated = (0, b"")


def _date() -> bytes:
    """The header Date, made once a second."""
    global _dated
    second = int(time())
    if second != _dated[0]:
        _dated = (second, formatdate(second, usegmt=True).encode())
    return _dated[1]
