"""POST /ct/1/log/end/{messageId}: the recipient of a message has done what it was sent for."""

from __future__ import annotations

from hashlib import md5

from aiohttp import web
from msgspec import Struct

from dispatcher.sandbox.api.negotiation import respond, wanted_by
from dispatcher.sandbox.api.openapi import provider_route
from dispatcher.sandbox.errors import Refused
from dispatcher.sandbox.store.base import ConversionStore
from dispatcher.sandbox.wire.common import MESSAGE_ID
from receiver.api.parameters import in_path


class EndTagResponse(Struct, frozen=True, rename="camel"):
    process_key: str


class ConversionApi:
    """The route. It answers with the process key of the request that sent the message, or one that
    is made of its id; what a conversion is used for is not played."""

    def __init__(self, store: ConversionStore) -> None:
        self._store = store

    @provider_route(
        "POST",
        "/ct/1/log/end/{messageId}",
        "postCtV1LogEnd",
        "The recipient of a message has done what it was sent for",
        EndTagResponse,
        parameters=[in_path("messageId", str, "of the message")],
        refusals={404: "there is no such message"},
    )
    async def end(self, request: web.Request) -> web.Response:
        message_id = request.match_info["messageId"][: MESSAGE_ID.clip]
        sent = await self._store.sent(message_id)
        if sent is None:
            raise Refused(404, "Not found")
        made = md5(message_id.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        key = sent.process_key or made.upper()
        return respond(wanted_by(request), "EndTagResponse", EndTagResponse(key))
