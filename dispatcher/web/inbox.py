"""The inbox: reports as they arrive, newest first."""

from __future__ import annotations

from aiohttp import web

from dispatcher.web.site import Site, page
from receiver.api.filters import report_query
from receiver.api.store_api import find_reports


class InboxPages:
    def __init__(self, site: Site) -> None:
        self._site = site

    @page("/", "showInbox")
    async def inbox(self, request: web.Request) -> web.Response:
        reports, _ = await find_reports(self._site.inside.storage.store, report_query({}))
        return self._site.show(request, "inbox.html.jinja", reports=reports)
