"""The listening socket: aiohttp's server with limits on what a connection may take.

What a client sends is never an error of ours: a request that is no HTTP gets an answer and one line
in the log, without the bytes, which may hold a secret.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from receiver.answers import fault
from receiver.settings.settings import LimitSettings, ServerSettings

log = logging.getLogger("dlr.http")

LINGER_SECONDS = 2.0
"""How long the rest of a refused body is read and thrown away, so that the client, which is still
sending, gets to the answer instead of a reset connection."""

REFUSED_MOST = 100
"""Connections that are told so at once; more are cut."""

_FULL_BODY = (
    b'{"error":{"code":"busy","message":"too many connections; please try again","details":{}}}'
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
) % (len(_FULL_BODY), _FULL_BODY)


class Opened:
    """How many connections there are."""

    def __init__(self) -> None:
        self.served = 0
        self.refused = 0
        self.full = False
        """Whether as many are served as may be; told in the log when it becomes so."""

    def is_full(self, most: int) -> bool:
        if self.served >= most and not self.full:
            log.warning("all %d connections are in use; whoever comes next gets 503", most)
            self.full = True
        elif self.served < most * 9 // 10:
            self.full = False
        return self.served >= most


class ClientConnection(web.RequestHandler):
    """One connection; its errors are answered in our form and do not fill the log."""

    __slots__ = ("_open",)

    def __init__(self, manager: web.Server, opened: Opened, **options: Any) -> None:
        super().__init__(manager, **options)
        self._open = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open.served += 1
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._open.served -= 1
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        facts = {"reason": type(exc).__name__, "from": request.remote}
        log.info("request cannot be read", extra={"facts": facts})
        if isinstance(exc, LineTooLong):
            response = fault(431, "header_too_large", "the head of this request is too large")
        else:
            response = fault(status, "bad_request", "this is no HTTP request that can be read")
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """What aiohttp refuses before it asks any handler, an unknown Expect, has our form too."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = fault(resp.status, "bad_request", resp.text or resp.reason)
        return await super().finish_response(request, resp, start_time)


class _Full(asyncio.Protocol):
    """Tells one connection too many to come again, and waits a moment until that has arrived."""

    def __init__(self, opened: Opened) -> None:
        self._open = opened
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open.refused += 1
        socket = cast(asyncio.Transport, transport)
        if self._open.refused > REFUSED_MOST:
            socket.abort()
            return
        socket.write(_FULL)
        socket.write_eof()
        self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, socket.abort)

    def connection_lost(self, _: BaseException | None) -> None:
        self._open.refused -= 1
        if self._timer is not None:
            self._timer.cancel()


@asynccontextmanager
async def listening(
    app: web.Application,
    server: ServerSettings,
    limits: LimitSettings,
    opened: Opened | None = None,
) -> AsyncIterator[int]:
    """Serve `app` until the block ends, then in order: no new connection, requests under way are
    answered, all is closed. Yields the port. `opened` is counted up and down.
    """
    opened = Opened() if opened is None else opened
    # aiohttp's own access log costs four tenths of the rate.
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=server.stop_timeout.total_seconds()
    )
    await runner.setup()
    try:
        manager = runner.server
        assert manager is not None
        loop = asyncio.get_running_loop()
        options = _options(limits)

        def connection() -> asyncio.Protocol:
            if opened.is_full(limits.connections):
                return _Full(opened)
            return ClientConnection(manager, opened, loop=loop, **options)

        listener = await loop.create_server(connection, server.bind, server.port, backlog=1024)
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
    finally:
        await runner.cleanup()


def _options(limits: LimitSettings) -> dict[str, Any]:
    return {
        "access_log": None,
        "max_line_size": limits.header,
        "max_field_size": limits.header,
        "max_headers": limits.headers,
        # Runs from the connection, and from each answer, to the next complete head of a request.
        "keepalive_timeout": limits.idle_timeout.total_seconds(),
        "lingering_time": LINGER_SECONDS,
        # Signatures are of the bytes as they came, and a bomb must stop at our limit.
        "auto_decompress": False,
    }
