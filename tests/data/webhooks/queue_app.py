"""The right webhook in aiohttp that answers 202 when a bucket is queued, and works later.

Prints `listening on URL` and serves until it is ended.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from tests.data.webhooks.inbox import BODY_LIMIT, Inbox, Item, NotReadable, read


async def serve() -> None:
    inbox = Inbox()
    queue: asyncio.Queue[list[Item]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        try:
            items = read(await request.read(), request.content_type)
        except NotReadable:
            raise web.HTTPBadRequest from None
        await queue.put(items)  # in production: a table, or a broker that has it on disk
        return web.Response(status=202)

    async def message(request: web.Request) -> web.Response:
        found = inbox.message(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound
        return web.json_response(found)

    app = web.Application(client_max_size=BODY_LIMIT)
    app.add_routes([web.post("/dlr", take), web.get("/messages/{id}", message)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    while True:
        items = await queue.get()
        await asyncio.sleep(0.005)
        inbox.take(items)


if __name__ == "__main__":
    asyncio.run(serve())
