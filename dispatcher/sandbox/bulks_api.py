"""GET and PUT /sms/1/bulks and /sms/1/bulks/status, with a slash behind and without: one of the
provider's clients calls them so (reference, part 6.7). v3 has no routes of its own for them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, get_args

from aiohttp import web

from dispatcher.sandbox.bulks import Bulk, BulkStatus, moved, with_status
from dispatcher.sandbox.errors import Fault, Refused
from dispatcher.sandbox.message import in_milliseconds
from dispatcher.sandbox.negotiation import respond, wanted_by
from dispatcher.sandbox.store.base import BulkStore, ChangeBulk
from dispatcher.sandbox.wire.body import checked, read_body
from dispatcher.sandbox.wire.common import SEND_AT
from dispatcher.sandbox.wire.rules import Choice
from dispatcher.sandbox.wire.shapes import Field, Shape
from receiver.callbacks.arriving import BodyReader
from receiver.dlr.instants import format_instant

MOVED: Final = Shape(Field("sendAt", SEND_AT, "OAS", required=True))
SET: Final = Shape(Field("status", Choice(get_args(BulkStatus)), "OAS", required=True))


class BulksApi:
    """The routes. `on_change` is called when a message may be due earlier than before."""

    def __init__(
        self,
        store: BulkStore,
        now: Callable[[], datetime],
        bodies: BodyReader,
        body_limit: int,
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._now = now
        self._bodies = bodies
        self._body_limit = body_limit
        self._on_change = on_change

    def add_routes(self, app: web.Application) -> None:
        for slash in ("", "/"):
            app.router.add_get(f"/sms/1/bulks{slash}", self.show)
            app.router.add_put(f"/sms/1/bulks{slash}", self.move)
            app.router.add_get(f"/sms/1/bulks/status{slash}", self.show_status)
            app.router.add_put(f"/sms/1/bulks/status{slash}", self.set_status)

    async def show(self, request: web.Request) -> web.Response:
        return _bulk(request, await self._found(request))

    async def show_status(self, request: web.Request) -> web.Response:
        return _status(request, await self._found(request))

    async def move(self, request: web.Request) -> web.Response:
        bulk_id, values = _bulk_id(request), await self._read(request, MOVED)
        now = self._now()
        at = in_milliseconds(now)
        changed = await self._change(bulk_id, now, lambda b: moved(b, values["sendAt"], at))
        return _bulk(request, changed)

    async def set_status(self, request: web.Request) -> web.Response:
        bulk_id, values = _bulk_id(request), await self._read(request, SET)
        now = self._now()
        at = in_milliseconds(now)
        changed = await self._change(bulk_id, now, lambda b: with_status(b, values["status"], at))
        return _status(request, changed)

    async def _found(self, request: web.Request) -> Bulk:
        return _there(await self._store.bulk(_bulk_id(request)))

    async def _change(self, bulk_id: str, now: datetime, change: ChangeBulk) -> Bulk:
        changed = _there(await self._store.change_bulk(bulk_id, now, change))
        self._on_change()
        return changed

    async def _read(self, request: web.Request, shape: Shape) -> dict[str, Any]:
        """The fields of the body. Raises Refused."""
        headers = request.headers
        kind, coding = headers.get("Content-Type"), headers.get("Content-Encoding")
        async with self._bodies.arriving(request) as body:
            document = read_body(body, kind, coding, self._body_limit, shape)
            return checked(shape, document, lambda values, _: values, self._now(), str)


def _bulk_id(request: web.Request) -> str:
    bulk_id = request.query.get("bulkId")
    if not bulk_id:
        raise Refused(400, faults=[Fault("bulkId", "must not be null")])
    return bulk_id


def _there(found: Bulk | None) -> Bulk:
    if found is None:
        raise Refused(404, "Bulk not found")
    return found


def _bulk(request: web.Request, found: Bulk) -> web.Response:
    fields = {"bulkId": found.bulk_id, "sendAt": format_instant(found.send_at)}
    return respond(wanted_by(request), "BulkResponse", fields)


def _status(request: web.Request, found: Bulk) -> web.Response:
    fields = {"bulkId": found.bulk_id, "status": found.status}
    return respond(wanted_by(request), "BulkStatusResponse", fields)
