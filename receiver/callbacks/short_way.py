"""The short way of a callback: from aiohttp's parser to the verdict, and from the commit to the
socket.

aiohttp makes a request, a task and a response of whatever its parser reads, and asks middlewares
and the router. That takes three times as long as reading and answering, and for nearly all
callbacks it has nothing to do. So each connection looks here first. What is not plainly a callback
as platforms send them goes the way of all requests, where those decide: another path or method, a
page in a browser, an `Expect`, a connection that is to be closed, a body that did not come with its
head. So does whatever would be answered by anything but 200, unless the database has failed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from email.utils import formatdate
from time import perf_counter, time
from typing import Any, cast

import msgspec
from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from receiver.answers import SERVER_NAME, fault_of
from receiver.callbacks.events import REQUEST_ID, StoredCallback, Teller
from receiver.store.base import Counts
from receiver.store.callback import Callback

Judge = Callable[[str, RawRequestMessage, str | None, bytes], Callback | None]
"""What is to be stored of a callback, by its source, head, peer and body. Changes nothing. None: it
would not be answered 200."""

Add = Callable[[Callback, Callable[[Counts | BaseException], None]], None]
"""Has a callback stored, and tells what became of it (store/writer.py)."""

EARLY_MOST = 64 * 1024
"""Bytes of further requests that are read while one is being stored: its answer goes first."""


class ShortWay:
    """Which requests are plain callbacks, and what they are answered. Shared by all connections."""

    def __init__(self, judge: Judge, add: Add, teller: Teller, sources: Iterable[str]) -> None:
        self._judge = judge
        self._add = add
        self._teller = teller
        self._sources = {"/notify": "default"} | {f"/notify/{name}": name for name in sources}

    def source_of(self, head: RawRequestMessage) -> str | None:
        """The source of a plain callback; None for any other request."""
        source = self._sources.get(head.path.partition("?")[0])
        headers = head.headers
        if (
            source is None
            or head.method != "POST"
            or head.version != HttpVersion11
            or head.should_close
            or head.upgrade
            or "Content-Encoding" in headers  # it is undone on a thread
            # What a middleware or the router looks at.
            or "Origin" in headers
            or "Sec-Fetch-Site" in headers
            or "Expect" in headers
        ):
            return None
        return source

    def take(
        self,
        source: str,
        head: RawRequestMessage,
        peer: str | None,
        body: bytes,
        answer: Callable[[bytes], None],
    ) -> bool:
        """Have a callback stored, then call `answer` with all bytes of the answer. False: nothing
        was done."""
        started = perf_counter()
        try:
            callback = self._judge(source, head, peer, body)
        except Exception:  # noqa: BLE001 - the way of all requests meets it again and answers 500
            return False
        if callback is None:
            return False
        size = len(body)

        def told(outcome: Counts | BaseException) -> None:
            if isinstance(outcome, Counts):
                stored = StoredCallback(callback, size, outcome)
                id = self._teller.tell(head.headers, source, 200, started, stored)
                answer(_of_stored(id, outcome))
            else:
                refused = fault_of(outcome, head.method, head.url.path)
                id = self._teller.tell(head.headers, source, refused.status, started, None)
                answer(_of_refused(id, refused))

        self._add(callback, told)
        return True


class Connection(web.RequestHandler):
    """A connection of aiohttp that takes plain callbacks out of what its parser has read.

    One is under way at a time, because answers have the order of their requests: `taking` says
    whether one is.
    """

    __slots__ = ("_answered", "_early", "_early_size", "_short", "taking")

    def __init__(self, manager: web.Server, short: ShortWay | None, **options: Any) -> None:
        """`short` None: all requests go the same way."""
        super().__init__(manager, **options)
        self._short = short
        self.taking = False
        # In the pieces in which it came: aiohttp answers all requests of a piece 400 if one of them
        # is no HTTP.
        self._early: deque[bytes] = deque()
        self._early_size = 0
        self._answered: asyncio.Future[None] | None = None  # if the end waits for it
        if short is not None:
            self._parser = cast(Any, _Parser(self._parser, self.takes))

    def data_received(self, data: bytes) -> None:
        if not self.taking:
            super().data_received(data)
            return
        self._early.append(data)
        self._early_size += len(data)
        if self._early_size > EARLY_MOST:
            self._pause_transport_reading()

    def takes(self, head: RawRequestMessage, content: StreamReader) -> StreamReader | None:
        """Take a request that was read, if it is a plain callback; otherwise give its body back."""
        assert self._short is not None
        # Somebody else's answer goes first, or the body is not here yet.
        if self._waiter is None or self._waiter.done() or not content.is_eof():
            return content
        if self.writing_paused:  # the client reads no answers: the way of all requests waits for it
            return content
        source = self._short.source_of(head)
        if source is None or content is EMPTY_PAYLOAD or content.exception() is not None:
            return content
        if self._reading_paused:  # a large body; whoever reads it has the parser go on
            return content
        # Looked at and not read: reading would have the parser go on at once.
        body = b"".join(content._buffer)
        peer = self.peername[0] if isinstance(self.peername, tuple) else None
        if not self._short.take(source, head, peer, body, self.answer):
            return content
        self._request_count += 1
        self.taking = True
        return None

    def answer(self, data: bytes) -> None:
        """Write the answer to the callback that was taken, and read on."""
        self.taking = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
        if self.transport is None:  # the client is gone
            return
        self.transport.write(data)
        if self._close:  # the process stops
            self.transport.close()
            return
        self._next_keepalive_close_time = self._loop.time() + self.keepalive_timeout
        if self._early:
            self._read_early()

    def _read_early(self) -> None:
        """Read on up to the next callback that is taken."""
        while self._early and not self.taking:
            piece = self._early.popleft()
            self._early_size -= len(piece)
            self.data_received(piece)
        paused_by_aiohttp = self._reading_paused or self._buffer_paused
        if self._early_size <= EARLY_MOST and not paused_by_aiohttp:
            self._resume_transport_reading()

    def _process_keepalive(self) -> None:
        """A connection whose callback is being stored is not idle."""
        if self.taking:
            later = self._loop.time() + self.keepalive_timeout
            self._keepalive_handle = self._loop.call_at(later, self._process_keepalive)
        else:
            super()._process_keepalive()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's
        """What is being stored is answered first."""
        if self.taking:
            self._answered = self._loop.create_future()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._answered
        await super().shutdown(timeout)


class _Parser:
    """The parser of a connection. What it has read is shown to `takes` before anybody sees it."""

    def __init__(self, parser: Any, takes: Callable[..., StreamReader | None]) -> None:
        self._takes = takes
        self._feed = parser.feed_data
        self.feed_eof = parser.feed_eof
        self.message_consumed = parser.message_consumed
        self.pause_reading = parser.pause_reading
        self.set_upgraded = parser.set_upgraded

    def feed_data(self, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        messages, upgraded, rest = self._feed(data)
        if len(messages) != 1:  # several are answered one after the other
            return messages, upgraded, rest
        ((head, content),) = messages
        content = self._takes(head, content)
        if content is not None:
            return [(head, content)], upgraded, rest
        self.message_consumed()
        return (), upgraded, rest


_encode = msgspec.json.Encoder().encode

_STORED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: %b\r\n"
    b"Server: " + SERVER_NAME.encode() + b"\r\nContent-Length: %d\r\nDate: %b\r\n\r\n%b"
)


def _of_stored(request_id: str, counts: Counts) -> bytes:
    """The answer 200, with the headers that aiohttp would make."""
    body = _encode(counts)
    return _STORED % (request_id.encode(), len(body), _date(), body)


def _of_refused(request_id: str, answer: web.Response) -> bytes:
    """Any other answer, likewise."""
    assert isinstance(answer.body, bytes)
    headers = {
        **answer.headers,
        REQUEST_ID: request_id,
        "Server": SERVER_NAME,
        "Content-Length": str(len(answer.body)),
        "Date": _date().decode(),
    }
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


_dated = (0, b"")


def _date() -> bytes:
    """The header Date, made once a second."""
    global _dated
    second = int(time())
    if second != _dated[0]:
        _dated = (second, formatdate(second, usegmt=True).encode())
    return _dated[1]
