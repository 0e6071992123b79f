"""Which connections a receiver keeps, and which it hands over to the first process.

A receiver takes callbacks only. The kernel gives it any connection, so as soon as one asks for
something else it is handed to the first process: the connection itself, with the bytes that were
read of the request. So the first process sees the client's own address, and answers as if it had
accepted the connection. What is not plainly a callback is handed over too: the first process takes
any request.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.typedefs import Middleware

from receiver.answers import Handler
from receiver.server import ClientConnection, Opened

HandOver = Callable[[int, bytes], None]
"""Takes a connection's descriptor and the bytes that were read of its next request."""

HELD_MOST = 64 * 1024
"""Bytes of a next request after which nothing more is read until the one before it is answered."""

HEAD_MOST = 16 * 1024
"""Bytes of a callback's head that are held until it is whole and tells the length of its body."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r\n", re.IGNORECASE)


def beginnings_of(sources: Iterable[str]) -> tuple[bytes, ...]:
    """How the callbacks of these sources begin, up to the end of the path."""
    paths = ["/notify", *(f"/notify/{source}" for source in sources)]
    return tuple(f"POST {path}{end}".encode() for path in paths for end in " ?")


def is_callback(begun: bytes, beginnings: tuple[bytes, ...]) -> bool | None:
    """Whether a request that begins so is a callback; `None`: that cannot be told yet."""
    if begun.startswith(beginnings):
        return True
    return None if any(each.startswith(begun) for each in beginnings) else False


def size_of(begun: bytes) -> int | None:
    """The bytes of a request, if its head is here and tells the length of its body."""
    end = begun.find(b"\r\n\r\n")
    found = _LENGTH.search(begun, 0, end + 2) if end >= 0 else None
    return None if found is None else end + 4 + int(found[1])


def _has_head(begun: bytes) -> bool:
    """Whether the head is whole, or longer than one that is waited for."""
    return len(begun) > HEAD_MOST or b"\r\n\r\n" in begun


class SortingConnection(ClientConnection):
    """A connection that is handed over between two requests, as soon as one is no callback.

    aiohttp's parser is given the bytes of one request at a time. What comes after them is held
    until the request is answered: only then can the connection be handed over.
    """

    __slots__ = ("_beginnings", "_body", "_end", "_hand_over", "_held", "_left")

    def __init__(
        self,
        manager: web.Server,
        opened: Opened,
        *,
        beginnings: tuple[bytes, ...],
        hand_over: HandOver,
        **options: Any,
    ) -> None:
        super().__init__(manager, opened, **options)
        self._beginnings = beginnings
        self._hand_over = hand_over
        self._held = b""  # of the next request
        self._body: StreamReader | None = EMPTY_PAYLOAD  # None: a head has come in part
        self._end = b""  # the last bytes that aiohttp was given of requests of unknown length
        self._left: int | None = None  # bytes of this request that have not come; None: not known

    def data_received(self, data: bytes) -> None:
        if self._body is None or not self._body.is_eof():
            self._give(data)
            return
        self._held += data
        self._sort()

    def _give(self, data: bytes) -> None:
        """Have aiohttp read on in a request."""
        if self._left is not None:
            # aiohttp calls for more with b"" while it is given this; what is held stays.
            data, self._held = data[: self._left], self._held + data[self._left :]
            self._left -= len(data)
        else:
            self._end = (self._end + data)[-4:]
        super().data_received(data)
        if self._body is None and self.taking:  # it is whole
            self._body = EMPTY_PAYLOAD
        elif self._messages:  # its head is whole
            self._body = self._messages[-1][1]
        if self._left is None and self._has_more():
            self._body = None

    def _has_more(self) -> bool:
        """Whether aiohttp may have got the beginning of a next request too, as it may if the length
        of this one was not known. A body in chunks ends as a head does."""
        is_whole = self._body is not None and self._body.is_eof()
        return is_whole and (bool(self._early) or self._end != b"\r\n\r\n")

    def _sort(self) -> None:
        """See whose the next request is, once the one before it is answered."""
        transport = self.transport
        if not self._held or self._force_close or self._close:
            return
        if transport is None or transport.is_closing():  # it ended with the request before
            return
        if not self._waits():
            if not self._request_in_progress and not self.taking:  # it waits in a moment
                self._loop.call_soon(self._sort)
            elif len(self._held) > HELD_MOST:
                transport.pause_reading()
            return
        transport.resume_reading()
        mine = is_callback(self._held, self._beginnings)
        if mine is None or (mine and not _has_head(self._held)):
            return
        data, self._held = self._held, b""
        if mine:
            self._body, self._left = None, size_of(data)
            self._give(data)
        else:
            self._leave(data)

    def _waits(self) -> bool:
        """Whether all that came before is answered."""
        if self.taking:
            return False
        waiter = self._waiter
        return self._request_count == 0 or (waiter is not None and not waiter.done())

    def answer(self, data: bytes) -> None:
        super().answer(data)
        if self._held:  # looked at when the answer is written: uvloop does so after this callback
            self._loop.call_soon(self._sort)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        finished = await super().finish_response(request, resp, start_time)
        if self._held:
            self._loop.call_soon(self._sort)
        return finished

    def _leave(self, begun: bytes) -> None:
        transport = self.transport
        assert transport is not None
        if transport.get_write_buffer_size():  # somebody asks on and reads no answer
            transport.close()
            return
        transport.pause_reading()
        try:
            connection = os.dup(transport.get_extra_info("socket").fileno())
        except OSError:  # no descriptor is left
            transport.close()
            return
        self._hand_over(connection, begun)
        transport.abort()  # closes this process's descriptor; the connection stays open


def callbacks_only(beginnings: tuple[bytes, ...]) -> Middleware:
    """A middleware, before all others. One request cannot be handed over: one whose first bytes
    come together with the end of a chunked body. It is not answered: its connection is closed, and
    by HTTP/1.1 the client sends it again."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        line = f"{request.method} {request.raw_path} ".encode("utf-8", "surrogateescape")
        if line.startswith(beginnings):
            return await handler(request)
        request.protocol.force_close()
        return web.Response()

    return middleware
