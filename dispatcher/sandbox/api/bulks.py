"""GET and PUT /sms/1/bulks and /sms/1/bulks/status, with a trailing slash and without: one of the
provider's clients calls them so (reference, part 6.7). v3 has no routes of its own for them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, get_args

from aiohttp import web
from msgspec import Struct

from dispatcher.sandbox.api.negotiation import respond, wanted_by
from dispatcher.sandbox.api.openapi import provider_route
from dispatcher.sandbox.errors import Refused
from dispatcher.sandbox.messages.bulks import (
    Bulk,
    BulkStatus,
    ImpossibleChange,
    moved,
    with_status,
)
from dispatcher.sandbox.messages.message import in_milliseconds
from dispatcher.sandbox.store.base import BulkStore, ChangeBulk
from dispatcher.sandbox.wire.body import checked, read_body
from dispatcher.sandbox.wire.common import BULK_ID, SEND_AT
from dispatcher.sandbox.wire.rules import Choice
from dispatcher.sandbox.wire.tables import Field, Table
from receiver.callbacks.arriving import BodyReader
from receiver.dlr.instants import format_instant
from receiver.faults import Misfit
from receiver.routes import Parameter, Route, Schema, add_route

MOVED: Final = Table(Field("sendAt", SEND_AT, "OAS", required=True))
SET: Final = Table(Field("status", Choice(get_args(BulkStatus)), "OAS", required=True))


class BulkResponse(Struct, frozen=True, rename="camel"):
    bulk_id: str
    send_at: str


class BulkStatusResponse(Struct, frozen=True, rename="camel"):
    bulk_id: str
    status: BulkStatus


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
        bulks, statuses = "/sms/1/bulks", "/sms/1/bulks/status"
        for slash in ("", "/"):
            add_route(app, _shown(bulks + slash, BulkResponse), self.show)
            add_route(app, _changed(bulks + slash, BulkResponse, MOVED), self.move)
            add_route(app, _shown(statuses + slash, BulkStatusResponse), self.show_status)
            add_route(app, _changed(statuses + slash, BulkStatusResponse, SET), self.set_status)

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
        try:
            changed = _there(await self._store.change_bulk(bulk_id, now, change))
        except ImpossibleChange as error:
            raise Refused(400, misfits=[error.misfit]) from error
        self._on_change()
        return changed

    async def _read(self, request: web.Request, table: Table) -> dict[str, Any]:
        """The fields of the body. Raises Refused."""
        headers = request.headers
        kind, coding = headers.get("Content-Type"), headers.get("Content-Encoding")
        async with self._bodies.arriving(request) as body:
            document = read_body(body, kind, coding, self._body_limit, table)
            return checked(table, document, lambda values, _: values, self._now(), str)


def _bulk_id(request: web.Request) -> str:
    bulk_id = request.query.get("bulkId")
    if not bulk_id:
        raise Refused(400, misfits=[Misfit("bulkId", "must not be null")])
    return bulk_id[: BULK_ID.clip]


def _there(found: Bulk | None) -> Bulk:
    if found is None:
        raise Refused(404, "Bulk not found")
    return found


def _bulk(request: web.Request, found: Bulk) -> web.Response:
    answer = BulkResponse(found.bulk_id, format_instant(found.send_at))
    return respond(wanted_by(request), "BulkResponse", answer)


def _status(request: web.Request, found: Bulk) -> web.Response:
    answer = BulkStatusResponse(found.bulk_id, found.status)
    return respond(wanted_by(request), "BulkStatusResponse", answer)


# --- what clients are told of the routes ---------------------------------------------------------

_BULK_ID = Parameter("bulkId", str, "The bulkId of the request that sent it", required=True)


def _shown(path: str, answered: type) -> Route:
    return _route("GET", path, "A bulk that was sent", answered)


def _changed(path: str, answered: type, table: Table) -> Route:
    return _route("PUT", path, "Changes the waiting messages of a bulk", answered, table.schema())


def _route(
    method: str, path: str, summary: str, answered: type, body: Schema | None = None
) -> Route:
    name = answered.__name__.removesuffix("Response") + ("WithSlash" if path[-1] == "/" else "")
    return provider_route(
        method,
        path,
        f"{method.lower()}{name}",
        summary,
        answered,
        parameters=[_BULK_ID],
        body=body,
        refusals={404: "There is no such bulk"},
    )
