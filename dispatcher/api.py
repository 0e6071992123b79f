"""What can be asked of the dispatcher, and told to it: dispatches and endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast, get_args

from aiohttp import web

from dispatcher.dispatch import InvalidTransition, State
from dispatcher.endpoint import Endpoint
from dispatcher.queue.base import AttemptView, DispatchQueue, DispatchView, UnknownDispatch
from receiver.answers import BadQuery, answer, fault, timestamp
from receiver.api import limit, only
from receiver.store.base import ReportStore


class DispatchApi:
    """The routes under /api that concern dispatches and endpoints."""

    def __init__(
        self, store: ReportStore, queue: DispatchQueue, endpoints: Iterable[Endpoint]
    ) -> None:
        self._store = store
        self._queue = queue
        self._endpoints = list(endpoints)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/dispatches", self.dispatches)
        app.router.add_get("/api/dispatches/{id}", self.dispatch)
        app.router.add_post("/api/dispatches/{id}/cancel", self.cancel)
        app.router.add_get("/api/endpoints", self.endpoints)

    async def dispatches_of(self, report_ids: Sequence[int]) -> list[dict[str, Any]]:
        """The dispatches that carry these reports."""
        found = await self._queue.dispatches(report_ids=report_ids)
        return [await self.view(dispatch) for dispatch in found]

    async def dispatches(self, request: web.Request) -> web.Response:
        query = request.query
        only(query, "limit", "cursor", "endpoint", "state")
        size = limit(query)
        found = await self._queue.dispatches(
            before=query.get("cursor"),
            limit=size,
            endpoint=query.get("endpoint"),
            state=_state(query["state"]) if "state" in query else None,
        )
        views = [await self.view(dispatch) for dispatch in found]
        following = found[-1].id if len(found) == size else None
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

    async def endpoints(self, request: web.Request) -> web.Response:
        only(request.query, "limit", "cursor")
        counts = await self._queue.counts()
        views = [
            endpoint_view(endpoint, counts.get(endpoint.name, {})) for endpoint in self._endpoints
        ]
        return answer({"endpoints": views, "next": None})

    async def view(self, dispatch: DispatchView) -> dict[str, Any]:
        """A dispatch as the API and the command line show it."""
        return await dispatch_view(self._store, dispatch)


async def dispatch_view(store: ReportStore, dispatch: DispatchView) -> dict[str, Any]:
    """A dispatch with the messageIds of its reports."""
    return {
        "id": dispatch.id,
        "endpoint": dispatch.endpoint,
        "url": dispatch.url,
        "state": dispatch.state,
        "attempts": dispatch.attempts,
        "createdAt": timestamp(dispatch.created_at),
        "dueAt": timestamp(dispatch.due_at),
        "messageIds": await _message_ids(store, dispatch.report_ids),
        "reports": dispatch.reports,
    }


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


def endpoint_view(endpoint: Endpoint, counts: Any) -> dict[str, Any]:
    """An endpoint, without its headers: they may hold secrets."""
    return {
        "name": endpoint.name,
        "url": endpoint.url,
        "contentType": endpoint.content_type,
        "generation": endpoint.generation,
        "bucketSize": endpoint.bucket_size,
        "window": endpoint.window,
        "dispatches": {state: counts.get(state, 0) for state in get_args(State)},
    }


async def _message_ids(store: ReportStore, report_ids: Sequence[int]) -> list[str]:
    reports = await store.reports_by_id(report_ids)
    ids = (report.read().message_id for report in reports)
    return list(dict.fromkeys(message_id for message_id in ids if message_id))


def _state(text: str) -> State:
    if text not in get_args(State):
        raise BadQuery(f"state: expected {', '.join(get_args(State))}, got {text[:40]!r}")
    return cast(State, text)
