"""A customer endpoint to try things against: fails, stalls and recovers as it is told.

`dlr listen` runs it alone, `dlr demo` and the tests beside the dispatcher.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web
from msgspec import Struct


@dataclass(frozen=True, slots=True)
class Script:
    """How the endpoint behaves. The first that applies, in this order: down, fail_first, status.

    `down_between` counts from the start of the endpoint; then it cuts each connection without an
    answer. `delay` comes before each answer.
    """

    status: int = 200
    fail_first: int = 0
    fail_status: int = 503
    delay: timedelta = timedelta(0)
    down_between: tuple[timedelta, timedelta] | None = None

    def answer_to(self, number: int, since_start: timedelta) -> int | None:
        """The status for push `number` (from 1) at this time; None cuts the connection."""
        if self.down_between is not None:
            start, end = self.down_between
            if start <= since_start < end:
                return None
        return self.fail_status if number <= self.fail_first else self.status


class Push(Struct, frozen=True):
    """One request that the endpoint got, and what it answered (None: the connection was cut)."""

    number: int
    since_start: timedelta
    content_type: str
    dispatch: str | None
    attempt: str | None
    body: bytes
    answered: int | None


class ScriptedEndpoint:
    """An aiohttp server on a port. `start`, then `stop`; `pushes` holds the last that came."""

    PUSHES_KEPT = 10_000

    def __init__(
        self,
        script: Script,
        *,
        on_push: Callable[[Push], None] = lambda _: None,
        body_limit: int = 100 * 1024 * 1024,
    ) -> None:
        self.script = script
        self.pushes: list[Push] = []
        self.url = ""
        self._on_push = on_push
        self._count = 0
        app = web.Application(client_max_size=body_limit)
        app.router.add_route("*", "/{path:.*}", self._push)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. `url` then says where."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self._started = asyncio.get_running_loop().time()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}/dlr"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _push(self, request: web.Request) -> web.Response:
        self._count += 1
        since_start = timedelta(seconds=asyncio.get_running_loop().time() - self._started)
        status = self.script.answer_to(self._count, since_start)
        push = Push(
            number=self._count,
            since_start=since_start,
            content_type=request.headers.get("Content-Type", ""),
            dispatch=request.headers.get("webhook-id"),
            attempt=request.headers.get("dlr-attempt"),
            body=await request.read(),
            answered=status,
        )
        await asyncio.sleep(self.script.delay.total_seconds())
        self._keep(push)
        if status is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=500)
        return web.Response(status=status)

    def _keep(self, push: Push) -> None:
        self.pushes.append(push)
        del self.pushes[: -self.PUSHES_KEPT]
        self._on_push(push)
