"""The routes that ask the store: reports, messages, totals, quarantine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from msgspec import Meta, structs

from receiver.answers import Id, answer
from receiver.api.audit import tell
from receiver.api.filters import (
    MESSAGE_PARAMETERS,
    OF_SOURCE,
    QUARANTINE_PARAMETERS,
    RECEIVED,
    REPORT_PARAMETERS,
    TOTALS_FILTERS,
    Place,
    QuarantineQuery,
    asked_totals,
    message_query,
    place_of,
    quarantine_query,
    report_query,
)
from receiver.api.messages import (
    DispatchesOf,
    MessageAnswer,
    MessagePage,
    find_message,
    find_messages,
)
from receiver.api.parameters import (
    in_path,
    in_query,
    next_cursor,
    number,
    only,
    page_of,
)
from receiver.api.quarantine import DismissedEntry, QuarantineEntryAnswer, QuarantinePage
from receiver.api.reports import ReportAnswer, ReportPage
from receiver.api.totals import ByEndpoint, TotalsAnswer, no_endpoints, totals_answer
from receiver.callbacks.intake import NO_LIMITS, Limits
from receiver.callbacks.quarantine import read_again
from receiver.routes import AMBIGUOUS, NOT_THERE, Reply, Route, any_text
from receiver.store.base import (
    Counts,
    FoundReports,
    QuarantineEntry,
    ReportQuery,
    ReportStore,
    StoredReport,
)

FindPlaced = Callable[[ReportQuery, Place], Awaitable[FoundReports]]
"""One step of a search by what became of reports; whoever dispatches knows that."""


async def nothing_placed(_: ReportQuery, __: Place) -> FoundReports:
    """Where nobody dispatches."""
    return FoundReports([], None)


_QUARANTINE_ID = in_path("id", Id, "The id of the entry")


async def quarantine_page(store: ReportStore, query: QuarantineQuery) -> QuarantinePage:
    """A page of what could not be read, newest first."""
    entries = await store.quarantine(
        query.before,
        query.limit + 1,  # one more tells whether there is a next page
        since=query.received_since,
        until=query.received_until,
    )
    found, following = page_of(entries, query.limit)
    shown = [QuarantineEntryAnswer.of(entry) for entry in found]
    return QuarantinePage(shown, next_cursor(following))


class StoreApi:
    """The routes under /api that read the store, and the one that tries quarantine again."""

    def __init__(
        self,
        store: ReportStore,
        dispatches_of: DispatchesOf,
        find_placed: FindPlaced = nothing_placed,
        by_endpoint: ByEndpoint = no_endpoints,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_stored: Callable[[], None] = lambda: None,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self._store = store
        self._dispatches_of = dispatches_of
        self._find_placed = find_placed
        self._by_endpoint = by_endpoint
        self._now = now
        self._on_stored = on_stored
        self._limits = limits

    async def find(
        self, query: ReportQuery, place: Place | None = None
    ) -> tuple[Sequence[StoredReport], int | None]:
        """A page of the wanted reports, newest first, and the cursor of the next one. A page can be
        short, even empty, and still have a next one."""
        more = replace(query, limit=query.limit + 1)  # one more tells whether there is a next page
        if place is None:
            found = await self._store.find(more)
        else:
            found = await self._find_placed(more, place)
        if len(found.reports) > query.limit:
            return found.reports[:-1], found.reports[-2].id
        return found.reports, found.next

    @Route(
        "GET",
        "/api/reports",
        "listReports",
        "Reports, newest first. A page can be short or even empty and still have a `next`",
        {200: Reply("a page", ReportPage)},
        in_query(REPORT_PARAMETERS),
    )
    async def reports(self, request: web.Request) -> web.Response:
        query, place = report_query(request.query), place_of(request.query)
        reports, following = await self.find(query, place)
        shown = await self._with_received(request, reports)
        return answer(ReportPage(shown, next_cursor(following)))

    @Route(
        "GET",
        "/api/reports/{id}",
        "showReport",
        "One report",
        {200: Reply("the report", ReportAnswer), 404: NOT_THERE},
        [in_path("id", Id, "The id that dlr gave the report"), RECEIVED.parameter],
    )
    async def report(self, request: web.Request) -> web.Response:
        only(request.query, RECEIVED.name)
        found = await self._store.reports_by_id([number(request.match_info["id"], "id")])
        if not found:
            raise web.HTTPNotFound(text=f"there is no report {request.match_info['id']}")
        return answer((await self._with_received(request, found))[0])

    async def _with_received(
        self, request: web.Request, reports: Sequence[StoredReport]
    ) -> list[ReportAnswer]:
        """With the items as they came, where they are asked for."""
        if not RECEIVED.read(request.query):
            return [ReportAnswer.of(each) for each in reports]
        items = await self._store.as_received(reports)
        return [ReportAnswer.of(each, received=_text(items.get(each.id))) for each in reports]

    @Route(
        "GET",
        "/api/messages",
        "listMessages",
        (
            "Messages, those with the newest report first. A page can be short and still have a"
            " `next`"
        ),
        {200: Reply("a page", MessagePage)},
        in_query(MESSAGE_PARAMETERS),
    )
    async def messages(self, request: web.Request) -> web.Response:
        found, following = await find_messages(self._store, message_query(request.query))
        shown = [
            MessageAnswer.of(reports, await self._dispatches_of([report.id for report in reports]))
            for reports in found
        ]
        return answer(MessagePage(shown, next_cursor(following)))

    @Route(
        "GET",
        f"/api/messages/{any_text('messageId')}",
        "showMessage",
        "The state of a message, its reports and its dispatches",
        {200: Reply("the message", MessageAnswer), 404: NOT_THERE, 409: AMBIGUOUS},
        [
            in_path(
                "messageId",
                Annotated[str, Meta(min_length=1)],
                ("The provider's id of the message; any text"),
            ),
            OF_SOURCE.parameter,
        ],
    )
    async def message(self, request: web.Request) -> web.Response:
        only(request.query, OF_SOURCE.name)
        message_id = request.match_info["messageId"]
        reports = await find_message(self._store, message_id, OF_SOURCE.read(request.query))
        if not reports:
            raise web.HTTPNotFound(text=f'there is no report of a message "{message_id}"')
        dispatches = await self._dispatches_of([report.id for report in reports])
        return answer(MessageAnswer.of(reports, dispatches))

    @Route(
        "GET",
        "/api/totals",
        "showTotals",
        "Counts, delivery rates, costs and times by minute, hour or day (UTC); also by endpoint,"
        " operator, country, sender, source or error",
        {200: Reply("the totals", TotalsAnswer)},
        in_query(TOTALS_FILTERS),
    )
    async def totals(self, request: web.Request) -> web.Response:
        asked = asked_totals(request.query, self._now())
        return answer(await totals_answer(self._store, asked, self._by_endpoint))

    @Route(
        "GET",
        "/api/quarantine",
        "listQuarantine",
        "Quarantine entries (what could not be read), newest first",
        {200: Reply("a page", QuarantinePage)},
        in_query(QUARANTINE_PARAMETERS),
    )
    async def quarantine(self, request: web.Request) -> web.Response:
        return answer(await quarantine_page(self._store, quarantine_query(request.query)))

    @Route(
        "GET",
        "/api/quarantine/{id}",
        "showQuarantined",
        "One entry",
        {200: Reply("the entry", QuarantineEntryAnswer), 404: NOT_THERE},
        [_QUARANTINE_ID],
    )
    async def quarantined(self, request: web.Request) -> web.Response:
        entry, _ = await self._quarantined(request)
        return answer(QuarantineEntryAnswer.of(entry))

    @Route(
        "GET",
        "/api/quarantine/{id}/body",
        "downloadQuarantined",
        "The bytes of an entry, as they were received",
        {
            200: Reply(
                "the bytes",
                others={"application/octet-stream": None},
                headers={"Content-Disposition": "`attachment` and a file name"},
            ),
            404: NOT_THERE,
        },
        [_QUARANTINE_ID],
    )
    async def quarantined_body(self, request: web.Request) -> web.Response:
        entry, body = await self._quarantined(request)
        # Whoever sent this chose the bytes: a browser must not take them for a page of ours.
        headers = {
            "Content-Disposition": f'attachment; filename="quarantine-{entry.id}"',
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(body=body, content_type="application/octet-stream", headers=headers)

    @Route(
        "POST",
        "/api/quarantine/{id}/retry",
        "retryQuarantined",
        "Reads an entry again with the current version of dlr",
        {200: Reply("What was stored", Counts), 404: NOT_THERE},
        [_QUARANTINE_ID],
    )
    async def read_again(self, request: web.Request) -> web.Response:
        counts = await self.try_again(number(request.match_info["id"], "id"))
        tell(request, **structs.asdict(counts))
        return answer(counts)

    async def try_again(self, entry_id: int) -> Counts:
        """Read an entry again. Raises HTTPNotFound."""
        counts = await read_again(self._store, entry_id, self._limits)
        if counts is None:
            raise web.HTTPNotFound(text=f"there is no entry {entry_id}")
        if counts.stored:
            self._on_stored()
        return counts

    @Route(
        "DELETE",
        "/api/quarantine/{id}",
        "dismissQuarantined",
        "Deletes an entry and its bytes",
        {200: Reply("What was done", DismissedEntry), 404: NOT_THERE},
        [_QUARANTINE_ID],
    )
    async def dismiss(self, request: web.Request) -> web.Response:
        entry_id = number(request.match_info["id"], "id")
        if not await self._store.dismiss(entry_id):
            raise web.HTTPNotFound(text=f"there is no entry {entry_id}")
        return answer(DismissedEntry(entry_id))

    async def _quarantined(self, request: web.Request) -> tuple[QuarantineEntry, bytes]:
        found = await self._store.quarantined(number(request.match_info["id"], "id"))
        if found is None:
            raise web.HTTPNotFound(text=f"there is no entry {request.match_info['id']}")
        return found


def _text(item: bytes | None) -> str | None:
    return None if item is None else item.decode("utf-8", "replace")
