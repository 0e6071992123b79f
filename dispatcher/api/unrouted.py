"""Unrouted: reports that are kept and go nowhere, because they match no endpoint."""

from __future__ import annotations

from aiohttp import web

from dispatcher.api.base import UnroutedReports, UnroutedStore
from dispatcher.endpoints.registry import Registered, Registry
from receiver.answers import answer
from receiver.api.parameters import cursor, limit, only
from receiver.api.reports import next_cursor, report_view


class Unrouted:
    """Looks for them. Reports that were read before an endpoint was added are not routed to it, so
    they stay unrouted; one that is replayed to an endpoint is so no more."""

    def __init__(self, store: UnroutedStore, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    async def find(self, before: int | None, limit: int) -> UnroutedReports:
        """One step of bounded time, newest first. There may be a next one though it finds none."""
        endpoints = (await self._registry.all()).values()
        names = [each.name for each in endpoints if _takes_reports(each)]
        return await self._store.unrouted(names, before, limit)


def _takes_reports(endpoint: Registered) -> bool:
    return endpoint.settings is None or endpoint.settings.reports != "none"


class UnroutedApi:
    """The route /api/unrouted."""

    def __init__(self, unrouted: Unrouted) -> None:
        self._unrouted = unrouted

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/unrouted", self.list)

    async def list(self, request: web.Request) -> web.Response:
        only(request.query, "limit", "cursor")
        found = await self._unrouted.find(cursor(request.query), limit(request.query))
        return answer(
            {
                "reports": [report_view(report) for report in found.reports],
                "next": next_cursor(found.next),
                "readTo": found.read_to,
                "forgottenTo": found.forgotten_to,
            }
        )
