"""GET /sms/1/reports and /sms/3/reports: reports that nobody is pushed to, each handed out once.

Documented: the filters, the limit, the 48 hours, and that the next call gives only new ones
(reference, part 6.6). Ours: what was pushed, or is going to be, is not handed out; an answer that
gets lost is not given again; both routes hand out what either generation was sent by, in the shape
of the route.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from aiohttp import web
from multidict import MultiMapping

from dispatcher.sandbox.api.negotiation import wanted_by
from dispatcher.sandbox.api.openapi import parameters_of, provider_route
from dispatcher.sandbox.messages.reports import written_as
from dispatcher.sandbox.store.base import PullQuery, PullStore
from dispatcher.sandbox.wire.body import checked
from dispatcher.sandbox.wire.common import BULK_ID, MESSAGE_ID
from dispatcher.sandbox.wire.rules import Inspection, Integer, Text
from dispatcher.sandbox.wire.tables import Field, Table, Values
from receiver.dlr import json_format, xml_format
from receiver.dlr.model import Format, Generation
from receiver.routes import Route, ref
from receiver.store.base import StoredReport

KEPT: Final = timedelta(hours=48)
"""How long a report waits, and how far back the logs go (OAS)."""

LIMIT: Final = Field("limit", Integer(1, 1000), "OAS", default=50)

REPORTS: Final = Table(
    Field("bulkId", BULK_ID, "OAS"),
    Field("messageId", MESSAGE_ID, "OAS"),
    Field("entityId", Text(), "OAS"),
    Field("applicationId", Text(), "OAS"),
    Field("campaignReferenceId", Text(), "OAS"),
    LIMIT,
)


def parameters(query: MultiMapping[str], *several: str) -> dict[str, Any]:
    """A query string as an object: lists of those that may be repeated, or the last value."""
    return {
        name: query.getall(name) if name in several else query.getall(name)[-1] for name in query
    }


def query_of(values: Values, inspection: Inspection) -> PullQuery:
    return PullQuery(
        made_after=inspection.now - KEPT,
        limit=values["limit"],
        bulk_id=values["bulkId"],
        message_id=values["messageId"],
        entity_id=values["entityId"],
        application_id=values["applicationId"],
        campaign_reference_id=values["campaignReferenceId"],
    )


def _route(version: int) -> Route:
    report = ref("ReportV2" if version == 1 else "ReportV3")
    results = {"type": "array", "items": report}
    return provider_route(
        "GET",
        f"/sms/{version}/reports",
        f"getSmsV{version}Reports",
        "Reports that are not pushed to anyone. Each is returned once",
        {"type": "object", "properties": {"results": results}, "required": ["results"]},
        parameters=parameters_of(REPORTS),
        head=False,  # a client that asks with it would lose them
    )


class PullApi:
    """The two routes."""

    def __init__(self, store: PullStore, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    @_route(1)
    async def _v1(self, request: web.Request) -> web.Response:
        return await self._reports(request, "v2")

    @_route(3)
    async def _v3(self, request: web.Request) -> web.Response:
        return await self._reports(request, "v3")

    async def _reports(self, request: web.Request, generation: Generation) -> web.Response:
        query = checked(REPORTS, parameters(request.query), query_of, self._now(), str)
        form = wanted_by(request)
        found = await self._store.pull(query)
        return web.Response(
            body=_body(found, form, generation),
            content_type=f"application/{form}",
            charset="utf-8" if form == "xml" else None,
        )


def _body(found: Sequence[StoredReport], form: Format, generation: Generation) -> bytes:
    reports = [written_as(stored.read(), generation) for stored in found]
    if form == "xml":
        return xml_format.encode_body(reports, generation)
    return json_format.encode_body(json_format.encode_item(each, generation) for each in reports)
