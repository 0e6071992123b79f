"""A customer endpoint that costs next to nothing: answers each POST with 200, and knows when.

`GET /` tells how many pushes and bytes came, and when the first and the last did (seconds of
`time.monotonic`, which all processes of a machine share), and begins to count anew.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request
from typing import cast

import uvloop
from msgspec import Struct

from tests.benchmarks.processes import Running

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nACK/Jasmin"
"""Jasmin wants these words; nobody else reads them."""


class Received(Struct):
    pushes: int = 0
    bytes: int = 0
    first_at: float = 0.0
    last_at: float = 0.0

    @property
    def seconds(self) -> float:
        return self.last_at - self.first_at


def received(sink: Running, *, restart: bool = False) -> Received:
    path = "/restart" if restart else "/"
    with urllib.request.urlopen(sink.url + path, timeout=10) as answer:
        return Received(**json.load(answer))


class _Sink(asyncio.Protocol):
    count = Received()

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        if head.startswith(b"GET"):
            self._tell(restart=b"/restart" in head)
            return
        at = head.lower().index(b"content-length:") + 15
        length = int(head[at:].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = b""
        self._count(length)
        self._transport.write(_OK)

    def _count(self, length: int) -> None:
        count = _Sink.count
        count.last_at = time.monotonic()
        if not count.pushes:
            count.first_at = count.last_at
        count.pushes += 1
        count.bytes += length

    def _tell(self, *, restart: bool) -> None:
        count = _Sink.count
        body = json.dumps({name: getattr(count, name) for name in Received.__struct_fields__})
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write((head + body).encode())
        self._transport.close()
        if restart:
            _Sink.count = Received()


async def _serve() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    listening = await loop.create_server(_Sink, "127.0.0.1", 0)
    print(f"listening on http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()
    listening.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
