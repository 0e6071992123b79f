"""Ordinary pushes, as the platform makes them: aiohttp, any number at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from io import BytesIO
from typing import Self

import aiohttp

from dispatcher.pushing.oauth import NoToken, TokenRequest
from dispatcher.rehearsal.bodies import Body
from dispatcher.rehearsal.exchange import ANSWER_READ, POSTED, Exchange, failure_of, without
from dispatcher.rehearsal.target import Way
from dispatcher.security.signing import overruled

LARGE = 1024 * 1024


class Client:
    """Pushes to one webhook, and counts the pushes. Use it as an asynchronous context manager.
    Never raises for what the webhook does: that is in the exchange."""

    def __init__(self, way: Way, timeout: timedelta) -> None:
        self._way = way
        self._timeout = timeout.total_seconds()
        self._session: aiohttp.ClientSession | None = None
        self.pushes = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=self._way.tls or True, socket_factory=self._way.sockets
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "dlr", "Accept-Encoding": "identity"},
            skip_auto_headers=("Content-Type",),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def push(self, body: Body, credentials: Mapping[str, str] | None = None) -> Exchange:
        """POST `body`. `credentials` None: those of the run."""
        given = self._way.prover.headers(body.data) if credentials is None else credentials
        self.pushes += 1
        kind = {} if body.content_type is None else {"Content-Type": body.content_type}
        headers = overruled(given, {**body.headers, **kind})
        return await self._exchange("POST", str(body), body.data, headers)

    async def options(self) -> Exchange:
        """OPTIONS, whose answer may claim codings."""
        return await self._exchange("OPTIONS", "OPTIONS", None, self._way.prover.headers(b""))

    async def fetch(self, request: TokenRequest) -> tuple[int, bytes]:
        """Status and body of the token endpoint's answer. Raises `NoToken`."""
        assert self._session is not None, "Client is used as a context manager"
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session.post(
                    request.url, data=request.body, headers=request.headers, allow_redirects=False
                ) as response,
            ):
                return response.status, await _read(response)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            failure = failure_of(error, self._timeout)
            raise NoToken(f"the token endpoint: {failure}") from error

    async def _exchange(
        self, method: str, sent: str, data: bytes | None, headers: Mapping[str, str]
    ) -> Exchange:
        assert self._session is not None, "Client is used as a context manager"
        posted = (data or b"")[: 4 * POSTED]
        started = time.perf_counter()
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session.request(
                    method,
                    self._way.url,
                    data=_payload(data),
                    headers=headers,
                    allow_redirects=False,
                ) as response,
            ):
                read = await _read(response)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            seconds = time.perf_counter() - started
            return Exchange(
                sent=sent,
                posted=posted,
                seconds=seconds,
                failure=failure_of(error, self._timeout),
                timed_out=isinstance(error, TimeoutError),
            )
        return Exchange(
            sent=sent,
            posted=posted,
            seconds=time.perf_counter() - started,
            status=response.status,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=without(self._way.secrets, read[:ANSWER_READ]),
            size=len(read),
        )


def _payload(data: bytes | None) -> bytes | BytesIO | None:
    """aiohttp wants a large body as a file, so that it can be sent in pieces."""
    return BytesIO(data) if data is not None and len(data) >= LARGE else data


async def _read(response: aiohttp.ClientResponse) -> bytes:
    read = bytearray()
    async for piece in response.content.iter_any():
        read += piece
        if len(read) > ANSWER_READ:
            response.close()
            break
    return bytes(read)
