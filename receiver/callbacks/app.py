"""The receiver over HTTP: takes callbacks, and says how it is.

The path of a report in: `notify` asks the source's gate and reads the body, `intake.take` decides,
`GroupCommit` has it on disk, and only then the answer is 200.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from inspect import isawaitable
from typing import Literal

from aiohttp import web
from msgspec import Struct

from receiver.answers import ErrorAnswer, answer, errors_as_json, fault
from receiver.callbacks.arriving import BodyReader
from receiver.callbacks.auth import Gate, Refusal, RequestFacts
from receiver.callbacks.body import coding_of
from receiver.callbacks.events import TAKEN, Listener, Taken, telling
from receiver.callbacks.intake import NO_LIMITS, Limits, Verdict, format_of, take
from receiver.dlr.model import Format
from receiver.routes import Body, Reply, Route, add_route, add_routes, ref
from receiver.store.base import Callback, Counts, ReportStore, StoreUnavailable
from receiver.store.writer import GroupCommit

log = logging.getLogger("dlr.callback")

LARGE_BODY: dict[Format, int] = {"json": 256 * 1024, "xml": 8 * 1024}
"""Bytes from which a body is decoded on a thread: about 2 ms of decoding, during which nobody else
would be served."""


def _callback(path: str, name: str) -> Route:
    return Route(
        "POST",
        path,
        name,
        "A callback of the SMS platform. 200 when its reports are on disk",
        {
            200: Reply("what became of its reports", Counts),
            400: "the body cannot be read; it is kept in quarantine",
            401: Reply(
                "not let in",
                ErrorAnswer,
                headers={"WWW-Authenticate": "the same for every reason"},
            ),
            404: "there is no such [[source]]",
            408: "the body took too long",
            413: "too large, or too many reports; with the latter it is kept in quarantine",
            415: "neither JSON nor XML, or an unknown charset or coding",
        },
        body=Body(
            ref("JsonCallback"),
            {"application/xml": ref("XmlCallback"), "text/xml": ref("XmlCallback")},
            "read liberally: no field is required, unknown ones are kept. Any charset; gzip and"
            " deflate by `Content-Encoding`",
        ),
    )


class Receiver:
    """Takes callbacks into a store. Shared by all requests of a process.

    `gates` has a Gate for each source that demands something; a source without one is open.
    `refused` counts the callbacks that were not let in, by source and demand.
    """

    def __init__(
        self,
        store: ReportStore,
        *,
        sources: Iterable[str],
        now: Callable[[], datetime],
        on_stored: Callable[[], None] = lambda: None,
        commit: Callable[[Sequence[Callback]], Awaitable[Sequence[Counts]]] | None = None,
        listeners: Sequence[Listener] = (),
        gates: Mapping[str, Gate] | None = None,
        limits: Limits = NO_LIMITS,
        bodies: BodyReader | None = None,
    ) -> None:
        """`commit` is the store's `add` unless it is to be measured."""
        self.store = store
        self.draining = False
        self._sources = frozenset(sources)
        self._now = now
        self._on_stored = on_stored
        self._gates = dict(gates or {})
        self._limits = limits
        self._bodies = bodies or BodyReader(
            limit=limits.body, timeout=timedelta(seconds=30), at_once=256 * 1024**2
        )
        self.refused: Counter[tuple[str, Refusal]] = Counter()
        self._listeners = listeners
        self._writer = GroupCommit(commit or store.add)

    def add_routes(self, app: web.Application) -> None:
        notify = telling(self.notify, self._sources, self._listeners)
        add_route(app, _callback("/notify", "notifyDefault"), notify)
        add_route(app, _callback("/notify/{source}", "notify"), notify)

    async def notify(self, request: web.Request) -> web.Response:
        """A callback: 200 when its reports are on disk."""
        source = request.match_info.get("source", "default")
        if source not in self._sources:
            return fault(404, "unknown_source", f'there is no [[source]] named "{source}"')
        if self.draining:
            return fault(503, "stopping", "this receiver is stopping; please try again")
        gate = self._gates.get(source)
        if gate is not None and (refusal := gate.before_body(_facts(request))) is not None:
            return self._refuse(request, source, refusal, gate)
        if request.content.is_eof():  # it came with the head, as small ones do
            return await self._take(request, source, await request.read(), gate)
        async with self._bodies.arriving(request) as body:
            return await self._take(request, source, body, gate)

    async def _take(
        self, request: web.Request, source: str, body: bytes, gate: Gate | None
    ) -> web.Response:
        if gate is not None:
            refusal = gate.after_body(_facts(request), body, self._now())
            if refusal is not None:
                return self._refuse(request, source, refusal, gate)
        content_type = request.headers.get("Content-Type")
        coding = coding_of(request.headers.get("Content-Encoding"))
        if coding is not None and getattr(request.content, "total_compressed_bytes", None):
            coding = None  # a server that is not ours has inflated it
        form, verdict = await _verdict(body, content_type, coding, self._limits)
        callback = Callback(
            source=source,
            format=form,
            content_type=content_type and _whole(content_type),
            received_at=self._now(),
            entries=verdict.entries,
            quarantined=verdict.quarantined,
            received=verdict.received,
        )
        counts = await self._writer.submit(callback)
        request[TAKEN] = Taken(
            form, len(body), verdict.readable, counts, verdict.entries, verdict.quarantined
        )
        if counts.stored:
            self._on_stored()
        if not verdict.readable:
            bad = verdict.quarantined[0]
            place = f"{bad.place}: " if bad.place else ""
            status, code = (413, "too_many") if verdict.too_long else (400, "unreadable")
            return fault(status, code, f"{place}{bad.reason}; kept in quarantine")
        return answer(counts)

    def _refuse(
        self, request: web.Request, source: str, refusal: Refusal, gate: Gate
    ) -> web.Response:
        """401, the same for every reason. Only the log and the counter know which it was."""
        self.refused[source, refusal] += 1
        facts = {"source": source, "reason": refusal, "from": str(gate.client(_facts(request)))}
        log.warning("callback refused", extra={"facts": facts})
        response = fault(401, "unauthorized", "this callback is not let in")
        # The same for all sources too. Some clients send their password only after it.
        response.headers["WWW-Authenticate"] = 'Basic realm="callbacks"'
        return response


def _facts(request: web.Request) -> RequestFacts:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return RequestFacts(peer[0] if peer else None, request.headers, request.query)


def _whole(header: str) -> str:
    """A header as a text that can be stored: aiohttp keeps bytes that are no UTF-8 as half
    characters."""
    return header.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


async def _verdict(
    body: bytes, content_type: str | None, coding: str | None, limits: Limits
) -> tuple[Format, Verdict]:
    if coding is not None or (
        len(body) > min(LARGE_BODY.values())
        and len(body) > LARGE_BODY[format_of(content_type, body) or "json"]
    ):
        return await asyncio.to_thread(take, body, content_type, coding, limits)
    return take(body, content_type, None, limits)


class Alive(Struct, frozen=True):
    alive: Literal[True]


class Ready(Struct, frozen=True):
    ready: Literal[True]


class Health:
    """`/healthz`: the process is alive. `/readyz`: it can do its work."""

    def __init__(self, store: ReportStore) -> None:
        self._store = store
        self._checks: list[Callable[[], str | Awaitable[str | None] | None]] = []

    def add(self, check: Callable[[], str | Awaitable[str | None] | None]) -> None:
        """A check gives the reason why this process is not ready, or None."""
        self._checks.append(check)

    def add_routes(self, app: web.Application) -> None:
        add_routes(app, self)

    @Route("GET", "/healthz", "isAlive", "The process is alive", {200: Reply("it is", Alive)})
    async def _alive(self, _: web.Request) -> web.Response:
        return answer(Alive(True))

    async def reasons(self) -> list[str]:
        """Why this process is not ready; empty when it is."""
        reasons = []
        try:
            for check in self._checks:
                found = check()
                reasons.append(await found if isawaitable(found) else found)
            await self._store.check_writable()
        except StoreUnavailable as error:
            reasons.append(str(error))
        return [reason for reason in reasons if reason is not None]

    @Route(
        "GET",
        "/readyz",
        "isReady",
        "The process can do its work",
        {
            200: Reply("it can", Ready),
            503: Reply("why it cannot", ErrorAnswer, headers={"Retry-After": "seconds"}),
        },
    )
    async def _ready(self, _: web.Request) -> web.Response:
        if reasons := await self.reasons():
            return fault(503, "not_ready", "; ".join(reasons))
        return answer(Ready(True))


def new_app(*, body_limit: int) -> web.Application:
    """An application without routes, that answers errors as JSON."""
    return web.Application(client_max_size=body_limit, middlewares=[errors_as_json])
