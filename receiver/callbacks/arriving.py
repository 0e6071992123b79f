"""Bodies that are still on their way: how large, how slow and how many of them there may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from aiohttp import web

from receiver.answers import NotTaken
from receiver.callbacks.body import too_large
from receiver.settings.durations import duration_text


class BodyReader:
    """Reads bodies within the limits, and knows how many bytes all of them hold by now."""

    def __init__(self, *, limit: int, timeout: timedelta, at_once: int) -> None:
        self.held = 0
        self._limit = limit
        self._timeout = timeout
        self._at_once = at_once

    @asynccontextmanager
    async def arriving(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body of `request`, which counts as held until the block ends.

        Raises NotTaken: 413 for one that is too large, before it is read where its length is told,
        408 for one that takes too long, 503 when all bodies together are too much.
        """
        if request.content_length is not None and request.content_length > self._limit:
            raise too_large(self._limit)
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(self._timeout.total_seconds()):
                    await self._read(request, body)
            except TimeoutError:
                text = f"the body was not there within {duration_text(self._timeout)}"
                raise NotTaken(408, "too_slow", text) from None
            yield bytes(body)
        finally:
            self.held -= len(body)

    async def _read(self, request: web.Request, body: bytearray) -> None:
        """Piece by piece, so that of a body without end no more than the limit is ever kept."""
        while piece := await request.content.readany():
            body += piece
            self.held += len(piece)
            if len(body) > self._limit:
                raise too_large(self._limit)
            if self.held > self._at_once:
                raise NotTaken(503, "busy", "too many bodies at once; please try again")
