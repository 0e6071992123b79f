"""GET /sms/1/reports and /sms/3/reports: reports that nobody is pushed to, each handed out once.

Documented: the filters, the limit, the 48 hours, and that the next call gives only new ones
(reference, part 6.6). Ours: what was pushed, or is going to be, is not handed out; an answer that
gets lost is not given again; both routes hand out what either generation was sent by, in the shape
of the route.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct
from multidict import MultiMapping

from dispatcher.sandbox.negotiation import wanted_by
from dispatcher.sandbox.wire.body import checked
from dispatcher.sandbox.wire.rules import Integer, Reading, Text
from dispatcher.sandbox.wire.shapes import Field, Shape, Values
from receiver.dlr import json_format, xml_format
from receiver.dlr.model import Format, Generation
from receiver.store.base import StoredReport
from receiver.store.sqlite.database import Database, micros
from receiver.store.sqlite.rows import COLUMNS, stored_report

KEPT: Final = timedelta(hours=48)
"""How long a report waits, and how far back the logs go (OAS)."""

LIMIT: Final = Field("limit", Integer(1, 1000), "OAS", default=50)

_MATCHED: Final = {
    "bulkId": "bulk_id = ?",
    "messageId": "message_id = ?",
    "entityId": "sms ->> 'entity_id' = ?",
    "applicationId": "sms ->> 'application_id' = ?",
    "campaignReferenceId": "sms ->> 'campaign_reference_id' = ?",
}
REPORTS: Final = Shape(*(Field(name, Text(), "OAS") for name in _MATCHED), LIMIT)


def parameters(query: MultiMapping[str], *several: str) -> dict[str, Any]:
    """A query string as an object: lists of those that may be repeated, else what came last."""
    return {
        name: query.getall(name) if name in several else query.getall(name)[-1] for name in query
    }


class PullQuery(Struct, frozen=True):
    """Which reports are wanted: conditions in SQL with their values, and the most."""

    where: str
    values: Sequence[str]
    limit: int


def query_of(values: Values, _: Reading) -> PullQuery:
    given = {name: values[name] for name in _MATCHED if values[name] is not None}
    where = "".join(f" AND {_MATCHED[name]}" for name in given)
    return PullQuery(where, list(given.values()), values["limit"])


def pull(connection: sqlite3.Connection, query: PullQuery, now: datetime) -> list[StoredReport]:
    """Hand out what waits, oldest first, and forget that it waited, in one transaction: of two who
    ask at once each gets others."""
    connection.execute("DELETE FROM sandbox_pull WHERE made_at <= ?", (micros(now - KEPT),))
    rows = connection.execute(
        "SELECT report FROM sandbox_pull JOIN sandbox_message ON sandbox_message.id = message"
        " JOIN sandbox_bulk ON sandbox_bulk.id = bulk"
        f" WHERE TRUE{query.where} ORDER BY report LIMIT ?",
        (*query.values, query.limit),
    )
    chosen = msgspec.json.encode([report for (report,) in rows]).decode()
    listed = "IN (SELECT value FROM json_each(?))"
    connection.execute(f"DELETE FROM sandbox_pull WHERE report {listed}", (chosen,))
    found = connection.execute(
        f"SELECT {COLUMNS} FROM report WHERE id {listed} ORDER BY id", (chosen,)
    )
    return [stored_report(row) for row in found]


class PullApi:
    """The two routes."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def add_routes(self, app: web.Application) -> None:
        # Whoever asks with HEAD would lose them.
        app.router.add_get("/sms/1/reports", self._v1, allow_head=False)
        app.router.add_get("/sms/3/reports", self._v3, allow_head=False)

    async def _v1(self, request: web.Request) -> web.Response:
        return await self._reports(request, "v2")

    async def _v3(self, request: web.Request) -> web.Response:
        return await self._reports(request, "v3")

    async def _reports(self, request: web.Request, generation: Generation) -> web.Response:
        now = self._now()
        query = checked(REPORTS, parameters(request.query), query_of, now, str)
        form = wanted_by(request)
        found = await self._database.write(lambda c: pull(c, query, now))
        return web.Response(
            body=_body(found, form, generation),
            content_type=f"application/{form}",
            charset="utf-8" if form == "xml" else None,
        )


def _body(found: Sequence[StoredReport], form: Format, generation: Generation) -> bytes:
    reports = [stored.read() for stored in found]
    if form == "xml":
        return xml_format.encode_body(reports, generation)
    return json_format.encode_body(json_format.encode_item(each, generation) for each in reports)
