"""Makes attempts over HTTP, and gives each way in which they end its name."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver

from dispatcher.clocks.clock import SystemClock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.pushing.oauth import NoToken, TokenRequest, Tokens
from dispatcher.queue.base import Leased
from dispatcher.retrying.outcome import Answer, Outcome
from dispatcher.security.addresses import (
    DEFAULT_POLICY,
    AddressCheck,
    AddressPolicy,
    NotAllowed,
    url_fault,
)
from dispatcher.security.signing import OAuth, overruled, proof
from dispatcher.security.tls import Tls, context

ANSWER_KEPT = 1024
"""Bytes of an answer that are kept with the attempt."""

ANSWER_READ = 64 * 1024
"""Bytes of an answer that are read so that the connection can serve the next push. A longer answer
costs its connection and nothing else."""


_SYSTEMS_TRUST = Tls()
_system_time = SystemClock().now

_Reply = tuple[int, bytes, str | None]
"""Status, kept part of the body, `Retry-After`."""


class HttpSender:
    """Implements Sender (worker.py) on aiohttp sessions. Use it as an asynchronous context manager.

    There are two sessions, so that a connection made without a check of its address never serves
    an endpoint that is checked. `now` is the world's time, which signatures and tokens live by.
    `resolver` None asks the system for addresses.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = _system_time,
        policy: AddressPolicy = DEFAULT_POLICY,
        *,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._now = now
        self._policy = policy
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None
        self._checked_session: aiohttp.ClientSession | None = None
        self._tokens = Tokens(now)
        self._contexts: dict[Tls, ssl.SSLContext] = {}

    async def __aenter__(self) -> Self:
        # Each endpoint has a window of its own; a common limit would let one hold up the rest.
        self._session = new_session(aiohttp.TCPConnector(limit=0, resolver=self._resolver))
        self._checked_session = new_session(
            aiohttp.TCPConnector(
                limit=0, resolver=self._resolver, socket_factory=AddressCheck(self._policy)
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tokens.close()
        for session in (self._session, self._checked_session):
            if session is not None:
                await session.close()

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:
        started = time.perf_counter()
        try:
            status, body, retry_after = await self._push(dispatch, endpoint)
        except (NoToken, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            failure, text = failure_of(error)
            return Answer(_milliseconds_since(started), failure=failure, error=text)
        return Answer(
            _milliseconds_since(started), status=status, body=body, retry_after=retry_after
        )

    async def _push(self, dispatch: Leased, endpoint: Endpoint) -> _Reply:
        """With OAuth: a push that is answered 401 is made once more, with a new token."""
        if not isinstance(endpoint.security, OAuth):
            return await self._post(dispatch, endpoint)
        token = await self._token(endpoint, endpoint.security)
        reply = await self._post(dispatch, endpoint, token)
        if reply[0] != 401:
            return reply
        self._tokens.forget(endpoint.name, token)
        token = await self._token(endpoint, endpoint.security)
        return await self._post(dispatch, endpoint, token)

    async def _post(self, dispatch: Leased, endpoint: Endpoint, token: str | None = None) -> _Reply:
        async with (
            asyncio.timeout(endpoint.exchange_time.total_seconds()),
            self._session_for(endpoint, dispatch.url).post(
                _target(dispatch.url, endpoint),
                data=dispatch.body,
                headers=_headers(dispatch, endpoint, self._now(), token),
                timeout=_timeout(endpoint.connect_timeout, endpoint.read_timeout),
                ssl=self._trust(endpoint.tls),
                allow_redirects=False,
            ) as response,
        ):
            return response.status, await _read(response), response.headers.get("Retry-After")

    async def _token(self, endpoint: Endpoint, security: OAuth) -> str:
        return await self._tokens.token(
            endpoint.name, security, lambda request: self._ask_for_token(endpoint, request)
        )

    async def _ask_for_token(self, endpoint: Endpoint, request: TokenRequest) -> tuple[int, bytes]:
        """Under the rules of the endpoint's pushes: its timeouts, its trust, its address check."""
        try:
            async with (
                asyncio.timeout(endpoint.exchange_time.total_seconds()),
                self._session_for(endpoint, request.url).post(
                    _target(request.url, endpoint),
                    data=request.body,
                    headers=request.headers,
                    timeout=_timeout(endpoint.connect_timeout, endpoint.read_timeout),
                    ssl=self._trust(endpoint.tls),
                    allow_redirects=False,
                ) as response,
            ):
                return response.status, await _read_all(response)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise NoToken(f"the token endpoint: {failure_of(error)[1]}") from error

    def _session_for(self, endpoint: Endpoint, url: str) -> aiohttp.ClientSession:
        checked = (endpoint.checked or self._policy.loopback_only) and not self._policy.names(url)
        session = self._checked_session if checked else self._session
        assert session is not None, "HttpSender is used as a context manager"
        return session

    def _trust(self, tls: Tls) -> ssl.SSLContext | bool:
        """What `ssl=` takes. A context is made once, at the first push."""
        if tls == _SYSTEMS_TRUST:
            return True
        if tls not in self._contexts:
            try:
                self._contexts[tls] = context(tls)
            except OSError as error:  # good at the start, and gone since
                raise ssl.SSLError(1, "the files of its TLS settings cannot be used") from error
        return self._contexts[tls]


def new_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        # Unpacking is a way to be flooded; packed, an answer could be neither read nor matched.
        headers={"User-Agent": "dlr", "Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=False,  # a proxy from the environment would connect for us, unchecked
    )


def _target(url: str, endpoint: Endpoint) -> str:
    """The URL, once more before it is called: who made the endpoint may not have looked at it.
    Raises `NotAllowed`."""
    if endpoint.checked and (fault := url_fault(url)) is not None:
        raise NotAllowed(fault)
    return url


@lru_cache
def _timeout(connect: timedelta, read: timedelta) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=None, sock_connect=connect.total_seconds(), sock_read=read.total_seconds()
    )


def _headers(
    dispatch: Leased, endpoint: Endpoint, now: datetime, token: str | None
) -> dict[str, str]:
    ours = {
        "Content-Type": dispatch.content_type,
        # The same at each attempt, so that the customer can tell a repeated push from a new one.
        # The name is that of Standard Webhooks.
        "webhook-id": dispatch.name,
        "dlr-attempt": str(dispatch.attempts_made + 1),
    }
    if dispatch.replay is not None:
        # The reports are those of before; the customer may drop what it has already.
        ours["dlr-replay"] = str(dispatch.replay)
    if dispatch.authorization is not None:  # of a URL that the reports brought
        ours["Authorization"] = dispatch.authorization
    if endpoint.security is None:
        return overruled(endpoint.headers, ours)
    proven = proof(endpoint.security, dispatch.body, dispatch.name, now, token)
    return overruled(endpoint.headers, {**ours, **proven})


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The kept part of the answer. A body that ends early raises."""
    kept = bytearray()
    read = 0
    async for chunk in response.content.iter_any():
        kept += chunk[: ANSWER_KEPT - len(kept)]
        read += len(chunk)
        if read > ANSWER_READ:
            response.close()
            break
    return bytes(kept)


async def _read_all(response: aiohttp.ClientResponse) -> bytes:
    """The answer of a token endpoint, whole. Raises `NoToken` when it has no end in sight."""
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > ANSWER_READ:
            response.close()
            raise NoToken(f"the token endpoint: more than {ANSWER_READ} bytes of answer")
    return bytes(read)


def failure_of(error: Exception) -> tuple[Outcome, str]:
    """The outcome that an exception stands for, and what to say of it. The order matters: aiohttp's
    classes overlap."""
    match error:
        case NoToken():
            return Outcome.NO_TOKEN, str(error)
        case NotAllowed() | aiohttp.ClientConnectorError(os_error=NotAllowed()):
            return Outcome.NOT_ALLOWED, _words(error)
        case TimeoutError():
            return Outcome.TIMED_OUT, "no answer in time"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Outcome.TLS_FAILED, _words(error)
        case aiohttp.ClientOSError(__cause__=ssl.SSLError()):
            # A server of TLS 1.3 refuses our certificate, or the lack of one, after the handshake.
            return Outcome.TLS_FAILED, _words(error)
        case aiohttp.ClientConnectorError(os_error=ConnectionResetError(errno=None)):
            # Made by the event loop; the system's own have a number.
            return Outcome.TLS_FAILED, "the connection ended in the TLS handshake"
        case aiohttp.ClientConnectorError():
            return Outcome.UNREACHABLE, _words(error.os_error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return Outcome.BROKEN_OFF, "the connection ended before the answer did"
        case aiohttp.ClientResponseError():
            return Outcome.NOT_HTTP, f"the answer is not HTTP: {_in_one_line(error.message)}"[:200]
        case aiohttp.ClientOSError() | ConnectionError():
            return Outcome.BROKEN_OFF, _words(error)
        case _:
            return Outcome.UNREACHABLE, _words(error)


def _words(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"  # asyncio says "Connect call failed ('127.0.0.1', 9)"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _in_one_line(text)[:200]


def _in_one_line(text: str) -> str:
    """aiohttp draws an arrow below the byte at fault; a log and a table have one line."""
    return " ".join(text.split())


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
