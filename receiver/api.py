"""What can be asked of the store: reports, messages, quarantine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from receiver.answers import BadQuery, answer, timestamp
from receiver.dlr.item import write_item
from receiver.dlr.message import state_of
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.store.base import QuarantineEntry, ReportQuery, ReportStore, StoredReport

LIMIT_MAX = 1000
LIMIT_DEFAULT = 100

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
    }


async def message_of(
    store: ReportStore, newest: StoredReport, dispatches_of: DispatchesOf
) -> dict[str, Any]:
    """The message that a report belongs to. A report without messageId is a message of its own."""
    message_id = newest.read().message_id
    reports = await store.reports_of(message_id) if message_id else [newest]
    return message_view(reports, await dispatches_of([report.id for report in reports]))


class StoreApi:
    """The routes under /api that read the store."""

    def __init__(self, store: ReportStore, dispatches_of: DispatchesOf) -> None:
        self._store = store
        self._dispatches_of = dispatches_of

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/reports", self.reports)
        app.router.add_get("/api/reports/{id}", self.report)
        app.router.add_get("/api/messages", self.messages)
        app.router.add_get("/api/messages/{messageId:.+}", self.message)
        app.router.add_get("/api/quarantine", self.quarantine)
        app.router.add_get("/api/quarantine/{id}", self.quarantined)
        app.router.add_get("/api/quarantine/{id}/body", self.quarantined_body)

    async def reports(self, request: web.Request) -> web.Response:
        query = report_query(request.query)
        found = await self._store.reports(query)
        return answer(page("reports", [report_view(r) for r in found], found, query.limit))

    async def report(self, request: web.Request) -> web.Response:
        found = await self._store.reports_by_id([number(request.match_info["id"], "id")])
        if not found:
            raise web.HTTPNotFound(text=f"there is no report {request.match_info['id']}")
        return answer(report_view(found[0]))

    async def messages(self, request: web.Request) -> web.Response:
        only(request.query, "limit", "cursor")
        size = limit(request.query)
        found = await self._store.newest_of_messages(cursor(request.query), size)
        views = [await message_of(self._store, r, self._dispatches_of) for r in found]
        return answer(page("messages", views, found, size))

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
        found = await self._store.quarantine(cursor(request.query), size)
        return answer(page("items", [quarantine_view(entry) for entry in found], found, size))

    async def quarantined(self, request: web.Request) -> web.Response:
        entry, _ = await self._quarantined(request)
        return answer(quarantine_view(entry))

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


def report_query(query: Mapping[str, str]) -> ReportQuery:
    """The filters of GET /api/reports. Raises BadQuery."""
    only(query, "limit", "cursor", "messageId", "source", "final", "statusGroup")
    groups = tuple(query["statusGroup"].upper().split(",")) if "statusGroup" in query else ()
    for name in groups:
        if name not in GROUP_NUMBERS:
            raise BadQuery(f"statusGroup: expected {_one_of(GROUP_NUMBERS)}, got {name!r}")
    return ReportQuery(
        limit=limit(query),
        before=cursor(query),
        message_id=query.get("messageId"),
        source=query.get("source"),
        final=_truth(query["final"], "final") if "final" in query else None,
        status_groups=tuple(GROUP_NUMBERS[name] for name in groups),
    )


def page(
    name: str, views: list[Any], found: Sequence[StoredReport | QuarantineEntry], size: int
) -> dict[str, Any]:
    """A page of a list. `next` is the cursor of the next one, null after the last."""
    return {name: views, "next": str(found[-1].id) if len(found) == size else None}


def limit(query: Mapping[str, str]) -> int:
    """The parameter `limit`, 1 to 1000."""
    text = query.get("limit")
    if text is None:
        return LIMIT_DEFAULT
    value = number(text, "limit")
    if not 1 <= value <= LIMIT_MAX:
        raise BadQuery(f"limit: expected 1 to {LIMIT_MAX}, got {value}")
    return value


def cursor(query: Mapping[str, str]) -> int | None:
    """The parameter `cursor`, as a former page gave it."""
    return number(query["cursor"], "cursor") if "cursor" in query else None


def only(query: Mapping[str, str], *known: str) -> None:
    """Refuse a misspelt filter: one that is ignored would show too much."""
    for name in query:
        if name not in known:
            raise BadQuery(f"{name}: there is no such parameter; expected {_one_of(known)}")


def number(text: str, name: str) -> int:
    """A number in a path or a query, as large as an id can be."""
    if text.isascii() and text.isdecimal() and len(text) <= 18:
        return int(text)
    raise BadQuery(f"{name}: expected a number, got {text[:40]!r}")


def _truth(text: str, name: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise BadQuery(f"{name}: expected true or false, got {text[:40]!r}")


def _one_of(names: Any) -> str:
    return ", ".join(names)
