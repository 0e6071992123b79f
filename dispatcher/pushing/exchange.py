"""What a connection really said, read beside aiohttp's parser.

aiohttp refuses an answer as a whole when something in it is odd: a second Content-Length, a blank
before a colon, a body behind a 204. The customer has said 200 all the same, and pushing to him
again for 41:30 h would be our mistake. So a tap stands between the socket and aiohttp, keeps the
first bytes of the answer, and they are read for the status when aiohttp gives none.

Most answers are not odd but plain, and come whole (plain_answer.py). The tap reads those itself;
aiohttp's parser and streams would take half of the time of a push.

The tap also knows what aiohttp does not tell: whether a connection was used before, and whether a
single byte of the answer has come. A request that breaks off on a used connection without a byte
has most likely met the server's idle timeout, and is worth one more try at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from msgspec import Struct

from dispatcher.pushing.plain_answer import PlainAnswer, plain_answer

HEADER_MOST = 72 * 1024
"""Bytes of one header of an answer that aiohttp reads: 64 KB and the name. Of an answer with a
longer one, or with more headers, only the status is read."""

HEADERS_MOST = 256

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
        self._heard = b""
        self._size = 0

    @property
    def silent(self) -> bool:
        """Whether not a byte of an answer has come."""
        return not self._size

    def head(self) -> Head | None:
        return head_of(self._heard)

    def hear(self, data: bytes) -> bool:
        """Bytes of the answer came. False: the head has no end in sight."""
        self._size += len(data)
        if len(self._heard) < HEARD_MOST:
            self._heard += data[: HEARD_MOST - len(self._heard)]
        return self.answered or self._size <= HEAD_MOST or self.head() is None


class Tap(asyncio.Protocol):
    """Stands between a transport and aiohttp's protocol, which it hands everything on to but
    answers that are plain. One exchange after the other: `serve`, `post`, `rest`."""

    def __init__(
        self, transport: asyncio.Transport, inner: ResponseHandler, kept: Kept, place: object
    ) -> None:
        self._transport = transport
        self._inner = inner
        self._kept = kept
        self._loop = asyncio.get_running_loop()
        self.place = place
        self._exchange: Exchange | None = None
        self.connection: Connection | None = None
        """aiohttp's connection, while it is ready (`Kept.ready`)."""
        self.ready_since = 0.0  # by the loop's clock
        self._waiting: asyncio.Future[PlainAnswer | None] | None = None
        self._until = self._patience = 0.0
        self._deadline = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._full = False
        kept.open += 1

    def serve(self, exchange: Exchange) -> None:
        """From now on, what comes is of this exchange."""
        self._exchange = exchange
        self._kept.idle.pop(self, None)

    async def post(
        self, request: Sequence[bytes], patience: float, until: float
    ) -> PlainAnswer | None:
        """Send the pieces of the request and wait for its answer. None: aiohttp's `inner` reads it.

        Raises TimeoutError if no byte comes for `patience` seconds after the request was sent, or
        `until` then by the loop's clock, and what aiohttp raises if the connection ends before
        that.
        """
        if self._transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was closed")
        self._patience, self._until = patience, until
        self._waiting = self._loop.create_future()
        self._transport.writelines(request)
        self._wait_until(until if self._full else self._patient_until())
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def rest(self) -> bool:
        """The answer was read: what still comes belongs to nobody. Whether the connection can serve
        the next exchange; it cannot if the server has answered before the request was sent."""
        self._exchange = None
        if self._transport.is_closing() or self._transport.get_write_buffer_size():
            return False
        self._kept.idle[self] = None
        return True

    def close(self) -> None:
        self._transport.close()

    @property
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    # --- what the transport tells ----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            # Bytes that nobody has asked for. The next request would take them for its answer.
            self._transport.abort()
            return
        first = exchange.silent
        if not exchange.hear(data):
            self._transport.abort()
            return
        if first and self._waiting is not None:
            plain = plain_answer(data)
            self._settle(plain)
            if plain is not None:
                self._exchange = None
                return
            self._inner.set_response_params(
                read_until_eof=True,
                auto_decompress=False,  # unpacking is a way to be flooded
                read_timeout=self._patience,
                max_line_size=HEADER_MOST,
                max_field_size=HEADER_MOST,
                max_headers=HEADERS_MOST,
            )
        self._inner.data_received(data)

    def eof_received(self) -> None:
        self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_alarm()
        self._kept.open -= 1
        self._kept.idle.pop(self, None)
        self._inner.connection_lost(exc)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(_ended(exc))

    def pause_writing(self) -> None:
        self._full = True
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._full = False
        self._inner.resume_writing()
        if self._waiting is not None:
            self._wait_until(self._patient_until())

    # --- whoever waits ---------------------------------------------------------------------------

    def _settle(self, answer: PlainAnswer | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)

    def _patient_until(self) -> float:
        return min(self._until, self._loop.time() + self._patience)

    def _wait_until(self, deadline: float) -> None:
        """An alarm that rings before it stays, and is set anew when it rings: most of them would be
        stopped long before."""
        self._deadline = deadline
        if self._alarm is None or self._alarm.when() > deadline:
            self._stop_alarm()
            self._alarm = self._loop.call_at(deadline, self._ring)

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        self._alarm = None
        if self._waiting is None or self._waiting.done():
            return
        if self._loop.time() < self._deadline:
            self._wait_until(self._deadline)
        else:
            self._waiting.set_exception(TimeoutError())


def _ended(error: Exception | None) -> Exception:
    """What aiohttp raises when a connection ends."""
    if error is None:
        return aiohttp.ServerDisconnectedError()
    if not isinstance(error, OSError):
        return error
    ended = aiohttp.ClientOSError(*error.args)
    ended.__cause__ = error
    return ended


READY_SECONDS = 1.0
"""How long a connection is ready for the next request before aiohttp has it, which keeps it for
15 s. To get it back from there takes ten times as long."""


class Kept:
    """How many connections are open, and which of them wait for their next request."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self.open = 0
        self.idle: dict[Tap, None] = {}  # the one that waits for longest first
        self._ready: dict[object, list[Tap]] = {}  # by place, the last one last
        self._giving_back: asyncio.TimerHandle | None = None

    def ready(self, tap: Tap, connection: Connection) -> None:
        """Keep a connection that has just served its place, for the next request there."""
        loop = asyncio.get_running_loop()
        tap.connection, tap.ready_since = connection, loop.time()
        self._ready.setdefault(tap.place, []).append(tap)
        if self._giving_back is None:
            self._giving_back = loop.call_later(READY_SECONDS, self._give_back)

    def taken(self, place: object) -> tuple[Connection, Tap] | None:
        """The connection that served this place last, if one is ready."""
        ready = self._ready.get(place)
        while ready:
            tap = ready.pop()
            connection, tap.connection = tap.connection, None
            assert connection is not None
            if not tap.is_closing:
                return connection, tap
            connection.close()
        return None

    def _give_back(self) -> None:
        """Give to aiohttp those that nobody has taken."""
        self._giving_back = None
        loop = asyncio.get_running_loop()
        last, every, self._ready = loop.time() - READY_SECONDS, self._ready, {}
        for place, ready in every.items():
            for tap in ready:
                if tap.ready_since > last and not tap.is_closing:
                    self._ready.setdefault(place, []).append(tap)
                    continue
                connection, tap.connection = tap.connection, None
                assert connection is not None
                if tap.is_closing:
                    connection.close()
                else:
                    connection.release()
        if self._ready:
            self._giving_back = loop.call_later(READY_SECONDS, self._give_back)

    def close(self) -> None:
        """Close what is ready."""
        if self._giving_back is not None:
            self._giving_back.cancel()
        for place in list(self._ready):
            while (taken := self.taken(place)) is not None:
                taken[0].close()

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


class TappedConnector(aiohttp.TCPConnector):
    """Gives each connection a tap."""

    def __init__(self, kept: Kept, **options: Any) -> None:
        super().__init__(**options)
        self._kept = kept

    def place_of(self, to: aiohttp.ClientRequest) -> object:
        """Where the request goes: requests of one place can share a connection."""
        return id(self), to.connection_key

    def ready(self, exchange: Exchange, place: object) -> tuple[Connection, Tap] | None:
        """As `tapped`, if a connection is ready."""
        while (taken := self._kept.taken(place)) is not None:
            if not exchange.needs_new:
                exchange.reused = True
                taken[1].serve(exchange)
                return taken
            taken[0].close()  # it is as old as the one that broke
        return None

    async def tapped(
        self, exchange: Exchange, to: aiohttp.ClientRequest, connecting: aiohttp.ClientTimeout
    ) -> tuple[Connection, Tap]:
        """A connection to where the request goes, and its tap, which serves the exchange."""
        place = self.place_of(to)
        self._kept.make_room(place)
        while True:
            connection = await self.connect(to, [], connecting)
            transport = cast(asyncio.Transport, connection.transport)
            tap = transport.get_protocol()
            if not isinstance(tap, Tap):
                tap = Tap(transport, cast(ResponseHandler, tap), self._kept, place)
                transport.set_protocol(tap)
            elif exchange.needs_new:
                connection.close()  # as above
                continue
            else:
                exchange.reused = True
            tap.serve(exchange)
            return connection, tap
