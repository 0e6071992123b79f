"""Calls the provider: the logs, which can be asked again and again, and the pull endpoint, which
hands each report out once (reference, part 6.6).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import aiohttp

from dispatcher.clocks.clock import wall_time
from dispatcher.pushing.failures import failure_of
from dispatcher.pushing.http_sender import new_session
from dispatcher.reconcile.log_page import LogPage, NoPage, read_page
from dispatcher.reconcile.paging import PAGE
from dispatcher.retrying.retry_after import asked_for
from dispatcher.security.tls import context
from dispatcher.settings.reconcile import ReconcileSettings
from dispatcher.settings.security import tls_of

T = TypeVar("T")

SPACING_SECONDS = 60 / 118
"""Between two calls. Logs take 120 requests a minute; two are left for a dispute about where a
minute begins. For the pull endpoint nothing is documented, and it is asked no faster."""

TRIES = 5
"""How often a call is made that is answered 429."""

WAIT_WITHOUT_WORD = timedelta(minutes=1)
"""After a 429 without Retry-After: the limit is one of a minute."""

WAIT_MOST = timedelta(minutes=10)

ANSWER_MOST = 64 * 1024**2
"""Bytes. 1000 reports with 4000 characters of callbackData each are a tenth of it."""

_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=10, sock_read=60)
_SHOWN = 200  # characters of an answer that are told


class ProviderFailed(Exception):
    """The provider could not be asked, or answered something else than was asked for."""


class _TooMany(Exception):
    """Answered 429: `wait`, then ask again."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__()
        self.wait = wait


class Provider:
    """One account's endpoints, called one after the other at the provider's pace."""

    def __init__(
        self,
        settings: ReconcileSettings,
        session: aiohttp.ClientSession,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = wall_time,
    ) -> None:
        number = settings.api.removeprefix("v")
        self.api = settings.api
        self._root = f"{settings.base_url.rstrip('/')}/sms/{number}"
        self._headers = {"Authorization": settings.authorization, "Accept": "application/json"}
        self._trust = context(tls_of(settings.tls))
        self._session = session
        self._sleep = sleep
        self._monotonic = monotonic
        self._now = now
        self._free_at = monotonic()

    async def pull(self, keep: Callable[[bytes], T]) -> T:
        """The next reports that nobody has pulled, as `keep` keeps them.

        Once the request is on its way, a cancellation waits until its answer is kept.
        """

        async def kept() -> T:
            return keep(await self._get("/reports", {"limit": str(PAGE)}))

        return await self._patiently("/reports", lambda: _to_the_end(kept()))

    async def log_page(self, parameters: Mapping[str, str]) -> LogPage:
        body = await self._patiently("/logs", lambda: self._get("/logs", parameters))
        try:
            return read_page(body, self.api)
        except NoPage as error:
            raise ProviderFailed(f"{self._root}/logs: {error}") from error

    async def _patiently(self, path: str, call: Callable[[], Awaitable[T]]) -> T:
        for _ in range(TRIES):
            await self._turn()
            try:
                return await call()
            except _TooMany as refused:
                await self._sleep(refused.wait.total_seconds())
        raise ProviderFailed(f"{self._root}{path}: answered 429 {TRIES} times, waits in between")

    async def _turn(self) -> None:
        """Wait until the next call may go."""
        early = self._free_at - self._monotonic()
        if early > 0:
            await self._sleep(early)
        self._free_at = max(self._free_at, self._monotonic()) + SPACING_SECONDS

    async def _get(self, path: str, parameters: Mapping[str, str]) -> bytes:
        url = self._root + path
        try:
            async with self._session.get(
                url,
                params=parameters,
                headers=self._headers,
                timeout=_TIMEOUT,
                ssl=self._trust,
                allow_redirects=False,  # the credentials are for this host
            ) as response:
                body = await _read(response)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ProviderFailed(f"{url}: {failure_of(error)[1]}") from error
        if response.status == 429:
            raise _TooMany(_wait(response.headers.get("Retry-After"), self._now()))
        if response.status != 200:
            raise ProviderFailed(f"{url}: expected 200, got {response.status}{_told(body)}")
        return body


@asynccontextmanager
async def asking(settings: ReconcileSettings) -> AsyncIterator[Provider]:
    """A provider while the block lasts. The URL is the operator's word: no address is refused."""
    async with new_session(aiohttp.TCPConnector(limit=1)) as session:
        yield Provider(settings, session)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > ANSWER_MOST:
            raise ValueError(f"an answer of more than {ANSWER_MOST} bytes")
    return bytes(read)


def _wait(retry_after: str | None, now: datetime) -> timedelta:
    asked = asked_for(retry_after, now) if retry_after else None
    if asked is None:
        return WAIT_WITHOUT_WORD
    return max(timedelta(seconds=1), min(asked, WAIT_MOST))


def _told(body: bytes) -> str:
    """What the provider says of a refusal, in one line."""
    text = " ".join(body[: 4 * _SHOWN].decode(errors="replace").split())[:_SHOWN]
    return f": {text}" if text else ""


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Like `await work`, but whoever is cancelled meanwhile waits until it is done."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieved: it is not told beside the cancellation
        raise
