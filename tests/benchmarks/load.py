"""The load: keep-alive connections, each with one request under way, in a process of its own.

`python -m tests.benchmarks.load PORT --connections 64 --seconds 3` prints one line of JSON. It
speaks just as much HTTP as the servers here answer (a Content-Length, no chunks), because it must
cost less than they do: about 20 us a request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from typing import cast

import uvloop
from msgspec import Struct
from msgspec.structs import replace

from tests.benchmarks.bodies import HEADS, Kind, body
from tests.benchmarks.processes import CPU_TICK, Running, cpu_seconds, run


class Load(Struct, frozen=True):
    """What came of it. Latencies are in milliseconds."""

    answered: int  # with 200
    refused: int  # with anything else
    seconds: float
    p50: float
    p99: float
    cpu: float = 0.0  # seconds that the server took of the processors

    @property
    def cpu_rate(self) -> float:
        """Requests a second of the processor that the server took."""
        return self.answered / max(self.cpu, CPU_TICK)  # a short one may take less than a tick

    @property
    def rate(self) -> float:
        return self.answered / self.seconds


def load(
    target: Running, kind: Kind, *, seconds: float, reports: int = 1, connections: int = 64
) -> Load:
    """Put load on `POST /notify` of `target` from another process, or on the route that sends."""
    words = ["tests.benchmarks.load", str(target.port), "--kind", kind, "--seconds", str(seconds)]
    words += ["--reports", str(reports), "--connections", str(connections)]
    before = cpu_seconds(target.pid)
    found = Load(**run(words))
    return replace(found, cpu=cpu_seconds(target.pid) - before)


class _Round:
    """The requests to make, and what has been answered."""

    def __init__(self, kind: Kind, reports: int, seconds: float) -> None:
        # A seed of its own in each round: no report comes twice.
        self._rng = random.Random(time.time_ns())
        self._kind: Kind = kind
        self._reports = reports
        path, headers = HEADS[kind]
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n"
        length = len(body(kind, reports, random.Random(1)))
        self._head = f"{head}Content-Length: {length}\r\n\r\n".encode()
        self.until = time.perf_counter() + seconds
        self.latencies: list[float] = []
        self.refused = 0

    def request(self) -> bytes:
        return self._head + body(self._kind, self._reports, self._rng)


class _Connection(asyncio.Protocol):
    def __init__(self, round_: _Round) -> None:
        self._round = round_
        self._received = b""
        self._sent_at = 0.0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        if not blank or len(rest) < _content_length(head):
            return
        now = time.perf_counter()
        if head[9:12] == b"200":
            self._round.latencies.append(now - self._sent_at)
        else:
            self._round.refused += 1
        self._received = b""
        if now < self._round.until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self.closed.set_result(None)
        else:
            self.closed.set_exception(exc)

    def _send(self) -> None:
        request = self._round.request()
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def _content_length(head: bytes) -> int:
    at = head.lower().index(b"content-length:") + 15
    return int(head[at:].partition(b"\r\n")[0])


async def _run(port: int, connections: int, round_: _Round) -> Load:
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    opened = await asyncio.gather(
        *(
            loop.create_connection(lambda: _Connection(round_), "127.0.0.1", port)
            for _ in range(connections)
        )
    )
    await asyncio.gather(*(connection.closed for _, connection in opened))
    seconds = time.perf_counter() - started
    latencies = sorted(round_.latencies)
    return Load(
        answered=len(latencies),
        refused=round_.refused,
        seconds=seconds,
        p50=quantile(latencies, 0.5) * 1000,
        p99=quantile(latencies, 0.99) * 1000,
    )


def quantile(ascending: list[float], share: float) -> float:
    return ascending[int(share * (len(ascending) - 1))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--kind", choices=list(HEADS), default="json")
    parser.add_argument("--reports", type=int, default=1)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        round_ = _Round(given.kind, given.reports, given.seconds)
        result = runner.run(_run(given.port, given.connections, round_))
    print(json.dumps({name: getattr(result, name) for name in Load.__struct_fields__}))


if __name__ == "__main__":
    main()
