"""The receiver over HTTP: takes callbacks, and says how it is.

The path of a report in: `notify` reads the body, `intake.judge` decides, `GroupCommit` has it on
disk, and only then the answer is 200.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

from aiohttp import web

from receiver.answers import answer, errors_as_json, fault
from receiver.dlr.model import Format
from receiver.intake import Verdict, format_of, judge
from receiver.store.base import Callback, ReportStore, StoreUnavailable
from receiver.writer import GroupCommit

LARGE_BODY: dict[Format, int] = {"json": 256 * 1024, "xml": 8 * 1024}
"""Bytes from which a body is decoded on a thread: about 2 ms of decoding, during which nobody else
would be served."""


class Receiver:
    """Takes callbacks into a store. Shared by all requests of a process."""

    def __init__(
        self,
        store: ReportStore,
        *,
        sources: Iterable[str],
        now: Callable[[], datetime],
        on_stored: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.draining = False
        self._sources = frozenset(sources)
        self._now = now
        self._on_stored = on_stored
        self._writer = GroupCommit(store.add)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/notify", self.notify)
        app.router.add_post("/notify/{source}", self.notify)

    async def notify(self, request: web.Request) -> web.Response:
        """A callback: 200 when its reports are on disk."""
        source = request.match_info.get("source", "default")
        if source not in self._sources:
            return fault(404, "unknown_source", f'there is no [[source]] named "{source}"')
        if self.draining:
            return fault(503, "stopping", "this receiver is stopping; please try again")
        content_type = request.headers.get("Content-Type")
        body = await request.read()
        form = format_of(content_type, body)
        if form is None:
            return fault(
                415, "unsupported_media_type", f"expected JSON or XML, got {content_type!r}"
            )
        verdict = await _judge(body, form)
        callback = Callback(
            source=source,
            format=form,
            content_type=content_type,
            received_at=self._now(),
            entries=verdict.entries,
            quarantined=verdict.quarantined,
        )
        counts = await self._writer.submit(callback)
        if counts.stored:
            self._on_stored()
        if not verdict.readable:
            bad = verdict.quarantined[0]
            return fault(400, "unreadable", f"{bad.place}: {bad.reason}; kept in quarantine")
        return answer(counts)


async def _judge(body: bytes, form: Format) -> Verdict:
    if len(body) > LARGE_BODY[form]:
        return await asyncio.to_thread(judge, body, form)
    return judge(body, form)


class Health:
    """`/healthz`: the process is alive. `/readyz`: it can do its work."""

    def __init__(self, store: ReportStore) -> None:
        self._store = store
        self._checks: list[Callable[[], str | None]] = []

    def add(self, check: Callable[[], str | None]) -> None:
        """A check gives the reason why this process is not ready, or None."""
        self._checks.append(check)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/healthz", self._alive)
        app.router.add_get("/readyz", self._ready)

    async def _alive(self, _: web.Request) -> web.Response:
        return answer({"alive": True})

    async def _ready(self, _: web.Request) -> web.Response:
        reasons = [reason for check in self._checks if (reason := check()) is not None]
        try:
            await self._store.check_writable()
        except StoreUnavailable as error:
            reasons.append(str(error))
        if reasons:
            return fault(503, "not_ready", "; ".join(reasons))
        return answer({"ready": True})


def new_app(*, body_limit: int) -> web.Application:
    """An application without routes, that answers errors as JSON."""
    return web.Application(client_max_size=body_limit, middlewares=[errors_as_json])
