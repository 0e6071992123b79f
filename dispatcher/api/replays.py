"""The routes under /api that concern replays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from dispatcher.replay.replay import Found, InvalidReplay, Item, UnknownReplay, view
from dispatcher.replay.replaying import Replaying
from dispatcher.replay.request import read_request
from receiver.answers import BadQuery, answer, fault, timestamp
from receiver.api.parameters import cursor, limit, number, only
from receiver.dlr.item import write_item
from receiver.store.base import ReportStore


class ReplayApi:
    """Makes replays, shows them, and cancels them."""

    def __init__(self, replaying: Replaying, store: ReportStore) -> None:
        self._replaying = replaying
        self._store = store

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/api/replays", self.make)
        app.router.add_get("/api/replays", self.list)
        app.router.add_get("/api/replays/{id}", self.show)
        app.router.add_post("/api/replays/{id}/cancel", self.cancel)

    async def make(self, request: web.Request) -> web.Response:
        asked, dry_run = read_request(_body(await request.read()), self._replaying.now())
        if dry_run:
            found = await self._replaying.find(asked, from_outside=True)
            return answer(await found_view(self._store, found))
        made = await self._replaying.make(asked, from_outside=True)
        shown = view(made.replay, self._replaying.now())
        if made.found is not None:
            shown |= _left_out(made.found)
        return answer(shown, status=201 if made.new else 200)

    async def list(self, request: web.Request) -> web.Response:
        only(request.query, "limit", "cursor")
        size = limit(request.query)
        # one more tells whether there is a next page
        found = await self._replaying.replays.all(cursor(request.query), size + 1)
        views = [view(replay, self._replaying.now()) for replay in found[:size]]
        following = str(found[size - 1].id) if len(found) > size else None
        return answer({"replays": views, "next": following})

    async def show(self, request: web.Request) -> web.Response:
        try:
            found = await self._replaying.replays.one(_id(request))
        except UnknownReplay as unknown:
            raise web.HTTPNotFound(text=str(unknown)) from unknown
        return answer(view(found, self._replaying.now()))

    async def cancel(self, request: web.Request) -> web.Response:
        try:
            cancelled = await self._replaying.cancel(_id(request))
        except UnknownReplay as unknown:
            raise web.HTTPNotFound(text=str(unknown)) from unknown
        except InvalidReplay as error:
            return fault(409, "invalid_transition", str(error))
        return answer(view(cancelled, self._replaying.now()))


async def found_view(store: ReportStore, found: Found) -> dict[str, Any]:
    """What a dry run says."""
    return {
        "dryRun": True,
        "total": found.total,
        **_left_out(found),
        "first": await item_views(store, found.first),
    }


async def item_views(store: ReportStore, items: Sequence[Item]) -> list[dict[str, Any]]:
    """The first rows of a selection: which report, and where it would go."""
    reports = {each.id: each for each in await store.reports_by_id([i.report for i in items])}
    shown = []
    for item in items:
        if (stored := reports.get(item.report)) is not None:
            written = write_item(stored.read())
            shown.append(
                {
                    "report": item.report,
                    "endpoint": item.endpoint,
                    "receivedAt": timestamp(stored.received_at),
                    "source": stored.source,
                    "messageId": written.get("messageId"),
                    "status": (written.get("status") or {}).get("name"),
                }
            )
    return shown


def _left_out(found: Found) -> dict[str, Any]:
    """What matches and cannot be brought, so that nobody misses it unawares."""
    return {"neverDispatched": found.undispatched, "endpointsGone": found.gone}


def _body(raw: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        text = f'expected a JSON object such as {{"state":"exhausted"}}: {error}'
        raise BadQuery(text) from error


def _id(request: web.Request) -> int:
    return number(request.match_info["id"], "id")
