"""A TCP proxy in front of a server, through which the network fails as a test wants it.

It runs in the test's event loop. A server that is cut off behind it does not know, and neither does
whoever talks to it: that is what a pulled cable, a full firewall table or a frozen machine do.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the connection ends with RST, and what waits is lost


class Proxy:
    """Passes on what comes, both ways, until it is told otherwise."""

    def __init__(self, target: str, *addresses: str) -> None:
        """`target` is the path of a Unix socket. It listens at these addresses of this machine."""
        self._target = target
        self._addresses = addresses or ("127.0.0.1",)
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._lost: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.accepted = 0

    def url(self, database: str, address: str = "127.0.0.1") -> str:
        """Where a PostgreSQL database behind it is found."""
        return f"postgresql://postgres@{address}:{self.port}/{database}"

    async def open(self) -> None:
        """Take connections; after `refuse` on the same port again."""
        if not self._servers:
            first, *more = self._addresses
            opened = [await asyncio.start_server(self._accept, first, self.port)]
            self.port = opened[0].sockets[0].getsockname()[1]
            opened += [await asyncio.start_server(self._accept, each, self.port) for each in more]
            self._servers = opened

    def refuse(self) -> None:
        """Refuse new connections, and reset those that there are."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        self.reset()

    def stall(self) -> None:
        """Take everything and pass nothing on, until `go_on`. New connections are taken, too."""
        self._passing.clear()

    def drop(self) -> None:
        """What is sent on the connections of this moment is lost, for good."""
        self._lost |= self._writers

    def go_on(self) -> None:
        """Pass on what was stalled."""
        self._passing.set()

    def reset(self) -> None:
        """End all connections with RST, at both ends."""
        for writer in self._writers:
            with suppress(OSError):
                link: socket.socket = writer.get_extra_info("socket")
                if link.family != socket.AF_UNIX:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def close(self) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._link(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            answers, there = await asyncio.open_unix_connection(self._target)
            ends.append(there)
            self._writers |= {writer, there}
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, there))
                both.create_task(self._pump(answers, writer))
        except* OSError:
            pass
        finally:
            for each in ends:
                self._writers.discard(each)
                self._lost.discard(each)
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._passing.wait()
            if writer not in self._lost:
                writer.write(data)
                await writer.drain()
        await self._passing.wait()
        if writer not in self._lost:
            writer.write_eof()


@asynccontextmanager
async def proxy(target: str, *addresses: str) -> AsyncIterator[Proxy]:
    new = Proxy(target, *addresses)
    await new.open()
    try:
        yield new
    finally:
        await new.close()
