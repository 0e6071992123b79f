"""What a connection really said, read beside aiohttp's parser.

aiohttp refuses an answer as a whole when something in it is odd: a second Content-Length, a blank
before a colon, a body behind a 204. The customer has said 200 all the same, and pushing to him
again for 41:30 h would be our mistake. So a tap stands between the socket and aiohttp, keeps the
first bytes of the answer, and they are read for the status when aiohttp gives none.

The tap also knows what aiohttp does not tell: whether a connection was used before, and whether a
single byte of the answer has come. A request that breaks off on a used connection without a byte
has most likely met the server's idle timeout, and is worth one more try at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from typing import Any, cast

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from msgspec import Struct

HEARD_MOST = 16 * 1024
"""Bytes at the start of an answer that are kept until it is read. The status line is in there, also
behind interim answers (103 Early Hints) with long headers."""

HEAD_MOST = 512 * 1024
"""Bytes after which a head that has not ended costs its connection. The status is known by then."""

_STATUS_LINE = re.compile(rb"[\r\n]*HTTP/[0-9]\.[0-9][ \t]+([0-9]{3})(?:[ \t][^\n]*)?\r?\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"\n([!-9;-~]+)[ \t]*:[ \t]*([^\r\n]*)")


class Head(Struct, frozen=True):
    """What the first bytes of an answer tell. `body` is what came of it; `whole` says that it is
    all, by the one length that the head tells."""

    status: int
    retry_after: str | None
    body: bytes
    whole: bool


def head_of(heard: bytes) -> Head | None:
    """The head of the final answer, skipping interim ones; None when there is no whole status line
    of one. Only the status line need be right."""
    at = 0
    while (line := _STATUS_LINE.match(heard, at)) is not None:
        status = int(line[1])
        end = _END_OF_HEAD.search(heard, line.end(1))
        if not 100 <= status < 200 or status == 101:
            fields = heard[line.end(1) : end.start() if end else None]
            return _head(status, fields, heard[end.end() :] if end else b"")
        if end is None:
            return None
        at = end.end()
    return None


def _head(status: int, text: bytes, rest: bytes) -> Head:
    fields: dict[bytes, set[bytes]] = {}
    for name, value in _FIELD.findall(text):
        fields.setdefault(name.lower(), set()).add(value.strip())
    asked = next(iter(fields.get(b"retry-after", ())), None)
    length = _length(fields)
    return Head(
        status=status,
        retry_after=None if asked is None else asked.decode("latin-1"),
        body=rest[:length],
        whole=length is not None and len(rest) >= length,
    )


def _length(fields: Mapping[bytes, Collection[bytes]]) -> int | None:
    """The length of the body, if the head leaves no doubt of it."""
    said = fields.get(b"content-length", ())
    if len(said) != 1 or b"transfer-encoding" in fields:
        return None
    (text,) = said
    return int(text) if re.fullmatch(rb"[0-9]{1,18}", text) else None


class Exchange:
    """One request, and what its connection told of it.

    `until` is its end at the latest, by the loop's clock. `needs_new`: it must not go over a
    connection that was used before.
    """

    def __init__(self, until: float, *, needs_new: bool = False) -> None:
        self.until = until
        self.needs_new = needs_new
        self.reused = False
        self.answered = False
        """Whether aiohttp has read the head of the answer."""
        self.over = False
        self.on_end: Callable[[], None] | None = None
        self._heard = b""
        self._size = 0

    @property
    def silent(self) -> bool:
        """Whether not a byte of an answer has come."""
        return not self._size

    def head(self) -> Head | None:
        return head_of(self._heard)

    def end(self) -> None:
        """The answer was read, or given up: what still comes belongs to nobody."""
        self.over = True
        if self.on_end is not None:
            self.on_end()

    def hear(self, data: bytes) -> bool:
        """Bytes of the answer came. False: the head has no end in sight."""
        self._size += len(data)
        if len(self._heard) < HEARD_MOST:
            self._heard += data[: HEARD_MOST - len(self._heard)]
        return self.answered or self._size <= HEAD_MOST or self.head() is None


class _Tap(asyncio.Protocol):
    """Stands between a transport and aiohttp's protocol, which it hands everything on to."""

    def __init__(
        self, transport: asyncio.Transport, inner: asyncio.Protocol, kept: Kept, place: object
    ) -> None:
        self._transport = transport
        self._inner = inner
        self._kept = kept
        self.place = place
        self._exchange: Exchange | None = None
        kept.open += 1

    def serve(self, exchange: Exchange) -> None:
        """From now on, what comes is of this exchange."""
        self._exchange = exchange
        self._kept.idle.pop(self, None)
        exchange.on_end = lambda: self._rest(exchange)

    def _rest(self, ended: Exchange) -> None:
        """Wait for the next exchange, if that has not come already: aiohttp hands a connection on
        before whoever had it goes on."""
        if self._exchange is ended and not self._transport.is_closing():
            self._kept.idle[self] = None

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._exchange is None or self._exchange.over:
            # Bytes that nobody has asked for. The next request would take them for its answer.
            self._transport.abort()
        elif self._exchange.hear(data):
            self._inner.data_received(data)
        else:
            self._transport.abort()

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._kept.open -= 1
        self._kept.idle.pop(self, None)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class Kept:
    """How many connections are open, and which of them wait for their next request."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self.open = 0
        self.idle: dict[_Tap, None] = {}  # the one that waits for longest first

    def make_room(self, place: object) -> None:
        """Close those that wait, as far as needed to open one more, unless one of them leads to
        this place."""
        if self._most is None or self.open < self._most:
            return
        if any(tap.place == place for tap in self.idle):
            return
        for tap in list(self.idle)[: self.open + 1 - self._most]:
            del self.idle[tap]
            tap.close()


current: ContextVar[Exchange | None] = ContextVar("current", default=None)
"""The exchange of the request that is being made. aiohttp tells its connector nothing of ours."""


class TappedConnector(aiohttp.TCPConnector):
    """Gives the exchange of each request (`current`) a tap on its connection."""

    def __init__(self, kept: Kept, **options: Any) -> None:
        super().__init__(**options)
        self._kept = kept

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's own signature
    ) -> Connection:
        exchange = current.get()
        place = (id(self), req.connection_key)
        self._kept.make_room(place)
        while True:
            connection = await super().connect(req, traces, timeout)
            transport = cast(asyncio.Transport, connection.transport)
            tap = transport.get_protocol()
            if exchange is None:
                return connection
            if not isinstance(tap, _Tap):
                tap = _Tap(transport, cast(asyncio.Protocol, tap), self._kept, place)
                transport.set_protocol(tap)
            elif exchange.needs_new:
                connection.close()  # the other idle ones of this host are as old
                continue
            else:
                exchange.reused = True
            tap.serve(exchange)
            return connection
