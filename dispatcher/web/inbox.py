"""The inbox: reports as they arrive, newest first, searched by words in the URL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web
from msgspec import Struct
from yarl import URL

from dispatcher.web.reports import ReportPages
from dispatcher.web.rows import row_of
from dispatcher.web.search_words import WORDS, parameters_of
from dispatcher.web.site import Site, page
from receiver.answers import BadQuery
from receiver.api.filters import report_query
from receiver.api.parameters import number
from receiver.api.store_api import find_reports
from receiver.store.base import ReportQuery, ReportStore, StoredReport

ROWS = 50
"""Reports of a page, and of what is new on it at once."""

SEARCH_STEPS = 5
"""Steps of the store that one page takes: half a second at most."""

SOURCE = "dlr_source"
"""The cookie that remembers the source that was chosen."""

ZONE = "dlr_zone"
"""The cookie in which a script tells the zone of the browser, in which `after:14:00` is meant."""

TRAIL_MOST = 40
"""Pages that the way back remembers."""


class Asked(Struct, frozen=True):
    """What the URL asks for. `source` is that of the switch, `trail` are the cursors of the pages
    before this one."""

    search: str
    source: str
    cursor: str
    trail: Sequence[str]

    def url(self, **more: object) -> str:
        """This page with another report, or another page of the same search."""
        trail = ",".join(self.trail)
        query = {"q": self.search, "cursor": self.cursor, "trail": trail}
        query |= {name: str(value) for name, value in more.items()}
        return str(URL("/").with_query({name: text for name, text in query.items() if text}))

    def next_page(self, cursor: int) -> str:
        trail = [*self.trail, self.cursor or "0"][-TRAIL_MOST:]
        return self.url(cursor=cursor, trail=",".join(trail))

    @property
    def previous_page(self) -> str | None:
        if not self.cursor:
            return None
        before = self.trail[-1] if self.trail else "0"
        return self.url(cursor="" if before == "0" else before, trail=",".join(self.trail[:-1]))


class InboxPages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._reports = ReportPages(site)

    @page("/", "showInbox")
    async def inbox(self, request: web.Request) -> web.Response:
        asked = self._asked(request)
        values, status = await self._page(request, asked)
        if "report" in request.query:
            report_id = number(request.query["report"], "report")
            values |= await self._reports.values(request, report_id)
        response = self._site.show(
            request,
            "inbox.html.jinja",
            status=status,
            asked=asked,
            words=WORDS,
            sources=self._site.sources(),
            zone=str(_zone_of(request)),
            opened=request.query.get("report"),
            beside=True,
            first=curl_of_a_first_report(
                f"{request.url.origin()}/notify/{self._site.sources()[0]}", self._site.now()
            ),
            **values,
        )
        if "source" in request.query:
            self._site.set_cookie(request, response, SOURCE, asked.source, max_age=31_536_000)
        return response

    async def _page(self, request: web.Request, asked: Asked) -> tuple[dict[str, Any], int]:
        """The rows; or why the search cannot be used, and its status."""
        store = self._site.inside.storage.store
        newest = await store.newest_report()  # first: so that what comes meanwhile is new to it
        nothing: dict[str, Any] = {"rows": [], "following": None, "newest": newest, "fault": None}
        try:
            query = self._query(request, asked)
        except BadQuery as error:
            return nothing | {"fault": str(error)}, 400
        if query.before is None:
            query = replace(query, before=newest + 1)
        found, following = await _found(store, query)
        rows = [row_of(each) for each in found]
        return nothing | {"rows": rows, "following": following}, 200

    @page("/inbox/rows", "showNewRows")
    async def new_rows(self, request: web.Request) -> web.Response:
        """The rows of a search that are newer than the report `after`, for the script."""
        store = self._site.inside.storage.store
        asked = self._asked(request)
        newest = await store.newest_report()
        after = number(request.query.get("after", "0"), "after")
        found: Sequence[StoredReport] = []
        more = False
        if newest > after:
            query = replace(self._query(request, asked), after=after, before=newest + 1)
            found, following = await find_reports(store, query)
            more = following is not None
        return self._site.show(
            request,
            "inbox_new.html.jinja",
            asked=asked,
            rows=[row_of(each) for each in found],
            newest=newest,
            more=more,
            sources=self._site.sources(),
            opened=None,
        )

    def _asked(self, request: web.Request) -> Asked:
        query = request.query
        source = query.get("source", request.cookies.get(SOURCE, ""))
        return Asked(
            search=query.get("q", "").strip(),
            source=source if source in self._site.sources() else "",
            cursor=query.get("cursor", ""),
            trail=[each for each in query.get("trail", "").split(",") if each.isdecimal()],
        )

    def _query(self, request: web.Request, asked: Asked) -> ReportQuery:
        """Raises BadQuery."""
        found = parameters_of(asked.search, self._site.now().astimezone(_zone_of(request)))
        if asked.source:
            found.setdefault("source", asked.source)
        if asked.cursor:
            found["cursor"] = asked.cursor
        return report_query({**found, "limit": str(ROWS)})


async def _found(
    store: ReportStore, query: ReportQuery
) -> tuple[Sequence[StoredReport], int | None]:
    """A page, and the cursor of the next one, in a bounded number of steps: a page can be short and
    have a next one all the same."""
    found: list[StoredReport] = []
    before = query.before
    for _ in range(SEARCH_STEPS):
        step = replace(query, before=before, limit=query.limit - len(found))
        reports, before = await find_reports(store, step)
        found += reports
        if before is None or len(found) >= query.limit:
            break
    return found, before


def _zone_of(request: web.Request) -> tzinfo:
    """The zone of the browser, if it has told one that is known here."""
    try:
        return ZoneInfo(request.cookies[ZONE])
    except (KeyError, ValueError, OSError, ZoneInfoNotFoundError):
        return UTC


def curl_of_a_first_report(url: str, now: datetime) -> str:
    """A command that posts a report which has happened now."""
    at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    body = (
        '{"results":[{"messageId":"first-1","to":"41793026727","sender":"InfoSMS",'
        f'"sentAt":"{at}","doneAt":"{at}","callbackData":"order 7",'
        '"status":{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET"},'
        '"error":{"groupId":0,"groupName":"OK","id":0,"name":"NO_ERROR","permanent":false}}]}'
    )
    return f"curl --json '{body}' {url}"
