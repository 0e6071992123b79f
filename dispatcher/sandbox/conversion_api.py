"""POST /ct/1/log/end/{messageId}: the recipient of a message has done what it was sent for."""

from __future__ import annotations

from hashlib import md5

from aiohttp import web

from dispatcher.sandbox.errors import Refused
from dispatcher.sandbox.negotiation import respond, wanted_by
from dispatcher.sandbox.store.base import ConversionStore


class ConversionApi:
    """The route. It answers with the process key of the request that sent the message, or one that
    is made of its id; what a conversion is used for is not played."""

    def __init__(self, store: ConversionStore) -> None:
        self._store = store

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/ct/1/log/end/{messageId}", self.end)

    async def end(self, request: web.Request) -> web.Response:
        message_id = request.match_info["messageId"]
        sent = await self._store.sent(message_id)
        if sent is None:
            raise Refused(404, "Not found")
        made = md5(message_id.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        key = sent.process_key or made.upper()
        return respond(wanted_by(request), "EndTagResponse", {"processKey": key})
