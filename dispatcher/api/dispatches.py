"""What can be asked of the dispatcher, and told to it: dispatches. Endpoints: endpoint_api.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast, get_args

from aiohttp import web

from dispatcher.queue.base import AttemptView, DispatchQueue, DispatchView, UnknownDispatch
from dispatcher.retrying.dispatch import DispatchState, InvalidTransition
from receiver.answers import BadQuery, answer, fault, timestamp
from receiver.api.reports import limit, only
from receiver.settings.configuration import without_credentials
from receiver.store.base import ReportStore


class DispatchApi:
    """The routes under /api that concern dispatches."""

    def __init__(self, store: ReportStore, queue: DispatchQueue) -> None:
        self._store = store
        self._queue = queue

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/dispatches", self.dispatches)
        app.router.add_get("/api/dispatches/{id}", self.dispatch)
        app.router.add_post("/api/dispatches/{id}/cancel", self.cancel)

    async def dispatches_of(self, report_ids: Sequence[int]) -> list[dict[str, Any]]:
        """The dispatches that carry these reports, each with its attempts."""
        return await dispatches_with_attempts(self._store, self._queue, report_ids)

    async def dispatches(self, request: web.Request) -> web.Response:
        query = request.query
        only(query, "limit", "cursor", "endpoint", "state")
        size = limit(query)
        state = _state(query["state"]) if "state" in query else None
        try:
            found = await self._queue.dispatches(
                before=query.get("cursor"),
                limit=size + 1,  # one more tells whether there is a next page
                endpoint=query.get("endpoint"),
                state=state,
            )
        except UnknownDispatch as unknown:
            raise BadQuery(f"cursor: expected the id of a dispatch, got {unknown}") from unknown
        views = [await self.view(dispatch) for dispatch in found[:size]]
        following = found[size - 1].id if len(found) > size else None
        return answer({"dispatches": views, "next": following})

    async def dispatch(self, request: web.Request) -> web.Response:
        found = await self._queue.dispatch(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text=f"there is no dispatch {request.match_info['id']}")
        dispatch, attempts = found
        history = [attempt_view(attempt) for attempt in attempts]
        return answer({**await self.view(dispatch), "history": history})

    async def cancel(self, request: web.Request) -> web.Response:
        try:
            await self._queue.cancel(request.match_info["id"])
        except UnknownDispatch as unknown:
            raise web.HTTPNotFound(text=f"there is no dispatch {unknown}") from unknown
        except InvalidTransition as error:
            return fault(409, "invalid_transition", str(error))
        return await self.dispatch(request)

    async def view(self, dispatch: DispatchView) -> dict[str, Any]:
        """A dispatch as the API and the command line show it."""
        return await dispatch_view(self._store, dispatch)


async def dispatch_view(store: ReportStore, dispatch: DispatchView) -> dict[str, Any]:
    """A dispatch with the messageIds of its reports."""
    return {
        "id": dispatch.id,
        "endpoint": dispatch.endpoint,
        "url": without_credentials(dispatch.url),
        "state": dispatch.state,
        "attempts": dispatch.attempts,
        "createdAt": timestamp(dispatch.created_at),
        "dueAt": timestamp(dispatch.due_at),
        "messageIds": await _message_ids(store, dispatch.report_ids),
        "reports": dispatch.reports,
    }


async def dispatches_with_attempts(
    store: ReportStore, queue: DispatchQueue, report_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """The dispatches that carry these reports, newest first, each with its attempts."""
    views = []
    for dispatch in await queue.dispatches(report_ids=report_ids):
        found = await queue.dispatch(dispatch.id)
        attempts = found[1] if found else []  # retention may be faster than we are
        history = [attempt_view(attempt) for attempt in attempts]
        views.append({**await dispatch_view(store, dispatch), "history": history})
    return views


def attempt_view(attempt: AttemptView) -> dict[str, Any]:
    """An attempt as the history of a dispatch shows it."""
    return {
        "number": attempt.number,
        "startedAt": timestamp(attempt.started_at),
        "durationMs": round(attempt.duration_ms, 1),
        "status": attempt.status,
        "outcome": attempt.outcome,
        "error": attempt.error,
        "answer": attempt.answer.decode("utf-8", "replace"),
    }


async def _message_ids(store: ReportStore, report_ids: Sequence[int]) -> list[str]:
    reports = await store.reports_by_id(report_ids)
    ids = (report.read().message_id for report in reports)
    return list(dict.fromkeys(message_id for message_id in ids if message_id))


def _state(text: str) -> DispatchState:
    if text not in get_args(DispatchState):
        raise BadQuery(f"state: expected {', '.join(get_args(DispatchState))}, got {text[:40]!r}")
    return cast(DispatchState, text)
