"""Open pages cost no callback its 200.

A thousand browsers keep a connection each after whatever they asked for, and that is more than may
be served at once: the next callback would be told 503. So answers to pages close their connections
when half of them are in use, and so does the answer that there is no place left in the stream of
events. Here an eighth of that: 100 pages where 80 connections are served.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.contracts.report_store import an_sms
from tests.end_to_end.processes import running

PAGES, CONNECTIONS = 100, 80

AT_ONCE = 10
"""Pages that ask at the same instant."""


class OpenPage:
    """A browser in which the inbox is open: it keeps its connections, follows the stream if there
    is a place, and asks for new rows."""

    def __init__(self, session: aiohttp.ClientSession, url: str, gate: asyncio.Semaphore) -> None:
        self._session = session
        self._url = url
        self._gate = gate
        self.stream: aiohttp.ClientResponse | None = None

    async def load(self) -> None:
        async with self._gate:
            await self._get("/")
            response = await self._session.get(f"{self._url}/api/events?types=report")
            if response.status == 200:
                self.stream = response
            else:
                assert response.status == 503
                await response.read()

    async def look(self) -> str:
        async with self._gate:
            return await self._get("/inbox/rows?q=&source=&after=0")

    async def _get(self, path: str) -> str:
        async with self._session.get(self._url + path) as response:
            assert response.status == 200, path
            return await response.text()


@asynccontextmanager
async def open_pages(url: str, count: int) -> AsyncIterator[list[OpenPage]]:
    """So many browsers that have loaded the inbox."""
    gate = asyncio.Semaphore(AT_ONCE)
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(aiohttp.ClientSession()) for _ in range(count)]
        pages = [OpenPage(session, url, gate) for session in sessions]
        await asyncio.gather(*(page.load() for page in pages))
        yield pages


async def callbacks(url: str, name: str, count: int) -> list[int]:
    """The statuses of so many callbacks, one after the other, each on a connection of its own."""
    statuses = []
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        for number in range(count):
            body: dict[str, Any] = {"results": [an_sms(f"{name}-{number}")]}
            data, headers = json.dumps(body, default=float), {"Content-Type": "application/json"}
            async with session.post(f"{url}/notify", data=data, headers=headers) as response:
                statuses.append(response.status)
    return statuses


async def test_open_pages_cost_no_callback_its_200(tmp_path: Path) -> None:
    """While all pages have just been loaded, and while each asks for new rows again and again,
    every callback is answered 200; and the pages see the reports."""
    async with (
        running(tmp_path, "serve", DLR_LIMITS_CONNECTIONS=str(CONNECTIONS)) as server,
        open_pages(server.url, PAGES) as pages,
    ):
        assert 0 < sum(page.stream is not None for page in pages) <= 20
        assert set(await callbacks(server.url, "idle", 20)) == {200}

        looks = asyncio.gather(*(page.look() for page in pages for _ in range(2)))
        assert set(await callbacks(server.url, "busy", 30)) == {200}
        assert all("idle-19" in each for each in await looks)
