"""Bodies of which others than their handler want to know: trouble on order, and what is shown of a
request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from dispatcher.sandbox.seen import BODY_SHOWN
from receiver.callbacks.arriving import BodyReader

WHOLE: Final = web.RequestKey("whole", bytes)
"""A body that was read for the handler, which reads it from here."""

BEGINNING: Final = web.RequestKey("beginning", bytes)
"""The first BODY_SHOWN bytes of a body that was read."""


class SeenBodies(BodyReader):
    """Reads each body once, whoever asks."""

    @asynccontextmanager
    async def arriving(self, request: web.Request) -> AsyncIterator[bytes]:
        if (read := request.get(WHOLE)) is not None:
            yield read
            return
        async with super().arriving(request) as body:
            request[BEGINNING] = body[:BODY_SHOWN]
            yield body
