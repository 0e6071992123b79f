"""Raw connections: for what no HTTP client does by itself, such as half a body.

h11 reads the answers; the requests are bytes of our own, because they are meant to be odd.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import h11
from aiohappyeyeballs import start_connection
from msgspec import Struct
from msgspec.structs import replace

from dispatcher.rehearsal.bodies import Body
from dispatcher.rehearsal.exchange import (
    ANSWER_READ,
    POSTED,
    Exchange,
    failure_of,
    readable,
    without,
)
from dispatcher.rehearsal.target import Way


class Wires:
    """Opens connections to one webhook."""

    def __init__(self, way: Way, timeout: timedelta) -> None:
        self._way = way
        self._timeout = timeout.total_seconds()

    def head(self, body: Body, *, length: int | None = -1, **headers: str) -> bytes:
        """The head of a push of `body`. `length` -1: that of the body, None: none is told.
        Underscores in names of `headers` stand for hyphens."""
        url = self._way.url
        port = f":{url.explicit_port}" if url.explicit_port else ""
        host = f"{url.host_subcomponent}{port}"
        lines = [f"POST {url.raw_path_qs} HTTP/1.1", f"Host: {host}", "User-Agent: dlr"]
        if length is not None:
            lines.append(f"Content-Length: {len(body.data) if length < 0 else length}")
        if body.content_type is not None:
            lines.append(f"Content-Type: {body.content_type}")
        given: Mapping[str, str] = {**self._way.prover.headers(body.data), **body.headers}
        lines += [f"{name}: {value}" for name, value in given.items()]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Wire]:
        """A connection, closed at the end. Raises `OSError`."""
        url = self._way.url
        assert url.raw_host is not None
        name = url.raw_host if self._way.tls else None
        async with asyncio.timeout(self._timeout):
            reader, writer = await asyncio.open_connection(
                sock=await self._connected(), ssl=self._way.tls, server_hostname=name
            )
        wire = Wire(reader, writer, self._way.secrets, self._timeout)
        try:
            yield wire
        finally:
            wire.abort()

    async def _connected(self) -> socket.socket:
        """To the first address of the name that takes it, and that may be called."""
        url = self._way.url
        found = await asyncio.get_running_loop().getaddrinfo(
            url.raw_host, url.port, type=socket.SOCK_STREAM
        )
        return await start_connection(found, socket_factory=self._way.sockets)

    async def exchange(self, sent: str, *pieces: bytes, pause: float = 0) -> Exchange:
        """All pieces on a connection of their own, `pause` seconds apart, and the answer."""
        try:
            async with self.open() as wire:
                return await wire.exchange(sent, *pieces, pause=pause)
        except (OSError, TimeoutError) as error:
            return Exchange(
                sent=sent,
                seconds=0,
                failure=failure_of(error, self._timeout),
                timed_out=isinstance(error, TimeoutError),
            )


_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")


class _Answer(Struct):
    status: int
    headers: dict[str, str]
    body: bytearray
    http_version: str


class Wire:
    """One connection. `interim` are the 1xx statuses that came on it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        secrets: Sequence[str],
        timeout: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._secrets = secrets
        self._timeout = timeout
        self._rest = b""
        self.interim: list[int] = []

    async def send(self, data: bytes) -> bool:
        """False when the other end takes nothing more."""
        try:
            async with asyncio.timeout(self._timeout):
                self._writer.write(data)
                await self._writer.drain()
        except (OSError, TimeoutError):
            return False
        return True

    async def exchange(self, sent: str, *pieces: bytes, pause: float = 0) -> Exchange:
        """Send the pieces, then read the answer."""
        started = time.perf_counter()
        for number, piece in enumerate(pieces):
            if number and pause:
                await asyncio.sleep(pause)
            if not await self.send(piece):
                break
        return replace(await self.answer(sent, started), posted=_posted(b"".join(pieces)))

    async def answer(self, sent: str, started: float | None = None) -> Exchange:
        """The next answer on this connection, however it turns out."""
        started = time.perf_counter() if started is None else started
        try:
            async with asyncio.timeout(self._timeout):
                read = await self._read()
        except (OSError, TimeoutError, EOFError, h11.ProtocolError) as error:
            return Exchange(
                sent=sent,
                seconds=time.perf_counter() - started,
                failure=_failure(error, self._timeout),
                timed_out=isinstance(error, TimeoutError),
            )
        return Exchange(
            sent=sent,
            seconds=time.perf_counter() - started,
            status=read.status,
            headers=read.headers,
            body=without(self._secrets, bytes(read.body)),
            size=len(read.body),
            http_version=read.http_version,
        )

    async def first_status(self, seconds: float) -> int | None:
        """The status of what comes within `seconds`, 1xx included. It is kept for `answer`."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(seconds):
                self._rest += await self._reader.read(65536)
        found = _STATUS.match(self._rest)
        return int(found[1]) if found else None

    def abort(self) -> None:
        """Cut the connection, whatever was not sent yet."""
        with suppress(OSError, RuntimeError):
            self._writer.transport.abort()

    async def _read(self) -> _Answer:
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method="POST", target="/", headers=[("Host", "webhook")]))
        parser.send(h11.EndOfMessage())
        if self._rest:
            parser.receive_data(self._rest)
        answer: _Answer | None = None
        while True:
            event = parser.next_event()
            match event:
                case h11.NEED_DATA:
                    parser.receive_data(await self._reader.read(65536))
                case h11.InformationalResponse():
                    self.interim.append(event.status_code)
                case h11.Response():
                    answer = _Answer(
                        event.status_code,
                        {name.decode(): value.decode("latin-1") for name, value in event.headers},
                        bytearray(),
                        event.http_version.decode(),
                    )
                case h11.Data() if answer is not None:
                    answer.body += event.data
                    if len(answer.body) > ANSWER_READ:
                        return answer
                case h11.EndOfMessage() if answer is not None:
                    self._rest = parser.trailing_data[0]
                    return answer
                case _:  # the connection was closed before anything came
                    raise EOFError


def _posted(request: bytes) -> bytes:
    """The beginning of the body, without the head, in which the credentials are."""
    return request.partition(b"\r\n\r\n")[2][: 4 * POSTED]


def _failure(error: Exception, timeout: float) -> str:
    if isinstance(error, EOFError | ConnectionError) or "closed" in str(error).lower():
        return "the connection ended before the answer did"
    if isinstance(error, h11.ProtocolError):
        return f"the answer is not HTTP: {readable(str(error), 100)}"
    return failure_of(error, timeout)
