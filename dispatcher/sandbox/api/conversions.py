"""POST /ct/1/log/end/{messageId}: the recipient of a message has done what it was sent for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from aiohttp import web
from msgspec import Struct

from dispatcher.sandbox.api.negotiation import respond, wanted_by
from dispatcher.sandbox.api.openapi import provider_route
from dispatcher.sandbox.errors import Refused
from dispatcher.sandbox.store.base import ConversionStore
from dispatcher.sandbox.wire.common import MESSAGE_ID
from receiver.api.parameters import in_path
from receiver.routes import any_text


class EndTagResponse(Struct, frozen=True, rename="camel"):
    process_key: str


class ConversionApi:
    """The route. It answers with the process key of the request that sent the message. A message
    whose conversion is not tracked is as unknown here as one that was never sent."""

    def __init__(self, store: ConversionStore, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    @provider_route(
        "POST",
        f"/ct/1/log/end/{any_text('messageId')}",
        "postCtV1LogEnd",
        "Confirms a conversion: the recipient did what the message was sent for",
        EndTagResponse,
        parameters=[in_path("messageId", str, "The id of the message")],
        refusals={404: "There is no such message, or its conversion is not tracked"},
    )
    async def end(self, request: web.Request) -> web.Response:
        sent = await self._store.sent(request.match_info["messageId"][: MESSAGE_ID.clip])
        if sent is None or sent.process_key is None:
            raise Refused(404, "Not found")
        await self._store.convert(sent.id, self._now())
        return respond(wanted_by(request), "EndTagResponse", EndTagResponse(sent.process_key))
