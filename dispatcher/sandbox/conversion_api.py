"""POST /ct/1/log/end/{messageId}: the recipient of a message has done what it was sent for."""

from __future__ import annotations

import sqlite3
from hashlib import md5

from aiohttp import web

from dispatcher.sandbox.errors import Refused
from dispatcher.sandbox.negotiation import respond, wanted_by
from receiver.store.sqlite.database import Database


class ConversionApi:
    """The route. It answers with the process key of the request that sent the message, or one that
    is made of its id; what a conversion is used for is not played."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/ct/1/log/end/{messageId}", self.end)

    async def end(self, request: web.Request) -> web.Response:
        message_id = request.match_info["messageId"]
        row = await self._database.read(lambda c: _sent(c, message_id))
        if row is None:
            raise Refused(404, "Not found")
        made = md5(message_id.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        return respond(wanted_by(request), "EndTagResponse", {"processKey": row[0] or made.upper()})


def _sent(connection: sqlite3.Connection, message_id: str) -> tuple[str | None] | None:
    found: tuple[str | None] | None = connection.execute(
        "SELECT process_key FROM sandbox_message WHERE message_id = ? AND state <> 'refused'"
        " ORDER BY id LIMIT 1",
        (message_id,),
    ).fetchone()
    return found
