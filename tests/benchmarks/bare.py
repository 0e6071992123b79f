"""The ceiling of receiver and sandbox: an aiohttp handler that reads the body and answers 200.

The same event loop and settings as the real one (dispatcher/service.py), and nothing else.
"""

from __future__ import annotations

import asyncio
import signal

import uvloop
from aiohttp import web

from tests.benchmarks.bodies import SEND_PATH


async def _notify(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(
        body=b'{"stored":1,"duplicates":0,"quarantined":0}', content_type="application/json"
    )


async def _serve() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application(client_max_size=10 * 1024**2)
    app.router.add_post("/notify", _notify)
    app.router.add_post(SEND_PATH, _notify)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve())
