"""What stands between dispatcher and webhook, and is down when the scenario says so.

It meets each push as the simulator's endpoint would, with its own model; what that lets through
goes on to the webhook, with the credentials of the run, and at most a window at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import NoReturn

import aiohttp
from aiohttp import web

from dispatcher.pushing.http_sender import new_session
from dispatcher.rehearsal.drill.plan import Drill
from dispatcher.rehearsal.target import Way
from dispatcher.retrying.outcome import Outcome
from dispatcher.security.signing import overruled
from dispatcher.simulation.endpoint_model import EndpointModel, Reaction
from dispatcher.simulation.scenario import Phase

ANSWER_READ = 64 * 1024
_OF_THE_CONNECTION = {"host", "connection", "content-length", "transfer-encoding", "keep-alive"}
_TOLD = ("Content-Type", "Retry-After")


class Proxy:
    """Listens on a port of its own, as an asynchronous context manager. It is told the time of the
    scenario again and again, by `turn`; `passed` gives it in between."""

    def __init__(self, way: Way, drill: Drill, passed: Callable[[], timedelta]) -> None:
        scenario = drill.scenario
        self._way = way
        self._drill = drill
        self._passed = passed
        # When the app itself is stopped, the proxy lets all through and counts.
        self._phases = () if drill.pause else scenario.phase
        rng = Random(f"{scenario.seed} endpoint")
        self._model = EndpointModel(self._phases, scenario.customer, rng)
        # Behind pushes that hang, no more get to the app at once than in production.
        self._at_once = asyncio.Semaphore(scenario.endpoint.window)
        self._seen: Counter[str] = Counter()
        self._site: web.TCPSite | None = None
        self._port = 0
        self.url = ""

    async def __aenter__(self) -> Proxy:
        app = web.Application(client_max_size=100 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._push)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        connector = aiohttp.TCPConnector(limit=0, ssl=self._way.tls or True)
        self._session = new_session(connector)
        await self._listen()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    @property
    def seen_again(self) -> int:
        """Pushes that came to the webhook once more."""
        return sum(max(0, times - 1) for times in self._seen.values())

    async def turn(self, at: timedelta) -> None:
        """Be reachable or not, as the scenario says at this time of it."""
        if _refuses(self._phases, at):
            await self._close()
        elif self._site is None:
            await self._listen()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await self._site.start()

    async def _close(self) -> None:
        """As when the process behind a port has died: what is open is cut too."""
        if self._site is None:
            return
        await self._site.stop()
        self._site = None
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            connection.force_close()

    async def _push(self, request: web.Request) -> web.Response:
        reaction = self._model.meet(self._passed())
        data = await request.read()
        response = await self._forwarded(request, data) if reaction.heard else None
        if response is None and reaction.heard:
            return _cut(request)
        if reaction.answer.failure is Outcome.TIMED_OUT:
            await _nothing()
        if reaction.answer.failure is not None:
            return _cut(request)
        await asyncio.sleep(reaction.takes.total_seconds() / self._drill.speed)
        return response or _answer(reaction)

    async def _forwarded(self, request: web.Request, data: bytes) -> web.Response | None:
        """What the webhook answers; None when it cuts the connection or does not take it."""
        try:
            async with self._at_once, asyncio.timeout(self._drill.timeout.total_seconds()):
                return await self._post(request, data)
        except TimeoutError:
            return await _nothing()
        except (aiohttp.ClientError, OSError, ValueError):
            return None

    async def _post(self, request: web.Request, data: bytes) -> web.Response:
        given = {k: v for k, v in request.headers.items() if k.lower() not in _OF_THE_CONNECTION}
        headers = overruled(self._way.prover.headers(data), given)
        push = request.headers.get("webhook-id", "")
        self._seen[push] += 1
        try:
            async with self._session.post(
                self._way.url, data=data, headers=headers, allow_redirects=False
            ) as response:
                body = await response.content.read(ANSWER_READ)
        except aiohttp.ClientConnectorError:  # it never got there
            self._seen[push] -= 1
            raise
        told = {name: response.headers[name] for name in _TOLD if name in response.headers}
        return web.Response(status=response.status, body=body, headers=told)


async def _nothing() -> NoReturn:
    """Until the dispatcher has had enough and goes: then this is cancelled."""
    await asyncio.Event().wait()
    raise AssertionError("nothing sets it")


def _answer(reaction: Reaction) -> web.Response:
    asked = reaction.answer.retry_after
    headers = {} if asked is None else {"Retry-After": asked}
    return web.Response(status=reaction.answer.status or 500, headers=headers)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # nobody reads it


def _refuses(phases: tuple[Phase, ...], at: timedelta) -> bool:
    """Whether every connection is refused. What refuses some by chance cuts them instead."""
    holding = (phase for phase in reversed(phases) if phase.share == 1 and phase.holds_at(at))
    return next((phase.behaves == "refuses" for phase in holding), False)
