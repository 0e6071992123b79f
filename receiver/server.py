"""The listening socket: aiohttp's server with limits on what a connection may take.

What a client sends is never an error of ours: a request that is no HTTP gets an answer and one line
in the log, without the bytes, which may hold a secret.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, cast

from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong

from receiver.answers import SERVER_NAME, fault, fault_page
from receiver.callbacks.events import Sparing
from receiver.callbacks.not_taken import NotTakenBecause
from receiver.callbacks.short_way import Connection, ShortWay
from receiver.settings.settings import LimitSettings, ServerSettings

log = logging.getLogger("dlr.http")

LINGER_SECONDS = 2.0
"""How long the rest of a refused body is read and thrown away, so that the client, which is still
sending, gets to the answer instead of a reset connection."""

BACKLOG = 1024
"""Connections that wait to be accepted."""

REFUSED_MOST = 250
"""Connections that are told so at once, where descriptors are plenty. One more takes the place of
the oldest of them, which has had the most time to read its answer."""

_UNREADABLE_A_MINUTE = 20  # lines of requests that are no HTTP, for each reason

_BEGINNING = 4096
"""Bytes of a head that are kept; browsers write Accept long before their cookies."""
_WANTS_PAGE = re.compile(rb"(?is)[A-Z]+ (?!/api/).*?\r\naccept:[^\r\n]*text/html")
_COOKIES = "delete the cookies of this host in your browser, or raise limits.header"
_DOUBLED = re.compile(r"Duplicate '([A-Za-z0-9-]{1,40})' header found")

_FULL_BODY = (
    b'{"error":{"code":"busy","message":"too many connections; please try again","details":{}}}'
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\n"
    b"Server: %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
) % (SERVER_NAME.encode(), len(_FULL_BODY), _FULL_BODY)


HeadNotRead = Callable[[NotTakenBecause, int], None]
"""Told why the head of a request could not be read, and the status of its answer."""


class Opened:
    """Which connections there are, and what their log has had of late."""

    def __init__(self, refused_most: int = REFUSED_MOST) -> None:
        self.served = 0
        self.refused_most = refused_most
        self.refused: dict[_Full, None] = {}  # the oldest first
        self.unreadable = Sparing(_UNREADABLE_A_MINUTE)
        self.on_head_not_read: HeadNotRead | None = None
        """Told instead of the log, if somebody listens, of a head that a sender has to change."""
        self.full = False
        """Whether as many are served as may be; told in the log when it becomes so."""

    def is_full(self, most: int) -> bool:
        if self.served >= most and not self.full:
            log.warning(
                "all %d connections (limits.connections) are in use; more get 503",
                most,
            )
            self.full = True
        elif self.served < most * 9 // 10:
            self.full = False
        return self.served >= most


class ClientConnection(Connection):
    """One connection; its errors are answered in our form and do not fill the log."""

    __slots__ = ("_begun", "_head", "_heads_read", "_open")

    def __init__(
        self,
        manager: web.Server,
        opened: Opened,
        *,
        short: ShortWay | None = None,
        begun: bytes = b"",
        **options: Any,
    ) -> None:
        """`begun` was read of the connection already."""
        super().__init__(manager, short, **options)
        self._open = opened
        self._begun = begun
        self._head = b""
        self._heads_read = -1

    def data_received(self, data: bytes) -> None:
        """Keeps the beginning of a head, because aiohttp keeps nothing of one that it refuses."""
        if self._heads_read != self._request_count:
            self._head, self._heads_read = data[:_BEGINNING], self._request_count
        elif len(self._head) < _BEGINNING:
            self._head += data[:_BEGINNING]
        super().data_received(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open.served += 1
        super().connection_made(transport)
        if self._begun:
            self.data_received(self._begun)
            self._begun = b""

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
        if request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        if status >= 500:
            log.error(
                "%s %s failed and was answered 500; this is a defect of dlr, please report it",
                request.method,
                request.rel_url.raw_path,
                exc_info=exc,
            )
            response = fault(500, "internal_error", "internal error; see the log of dlr")
            response.force_close()
            return response
        because = _because(exc)
        if isinstance(exc, LineTooLong):
            status = 431
        if because is not None and self._open.on_head_not_read is not None:
            self._open.on_head_not_read(because, status)
        else:
            self._log_unreadable(request, exc)
        code, message = "bad_request", "this is not a valid HTTP request"
        if isinstance(exc, LineTooLong):
            code, message = "header_too_large", "the headers of this request are too large"
        if _WANTS_PAGE.match(self._head) is None:
            response = fault(status, code, message)
        else:
            what_to_do = f"; {_COOKIES}" if status == 431 else ""
            response = fault_page(status, message + what_to_do)
        response.force_close()
        return response

    def _log_unreadable(self, request: web.BaseRequest, exc: BaseException | None) -> None:
        """One line, without what came."""
        reason = type(exc).__name__
        if (left_out := self._open.unreadable.admit(reason)) is None:
            return
        facts = {"reason": reason, "from": request.remote}
        if left_out:
            facts["leftOut"] = str(left_out)
        log.info("request cannot be read", extra={"facts": facts})

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """What aiohttp refuses before it asks any handler, an unknown Expect, has our form too."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = fault(resp.status, "bad_request", resp.text or resp.reason)
        if not resp.prepared:  # a stream of events names the server itself
            resp.headers[hdrs.SERVER] = SERVER_NAME
        return await super().finish_response(request, resp, start_time)


def _because(exc: BaseException | None) -> NotTakenBecause | None:
    """What a proxy or a sender can do to a head. Of what is no HTTP at all nobody need be told."""
    if isinstance(exc, LineTooLong):
        return NotTakenBecause("header_too_large", "the headers of the request are too large")
    doubled = _DOUBLED.search(str(exc))
    if doubled is None:
        return None
    return NotTakenBecause("doubled_header", f"two headers named {doubled[1]}")


class _Full(asyncio.Protocol):
    """Tells one connection too many to come again, and waits a moment until that has arrived."""

    def __init__(self, opened: Opened) -> None:
        self._open = opened
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.Transport, transport)
        self._open.refused[self] = None
        if len(self._open.refused) > self._open.refused_most:
            next(iter(self._open.refused)).cut()
        self._socket.write(_FULL)
        if self._socket.can_write_eof():  # TLS has no such thing
            self._socket.write_eof()
        self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self.cut)

    def cut(self) -> None:
        """Wait no longer."""
        self._open.refused.pop(self, None)
        self._socket.abort()

    def connection_lost(self, _: BaseException | None) -> None:
        self._open.refused.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()


class Listener:
    """Where the server listens, and how it takes connections besides. `port` 0: nowhere."""

    def __init__(self, connection: Callable[..., asyncio.Protocol]) -> None:
        self.port = 0
        self._connection = connection

    async def listen(self, bound: socket.socket) -> asyncio.Server:
        """Listen on this socket too, until what is returned is closed. `bound` stays open."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._connection, sock=bound.dup(), backlog=BACKLOG)

    async def take(self, accepted: socket.socket, begun: bytes) -> None:
        """Serve a connection that another process has accepted, and of which it read `begun`."""
        accepted.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(partial(self._connection, begun), accepted)
        except OSError:  # its client is gone
            accepted.close()


@asynccontextmanager
async def listening(
    app: web.Application,
    server: ServerSettings,
    limits: LimitSettings,
    opened: Opened | None = None,
    short: ShortWay | None = None,
    bound: Sequence[socket.socket] | None = None,
    tls: ssl.SSLContext | None = None,
    connect: Callable[..., ClientConnection] = ClientConnection,
) -> AsyncIterator[Listener]:
    """Serve `app` until the block ends, then in order: no new connection, requests under way are
    answered, all is closed. `opened` is counted up and down. `short` may take requests before they
    come to the application. `bound` is listened on instead of the address of the settings, and
    stays open; if it is empty, connections come by the `Listener` only. `tls` None: what is served
    is plain. `connect` makes the connections.
    """
    opened = Opened() if opened is None else opened
    # aiohttp takes a limit of 0 for none. Its own access log costs four tenths of the rate.
    limit = max(server.stop_timeout.total_seconds(), 0.001)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=limit)
    await runner.setup()
    try:
        manager = runner.server
        assert manager is not None
        loop = asyncio.get_running_loop()
        options = _options(limits)

        def connection(begun: bytes = b"") -> asyncio.Protocol:
            if opened.is_full(limits.connections):
                return _Full(opened)
            return connect(manager, opened, short=short, begun=begun, loop=loop, **options)

        listener = Listener(connection)
        servers = [await listener.listen(each) for each in bound or ()]
        if bound is None:
            with naming_the_address(server.bind, server.port):
                place: dict[str, Any] = {"host": server.bind, "port": server.port}
                servers = [await loop.create_server(connection, **place, backlog=BACKLOG, ssl=tls)]
        if servers:
            listener.port = servers[0].sockets[0].getsockname()[1]
        try:
            yield listener
        finally:
            for each in servers:
                each.close()
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


@contextmanager
def naming_the_address(bind: str, port: int) -> Iterator[None]:
    """Say what cannot be listened on, and why, in words for a person."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0  # below 0 it is of getaddrinfo: an unknown host
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        raise OSError(f"cannot listen on {host_in_url(bind)}:{port}: {reason}") from error
    except UnicodeError as error:  # a name that no look-up can be made of
        raise OSError(f"cannot listen on {host_in_url(bind)}:{port}: not a host name") from error


def host_in_url(bind: str) -> str:
    """The address as it stands in a URL: that of IPv6 in brackets."""
    return f"[{bind}]" if ":" in bind else bind
