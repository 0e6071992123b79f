"""Which connections another process than the first one keeps, and which it hands over.

It takes callbacks alone. The kernel gives it any connection, so as soon as one asks for something
else it is handed to the first process: the connection itself, with the bytes that were read of the
request. So the first process sees the client's own address, and answers as if it had accepted the
connection. What is not plainly a callback is handed over too, because the first process takes any.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from receiver.answers import Handler
from receiver.server import ClientConnection, Opened

HandOver = Callable[[int, bytes], None]
"""Takes a connection's descriptor and the bytes that were read of its next request."""

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


class SortingConnection(ClientConnection):
    """A connection that is handed over between two requests, as soon as one is no callback."""

    __slots__ = ("_beginnings", "_hand_over", "_held", "_left")

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
        self._held = b""  # of a request that could be either
        self._left: int | None = None  # bytes of a request that have not come; None: not known

    def data_received(self, data: bytes) -> None:
        if self._is_between_requests():
            data = self._held + data
            mine = is_callback(data, self._beginnings)
            self._held = data if mine is None else b""
            if mine is None:
                return
            if not mine:
                self._leave(data)
                return
            size = size_of(data)
            self._left = None if size is None else size - len(data)
        elif self._left is not None:
            self._left -= len(data)
        super().data_received(data)

    def _is_between_requests(self) -> bool:
        """Whether these bytes begin a request, and aiohttp's parser holds none of another. A client
        that sent a second request before the answer to the first (`_left` < 0) is never between."""
        if self._force_close or self._close or (self._left is not None and self._left < 0):
            return False
        if self._heads_read == self._request_count:  # a head has come in part
            return False
        if self._request_count == 0:
            return True
        return self._waiter is not None and not self._waiter.done()

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


def callbacks_only(
    around: Callable[[Handler], Handler], beginnings: tuple[bytes, ...]
) -> Callable[[Handler], Handler]:
    """`around` for this process's server. A request that could not be handed over, because it came
    before the answer to the one before it, has its connection closed unanswered, after that answer:
    HTTP/1.1 has its client send it again."""

    def wrapped(otherwise: Handler) -> Handler:
        taken = around(otherwise)

        async def handle(request: web.Request) -> web.StreamResponse:
            line = f"{request.method} {request.raw_path} ".encode("utf-8", "surrogateescape")
            if line.startswith(beginnings):
                return await taken(request)
            request.protocol.force_close()
            return web.Response()

        return handle

    return wrapped
