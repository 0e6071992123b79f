"""Unrouted: reports that are kept and go nowhere, because they match no endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from dispatcher.api.base import UnroutedReports, UnroutedStore
from dispatcher.endpoints.registry import Registered, Registry
from receiver.answers import Id, Next, answer, web
from receiver.api.parameters import PAGE, in_query, next_cursor, page_query
from receiver.api.reports import ReportAnswer
from receiver.routes import Reply, Route


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


class UnroutedPage(Struct, frozen=True, rename="camel"):
    reports: Sequence[ReportAnswer]
    next: Next
    read_to: Annotated[
        Id, Meta(description=("Reports with a larger id have not been evaluated yet"))
    ]
    forgotten_to: Annotated[
        Id,
        Meta(
            description=(
                "Reports up to this id are left out, because"
                " the dispatches of their time were removed"
            )
        ),
    ]


class UnroutedApi:
    """The route /api/unrouted."""

    def __init__(self, unrouted: Unrouted) -> None:
        self._unrouted = unrouted

    @Route(
        "GET",
        "/api/unrouted",
        "listUnrouted",
        (
            "Reports that no endpoint took, newest first. A page can be short and still have a"
            " `next`"
        ),
        {200: Reply("a page", UnroutedPage)},
        in_query(PAGE),
    )
    async def list(self, request: web.Request) -> web.Response:
        query = page_query(request.query)
        found = await self._unrouted.find(query.before, query.limit)
        return answer(
            UnroutedPage(
                reports=[ReportAnswer.of(report) for report in found.reports],
                next=next_cursor(found.next),
                read_to=found.read_to,
                forgotten_to=found.forgotten_to,
            )
        )
