"""The receiver over HTTP: takes callbacks.

The way in: `notify` authenticates the sender and reads the body, `body.py` makes a text of it,
`intake.py` decides, `GroupCommit` has it on disk, and only then the answer is 200.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast

from aiohttp import web
from aiohttp.http import RawRequestMessage

from receiver.answers import (
    ErrorAnswer,
    NotTaken,
    answer,
    errors_as_json,
    fault,
)
from receiver.callbacks.arriving import BodyReader, Room
from receiver.callbacks.auth import Authenticator, Refusal, RequestFacts, as_text
from receiver.callbacks.body import BodyText, Unsupported, plain_format, received_text, text_of
from receiver.callbacks.events import (
    BECAUSE,
    STORED,
    CallbackAnswered,
    Listener,
    Sparing,
    StoredCallback,
    Teller,
)
from receiver.callbacks.intake import NO_LIMITS, Limits, verdict_on
from receiver.callbacks.not_taken import (
    REASONS,
    SPELLINGS,
    NewestNotTaken,
    NotTakenBecause,
    Reason,
    safe_segment,
)
from receiver.callbacks.short_way import ShortWay
from receiver.dlr.model import Format
from receiver.routes import Reply, RequestBody, Route, add_route, ref
from receiver.store.base import Counts, ReportStore
from receiver.store.callback import Callback, Verdict
from receiver.store.writer import GroupCommit

log = logging.getLogger("dlr.callback")

LARGE_BODY: dict[Format, int] = {"json": 256 * 1024, "xml": 8 * 1024}
"""Bytes from which a body is decoded on a thread: about 2 ms of decoding, during which nobody else
would be served."""

PATIENCE_SECONDS = 10.0
"""How long a callback waits for the database. Then it is answered 503, whatever becomes of it: what
is stored all the same is recognised when the platform repeats it."""

HEAVY_BODY = 512 * 1024
"""Bytes, after inflating, beyond which a body is alone from its decoding to its commit: the reports
of 9 MB take 50 MB by then, and in XML 150. Two at once would hardly be faster, because
the interpreter decodes one thing at a time."""


def _callback(path: str, name: str) -> Route:
    return Route(
        "POST",
        path,
        name,
        (
            "Receives a callback of the SMS platform. It is answered 200 after its reports are on"
            " disk"
        ),
        {
            200: Reply("What became of its reports", Counts),
            400: "The body cannot be read; it is kept in quarantine",
            401: Reply(
                "The source's checks refuse the request",
                ErrorAnswer,
                headers={"WWW-Authenticate": "The same for every reason"},
            ),
            403: (
                "A page of another site made the request, and the source requires no credentials"
            ),
            404: "Unknown source",
            408: "The body did not arrive in time",
            413: (
                "The body is too large, or has too many reports. In the second case it is"
                " kept in quarantine"
            ),
            415: (
                "Neither JSON nor XML, or an unknown charset or content coding. The body is"
                " kept in quarantine"
            ),
            421: (
                "A browser made the request, and `Host` is not a name of this server (see"
                " server.hosts)"
            ),
        },
        body=RequestBody(
            ref("JsonCallback"),
            {"application/xml": ref("XmlCallback"), "text/xml": ref("XmlCallback")},
            "No field is required, and unknown fields are kept. Any charset;"
            " `Content-Encoding` gzip and deflate",
        ),
        caller="platform",
    )


class Receiver:
    """Takes callbacks into a store. Shared by all requests of a process.

    `authenticators` has one for each source that demands something; a source without is open.
    `refused` counts the callbacks that were not let in, by source and demand. `not_taken` are those
    that came last and were not taken.
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
        authenticators: Mapping[str, Authenticator] | None = None,
        limits: Limits = NO_LIMITS,
        bodies: BodyReader | None = None,
    ) -> None:
        """`commit` is the store's `add` unless it is to be measured."""
        self.store = store
        self._sources = frozenset(sources)
        self._now = now
        self._on_stored = on_stored
        self._authenticators = dict(authenticators or {})
        self._limits = limits
        self._bodies = bodies or BodyReader(
            limit=limits.body, timeout=timedelta(seconds=30), at_once=256 * 1024**2
        )
        self.refused: Counter[tuple[str, Refusal]] = Counter()
        self.not_taken = NewestNotTaken(now)
        self._failures = Sparing(most=1)
        self._heavy = Room(1)
        self._teller = Teller(self._sources, [self._answered, *listeners])
        self.head_not_read = self._teller.head_not_read
        """For the server: tells of a request that comes to no route."""
        self._commit = commit or store.add
        self._writer = GroupCommit(self._add, patience=PATIENCE_SECONDS)
        self.short_way = ShortWay(
            self._plain_callback, self._writer.add, self._teller, self._sources
        )
        """For the server: takes most callbacks past the router and the middlewares."""

    def add_routes(self, app: web.Application) -> None:
        notify = self.notify
        add_route(app, _callback("/notify", "notifyDefault"), notify)
        add_route(app, _callback("/notify/{source}", "notify"), notify)
        for spelling in SPELLINGS:
            app.router.add_post(spelling, notify)
        app.middlewares.insert(0, self._teller.middleware(notify))

    def _answered(self, event: CallbackAnswered) -> None:
        if event.because is not None:
            self.not_taken.add(event.source, event.because, event.status)

    async def notify(self, request: web.Request) -> web.Response:
        """A callback: 200 when its reports are on disk."""
        done = await self._notify_from(request, request.match_info.get("source", "default"))
        if not isinstance(done, StoredCallback):
            return done
        request[STORED] = done
        return answer(done.counts)

    async def _notify_from(
        self, request: web.Request, source: str
    ) -> StoredCallback | web.Response:
        """What was stored of it, or another answer than 200."""
        try:
            return await self._notify(request, source)
        except NotTaken as error:
            _leave(request, error.code, str(error))
            raise
        except web.HTTPRequestEntityTooLarge:
            _leave(request, "too_large", f"the body is larger than {self._limits.body} bytes")
            raise

    async def _notify(self, request: web.Request, source: str) -> StoredCallback | web.Response:
        if source not in self._sources:
            _leave(request, "unknown_source", f"source {safe_segment(source)}")
            return fault(
                404,
                "unknown_source",
                f'unknown source "{source}": there is no [[source]] with this name',
            )
        authenticator = self._authenticators.get(source)
        if authenticator is not None:
            refusal = authenticator.before_body(_facts(request))
            if refusal is not None:
                return self._refuse(request, source, refusal, authenticator)
        if request.content.is_eof():  # it came with the head, as small ones do
            body = request.content.read_nowait()
            if len(body) > self._limits.body:
                raise web.HTTPRequestEntityTooLarge(self._limits.body, len(body))
            return await self._take(request, source, body, authenticator)
        async with self._bodies.arriving(request) as body:
            return await self._take(request, source, body, authenticator)

    async def _take(
        self,
        request: web.Request,
        source: str,
        body: bytes,
        authenticator: Authenticator | None,
    ) -> StoredCallback | web.Response:
        """Call each step with what the step before it made of the body."""
        if authenticator is not None:
            refusal = authenticator.after_body(_facts(request), body, self._now())
            if refusal is not None:
                return self._refuse(request, source, refusal, authenticator)
        content_type, encoding = request.headers.get("Content-Type"), _content_encoding(request)
        if encoding is None and len(body) <= LARGE_BODY["json"]:
            text = received_text(body, content_type, None, self._limits.body)
            return await self._keep(request, source, text, len(body))
        if len(body) <= HEAVY_BODY:
            try:
                text = await _text(body, content_type, encoding, min(HEAVY_BODY, self._limits.body))
            except NotTaken:  # it is too large for that when it is inflated
                pass
            else:
                return await self._keep(request, source, text, len(body))
        async with self._heavy.taking(1):
            text = await _text(body, content_type, encoding, self._limits.body)
            return await self._keep(request, source, text, len(body))

    async def _keep(
        self, request: web.Request, source: str, text: BodyText, size: int
    ) -> StoredCallback | web.Response:
        """Judge a body, have on disk what is to be kept of it, and answer."""
        content_type = request.headers.get("Content-Type")
        if len(text.utf8) <= LARGE_BODY[text.format]:
            verdict = verdict_on(text, self._limits)
        else:
            verdict = await asyncio.to_thread(verdict_on, text, self._limits)
        callback = Callback(
            source, text.format, content_type and as_text(content_type), self._now(), verdict
        )
        counts = await self._writer.submit(callback)
        stored = StoredCallback(callback, size, counts)
        if verdict.readable:
            return stored
        request[STORED] = stored
        status, code = _refusal_of(text, verdict)
        _leave(request, code, str(verdict.quarantined[0]))
        return fault(status, code, f"{verdict.quarantined[0]}; kept in quarantine")

    def _plain_callback(
        self, source: str, head: RawRequestMessage, peer: str | None, body: bytes
    ) -> Callback | None:
        """The short way of `_notify`: a callback that is let in, small, and readable; None for any
        other, which comes to `_notify` then."""
        content_type = head.headers.get("Content-Type")
        form = plain_format(content_type)
        if (
            form is None
            or content_type is None
            or len(body) > min(LARGE_BODY[form], self._limits.body)
        ):
            return None
        authenticator = self._authenticators.get(source)
        if authenticator is not None:
            facts = RequestFacts(peer, head.headers, head.url.query)
            if authenticator.before_body(facts) or authenticator.after_body(
                facts, body, self._now()
            ):
                return None
        verdict = verdict_on(text_of(body, form), self._limits)
        if not verdict.readable:
            return None
        return Callback(source, form, as_text(content_type), self._now(), verdict)

    async def _add(self, callbacks: Sequence[Callback]) -> Sequence[Counts]:
        counts = await self._commit(callbacks)
        if any(each.stored for each in counts):
            self.wake()
        return counts

    def wake(self) -> None:
        """The reports are on disk: whatever fails from here on, the answer is 200."""
        try:
            self._on_stored()
        except Exception:
            if (more := self._failures.admit("wake")) is not None:
                log.exception(
                    "new reports are stored, but the dispatcher was not told; it looks again soon",
                    extra={"facts": {"leftOut": more}},
                )

    def _refuse(
        self, request: web.Request, source: str, refusal: Refusal, authenticator: Authenticator
    ) -> web.Response:
        """401, the same for every reason. Only the log and the counter know which it was."""
        self.refused[source, refusal] += 1
        client = authenticator.client(_facts(request))
        facts = {"source": source, "reason": refusal, "from": str(client)}
        log.warning("callback refused", extra={"facts": facts})
        response = fault(401, "unauthorized", "this callback is refused")
        # The same for all sources too. Some clients send their password only after it.
        response.headers["WWW-Authenticate"] = 'Basic realm="callbacks"'
        return response


async def _text(body: bytes, content_type: str | None, encoding: str | None, most: int) -> BodyText:
    return await asyncio.to_thread(received_text, body, content_type, encoding, most)


def _facts(request: web.Request) -> RequestFacts:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return RequestFacts(peer[0] if peer else None, request.headers, request.query)


def _content_encoding(request: web.Request) -> str | None:
    """The header, unless what it says has been undone: a server that is not ours may do that."""
    undone = getattr(request.content, "total_compressed_bytes", None)
    return None if undone else request.headers.get("Content-Encoding")


def _refusal_of(text: BodyText, verdict: Verdict) -> tuple[int, str]:
    """Status and code of the answer to a body that is kept and not read."""
    if isinstance(text.fault, Unsupported):
        return 415, text.fault.code
    return (413, "too_many") if verdict.too_long else (400, "unreadable")


def _leave(request: web.Request, code: str, what: str) -> None:
    """Tell the listeners why a callback is not taken, if its sender has something to change."""
    if code in REASONS:
        request[BECAUSE] = NotTakenBecause(cast(Reason, code), what)


def new_app(*, body_limit: int) -> web.Application:
    """An application without routes, that answers errors as JSON."""
    return web.Application(client_max_size=body_limit, middlewares=[web.middleware(errors_as_json)])
