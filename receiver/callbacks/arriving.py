"""Bodies that are still on their way: how large, how slow and how many of them there may be.

A body that is not small needs room for all that it may become before it is read on: the bytes that
are not read stay with the sender. Whoever finds no room waits in the order of coming, and after a
while is told to come again. So what all bodies take together is bounded, and nobody who was let in
waits for another who was let in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic

from aiohttp import web

from receiver.answers import NotTaken
from receiver.callbacks.body import too_large
from receiver.settings.durations import duration_text

SMALL = 64 * 1024
"""Bytes of a body that needs no room: a connection buffers as much before anybody asks for it."""

WAIT = timedelta(seconds=10)
"""How long a body waits for room: the only figure that the provider's documents have for its own
patience."""


class Room:
    """So much of something that may be taken at the same time."""

    def __init__(self, most: int, wait: timedelta = WAIT) -> None:
        self.taken = 0
        self._most = most
        self._wait = wait.total_seconds()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taking(self, size: int) -> AsyncIterator[None]:
        """Take `size` until the block ends, once there is room.

        Raises NotTaken (503) for what will never fit, and if there is no room for too long.
        """
        await self._take(size)
        try:
            yield
        finally:
            self.taken -= size
            self._let_in()

    async def _take(self, size: int) -> None:
        if size > self._most:
            raise _busy()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._let_in()
        try:
            async with asyncio.timeout(self._wait):
                await turn
        except TimeoutError:
            self._give_up(size, turn)
            raise _busy() from None
        except asyncio.CancelledError:
            self._give_up(size, turn)
            raise

    def _let_in(self) -> None:
        """The first ones, as far as they fit. A later one does not pass one that waits."""
        while self._waiting and self.taken + self._waiting[0][0] <= self._most:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.taken += size
                turn.set_result(None)

    def _give_up(self, size: int, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():  # it was let in just then
            self.taken -= size
        elif (size, turn) in self._waiting:
            self._waiting.remove((size, turn))
        self._let_in()


def _busy() -> NotTaken:
    return NotTaken(503, "busy", "too many bodies are being read; try again later")


class BodyReader:
    """Reads bodies within the limits. `room` is that of all bodies that are not small."""

    def __init__(self, *, limit: int, timeout: timedelta, at_once: int) -> None:
        self.room = Room(at_once)
        self._limit = limit
        self._timeout = timeout

    @asynccontextmanager
    async def arriving(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body of `request`, which takes its room until the block ends.

        Raises NotTaken: 413 for one that is too large, before it is read where its length is told,
        408 for one that takes too long, 503 when all bodies together are too much.
        """
        told = request.content_length
        if told is not None and told > self._limit:
            raise too_large(self._limit)
        body = bytearray()
        left = self._timeout.total_seconds()
        if told is None or told <= SMALL:
            started = monotonic()
            if await self._read(request, body, SMALL, left):
                yield bytes(body)
                return
            left -= monotonic() - started
        async with self.room.taking(told or self._limit):
            if not await self._read(request, body, self._limit, left):
                raise too_large(self._limit)
            whole = bytes(body)
            del body  # or it would be there twice
            yield whole

    async def _read(self, request: web.Request, body: bytearray, most: int, seconds: float) -> bool:
        """Read on, piece by piece, to the end. False: it is more than `most`, of which no more than
        a piece has been read."""
        try:
            async with asyncio.timeout(seconds):
                while piece := await request.content.readany():
                    body += piece
                    if len(body) > most:
                        return False
        except TimeoutError:
            text = f"the body did not arrive within {duration_text(self._timeout)}"
            raise NotTaken(408, "too_slow", text) from None
        return True
