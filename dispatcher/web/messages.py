"""Messages: where each stands, and one of them over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web
from msgspec import Struct
from yarl import URL

from dispatcher.api.dispatches import DispatchWithHistory
from dispatcher.endpoints.from_settings import schedule_of
from dispatcher.web.rows import ReportRow, message_path, row_of
from dispatcher.web.site import Site, page
from dispatcher.web.timeline import ahead, moments
from receiver.answers import BadQuery
from receiver.api.filters import message_query
from receiver.api.messages import find_message, find_messages
from receiver.dlr.message import state_of
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.store.base import AmbiguousMessage, StoredReport

ROWS = 30
"""Messages of a page."""

_FILTERS = ("final", "source", "statusGroup")


class MessageRow(Struct, frozen=True):
    """`now` is the report that says where the message stands, `last` the one that came last."""

    now: ReportRow
    last: ReportRow
    reports: int
    dispatches: Sequence[DispatchWithHistory]
    path: str | None


class MessagePages:
    def __init__(self, site: Site) -> None:
        self._site = site

    @page("/messages", "showMessages")
    async def messages(self, request: web.Request) -> web.Response:
        query = request.query
        if "messageId" in query:
            return await self._message(request, query["messageId"])
        given = {name: query[name] for name in _FILTERS if query.get(name)}
        rows, following, fault = await self._found(given, query.get("cursor", ""))
        older = None
        if following is not None:
            older = str(URL("/messages").with_query({**given, "cursor": str(following)}))
        return self._site.show(
            request,
            "messages.html.jinja",
            status=400 if fault else 200,
            rows=rows,
            older=older,
            newest=str(URL("/messages").with_query(given)) if "cursor" in query else None,
            given=given,
            fault=fault,
            groups=list(GROUP_NUMBERS),
            sources=self._site.sources(),
        )

    async def _found(
        self, given: dict[str, str], cursor: str
    ) -> tuple[list[MessageRow], int | None, str | None]:
        inside = self._site.inside
        asked = {**given, "limit": str(ROWS), **({"cursor": cursor} if cursor else {})}
        try:
            query = message_query(asked)
        except BadQuery as error:
            return [], None, str(error)
        found, following = await find_messages(inside.storage.store, query)
        rows = [
            _row(reports, await inside.dispatches.dispatches_of([each.id for each in reports]))
            for reports in found
        ]
        return rows, following, None

    @page("/messages/{messageId:(?s:.+)}", "showMessagePage")
    async def message(self, request: web.Request) -> web.Response:
        return await self._message(request, request.match_info["messageId"])

    async def _message(self, request: web.Request, message_id: str) -> web.Response:
        inside = self._site.inside
        source = request.query.get("source") or None
        try:
            reports = await find_message(inside.storage.store, message_id, source)
        except AmbiguousMessage as several:
            return self._site.show(
                request,
                "message_sources.html.jinja",
                message_id=message_id,
                choices=[(each, message_path(message_id, each)) for each in several.sources],
            )
        if not reports:
            raise web.HTTPNotFound(
                text=f'There is no report of a message "{message_id}". Retention may have removed'
                " it."
            )
        values = await self._values(message_id, reports)
        return self._site.show(request, "message.html.jinja", **values)

    async def _values(self, message_id: str, reports: Sequence[StoredReport]) -> dict[str, Any]:
        inside = self._site.inside
        dispatches = await inside.dispatches.dispatches_of([each.id for each in reports])
        usual = schedule_of(inside.settings.schedule)
        endpoints = {each.name: each for each in await inside.registry.endpoints()}
        return {
            "message_id": message_id,
            "now_row": _now(reports),
            "source": reports[0].source,
            "moments": moments(reports, dispatches),
            "ahead": ahead(dispatches, endpoints, usual, self._site.now()),
            "dispatches": dispatches,
            "is_open": any(each.state in ("waiting", "leased") for each in dispatches),
        }


def _row(reports: Sequence[StoredReport], carried: Sequence[DispatchWithHistory]) -> MessageRow:
    now = _now(reports)
    return MessageRow(
        now=now,
        last=row_of(reports[-1]),
        reports=len(reports),
        dispatches=carried,
        path=None if now.message_id is None else message_path(now.message_id, now.source),
    )


def _now(reports: Sequence[StoredReport]) -> ReportRow:
    """The report that says where the message stands."""
    read = [each.read() for each in reports]
    current = state_of(read).report
    at = next(index for index, report in enumerate(read) if report is current)
    return row_of(reports[at])
