"""Makes attempts over HTTP, and gives each way in which they end its name."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Self

import aiohttp

from dispatcher.endpoint import Endpoint
from dispatcher.outcome import Answer, Outcome
from dispatcher.queue.base import Leased

ANSWER_KEPT = 1024
"""Bytes of an answer that are kept with the attempt."""

ANSWER_READ = 64 * 1024
"""Bytes of an answer that are read so that the connection can serve the next push. A longer answer
costs its connection and nothing else."""


class HttpSender:
    """Implements Sender on one aiohttp session. Use it as an asynchronous context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # Each endpoint has a window of its own; a common limit would let one hold up the rest.
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "dlr"},
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(endpoint.attempt_time.total_seconds()):
                status, body = await self._post(dispatch, endpoint)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            failure, text = _failure(error)
            return Answer(_milliseconds_since(started), failure=failure, error=text)
        return Answer(_milliseconds_since(started), status=status, body=body)

    async def _post(self, dispatch: Leased, endpoint: Endpoint) -> tuple[int, bytes]:
        assert self._session is not None, "HttpSender is used as a context manager"
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=endpoint.connect_timeout.total_seconds(),
            sock_read=endpoint.read_timeout.total_seconds(),
        )
        async with self._session.post(
            dispatch.url,
            data=dispatch.body,
            headers=_headers(dispatch, endpoint),
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            return response.status, await _read(response)


def _headers(dispatch: Leased, endpoint: Endpoint) -> dict[str, str]:
    return {
        **endpoint.headers,
        "Content-Type": dispatch.content_type,
        # The same at each attempt, so that the customer can tell a repeated push from a new one.
        # The name is that of Standard Webhooks.
        "webhook-id": dispatch.name,
        "dlr-attempt": str(dispatch.attempts_made + 1),
    }


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


def _failure(error: Exception) -> tuple[Outcome, str]:
    """The outcome that an exception stands for, and what to say of it. The order matters: aiohttp's
    classes overlap."""
    match error:
        case TimeoutError():
            return Outcome.TIMED_OUT, "no answer in time"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Outcome.TLS_FAILED, _words(error)
        case aiohttp.ClientConnectorError():
            return Outcome.UNREACHABLE, _words(error.os_error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return Outcome.BROKEN_OFF, "the connection ended before the answer did"
        case aiohttp.ClientResponseError():
            return Outcome.NOT_HTTP, f"the answer is not HTTP: {error.message}"[:200]
        case aiohttp.ClientOSError() | ConnectionError():
            return Outcome.BROKEN_OFF, _words(error)
        case _:
            return Outcome.UNREACHABLE, _words(error)


def _words(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
