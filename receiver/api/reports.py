"""What can be asked of the store: reports, messages, totals, quarantine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from receiver.answers import answer, timestamp
from receiver.api.filters import MessageQuery, message_query, totals_query
from receiver.api.filters import report_query as report_query
from receiver.api.parameters import cursor, number, truth
from receiver.api.parameters import limit as limit
from receiver.api.parameters import only as only
from receiver.api.totals import totals_view
from receiver.callbacks.intake import NO_LIMITS, Limits
from receiver.callbacks.quarantine import read_again
from receiver.dlr.item import write_item
from receiver.dlr.message import state_of
from receiver.dlr.statuses import group_of
from receiver.store.base import QuarantineEntry, ReportStore, StoredReport

MESSAGES_STEP = 1_000
"""Messages that one request looks at, whatever of them is wanted: about a second."""

DispatchesOf = Callable[[Sequence[int]], Awaitable[list[Any]]]
"""The dispatches that carry these reports (ids). The receiver knows nothing more of dispatching."""


def report_view(stored: StoredReport) -> dict[str, Any]:
    """A report as the API and the command line show it."""
    return {
        "id": stored.id,
        "receivedAt": timestamp(stored.received_at),
        "source": stored.source,
        "format": stored.format,
        "generation": stored.generation,
        "final": stored.final,
        "duplicates": stored.duplicates,
        "report": msgspec.Raw(stored.item),
    }


def message_view(reports: Sequence[StoredReport], dispatches: list[Any]) -> dict[str, Any]:
    """A message by its reports, in the order of arrival."""
    state = state_of(stored.read() for stored in reports)
    current = write_item(state.report)
    return {
        "messageId": state.report.message_id,
        "final": state.final,
        "status": current.get("status"),
        "error": current.get("error"),
        "reports": [report_view(stored) for stored in reports],
        "dispatches": dispatches,
    }


def quarantine_view(entry: QuarantineEntry) -> dict[str, Any]:
    """A quarantined body or item, without its bytes."""
    return {
        "id": entry.id,
        "receivedAt": timestamp(entry.received_at),
        "source": entry.source,
        "contentType": entry.content_type,
        "size": entry.size,
        "reason": entry.reason,
        "place": entry.place,
        "repeats": entry.repeats,
    }


async def message_of(
    store: ReportStore, newest: StoredReport, dispatches_of: DispatchesOf
) -> dict[str, Any]:
    """The message that a report belongs to. A report without messageId is a message of its own."""
    reports = await _reports_with(store, newest)
    return message_view(reports, await dispatches_of([report.id for report in reports]))


async def find_messages(
    store: ReportStore, query: MessageQuery
) -> tuple[list[list[StoredReport]], int | None]:
    """Messages that are wanted, each by its reports, last heard of first; and the next cursor.

    Looks at a bounded number of messages, so that there may be fewer than asked for, and a cursor.
    """
    found: list[list[StoredReport]] = []
    before, looked_at = query.before, 0
    last = 0  # the newest report of the message found last
    while looked_at < MESSAGES_STEP:
        # one more tells whether there is a next page
        page = min(query.limit + 1, MESSAGES_STEP - looked_at)
        newest = await store.newest_of_messages(before, page)
        for report in newest:
            reports = await _reports_with(store, report)
            if _is_wanted(reports, query):
                if len(found) == query.limit:
                    return found, last
                found.append(reports)
                last = report.id
        if len(newest) < page:
            return found, None
        before, looked_at = newest[-1].id, looked_at + page
    return found, before


async def _reports_with(store: ReportStore, newest: StoredReport) -> list[StoredReport]:
    message_id = newest.read().message_id
    return await store.reports_of(message_id) if message_id else [newest]


def _is_wanted(reports: Sequence[StoredReport], query: MessageQuery) -> bool:
    if query.source is not None and all(each.source != query.source for each in reports):
        return False
    if query.final is None and not query.status_groups:
        return True
    state = state_of(each.read() for each in reports)
    if query.final is not None and state.final != query.final:
        return False
    return not query.status_groups or group_of(state.report.status) in query.status_groups


class StoreApi:
    """The routes under /api that read the store, and the one that tries quarantine again."""

    def __init__(
        self,
        store: ReportStore,
        dispatches_of: DispatchesOf,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_stored: Callable[[], None] = lambda: None,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self._store = store
        self._dispatches_of = dispatches_of
        self._now = now
        self._on_stored = on_stored
        self._limits = limits

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/reports", self.reports)
        app.router.add_get("/api/reports/{id}", self.report)
        app.router.add_get("/api/messages", self.messages)
        app.router.add_get("/api/messages/{messageId:.+}", self.message)
        app.router.add_get("/api/quarantine", self.quarantine)
        app.router.add_get("/api/quarantine/{id}", self.quarantined)
        app.router.add_get("/api/quarantine/{id}/body", self.quarantined_body)
        app.router.add_post("/api/quarantine/{id}/retry", self.retry)
        app.router.add_get("/api/totals", self.totals)

    async def reports(self, request: web.Request) -> web.Response:
        query = report_query(request.query)
        # one more tells whether there is a next page
        found = await self._store.find(replace(query, limit=query.limit + 1))
        reports, following = found.reports, found.next
        if len(reports) > query.limit:
            reports, following = reports[:-1], reports[-2].id
        views = await self._report_views(request, reports)
        return answer({"reports": views, "next": next_cursor(following)})

    async def report(self, request: web.Request) -> web.Response:
        only(request.query, "received")
        found = await self._store.reports_by_id([number(request.match_info["id"], "id")])
        if not found:
            raise web.HTTPNotFound(text=f"there is no report {request.match_info['id']}")
        return answer((await self._report_views(request, found))[0])

    async def _report_views(
        self, request: web.Request, reports: Sequence[StoredReport]
    ) -> list[dict[str, Any]]:
        views = [report_view(report) for report in reports]
        if truth(request.query, "received"):
            items = await self._store.as_received(reports)
            for view in views:
                item = items.get(view["id"])
                view["received"] = item and item.decode("utf-8", "replace")
        return views

    async def messages(self, request: web.Request) -> web.Response:
        found, following = await find_messages(self._store, message_query(request.query))
        views = [
            message_view(reports, await self._dispatches_of([report.id for report in reports]))
            for reports in found
        ]
        return answer({"messages": views, "next": next_cursor(following)})

    async def totals(self, request: web.Request) -> web.Response:
        query = totals_query(request.query, self._now())
        return answer(totals_view(await self._store.totals(query), query))

    async def message(self, request: web.Request) -> web.Response:
        message_id = request.match_info["messageId"]
        reports = await self._store.reports_of(message_id)
        if not reports:
            raise web.HTTPNotFound(text=f'there is no report of a message "{message_id}"')
        dispatches = await self._dispatches_of([report.id for report in reports])
        return answer(message_view(reports, dispatches))

    async def quarantine(self, request: web.Request) -> web.Response:
        only(request.query, "limit", "cursor")
        size = limit(request.query)
        # one more tells whether there is a next page
        found = await self._store.quarantine(cursor(request.query), size + 1)
        following = found[size - 1].id if len(found) > size else None
        views = [quarantine_view(entry) for entry in found[:size]]
        return answer({"items": views, "next": next_cursor(following)})

    async def quarantined(self, request: web.Request) -> web.Response:
        entry, _ = await self._quarantined(request)
        return answer(quarantine_view(entry))

    async def retry(self, request: web.Request) -> web.Response:
        entry_id = number(request.match_info["id"], "id")
        counts = await read_again(self._store, entry_id, self._limits)
        if counts is None:
            raise web.HTTPNotFound(text=f"there is no entry {entry_id}")
        if counts.stored:
            self._on_stored()
        return answer(counts)

    async def quarantined_body(self, request: web.Request) -> web.Response:
        entry, body = await self._quarantined(request)
        # Whoever sent this chose the bytes: a browser must not take them for a page of ours.
        headers = {
            "Content-Disposition": f'attachment; filename="quarantine-{entry.id}"',
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(body=body, content_type="application/octet-stream", headers=headers)

    async def _quarantined(self, request: web.Request) -> tuple[QuarantineEntry, bytes]:
        found = await self._store.quarantined(number(request.match_info["id"], "id"))
        if found is None:
            raise web.HTTPNotFound(text=f"there is no entry {request.match_info['id']}")
        return found


def next_cursor(before: int | None) -> str | None:
    """The cursor of the next page as it stands in an answer."""
    return None if before is None else str(before)
