"""What the receiver tells of itself: a frozen fact for each callback it has answered.

Logs and metrics listen. A listener is on the way of each callback, so it counts or it queues; it
never waits.
"""

from __future__ import annotations

import itertools
import logging
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic, perf_counter

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from msgspec import Struct

from receiver.callbacks.not_taken import NotTakenBecause, stray
from receiver.store.base import Counts
from receiver.store.callback import Callback

log = logging.getLogger("dlr.callback")


class StoredCallback(Struct, frozen=True):
    """What was in a callback and what became of it; made once it is on disk."""

    callback: Callback
    size: int  # bytes of the body
    counts: Counts


class CallbackAnswered(Struct, frozen=True):
    """A callback has its answer. `source` is None when it named none of ours, `stored` when nothing
    of it was stored. With `because` it was meant as a callback and not taken."""

    request_id: str
    source: str | None
    status: int
    seconds: float
    stored: StoredCallback | None
    because: NotTakenBecause | None = None


Listener = Callable[[CallbackAnswered], None]

STORED = web.RequestKey("stored", StoredCallback)
"""Where the handler of a callback leaves what it stored."""

BECAUSE = web.RequestKey("because", NotTakenBecause)
"""Where the handler of a callback leaves why it did not take one."""

REQUEST_ID = "X-Request-Id"

_USABLE = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}", re.ASCII).fullmatch
"""An id that can stand in a log line and in a header as it is. Anything else is replaced: whoever
posts must not write our log."""


class RequestIds:
    """Takes over the id that a proxy gave a request, or makes one, unique among processes."""

    def __init__(self) -> None:
        self._start = secrets.token_hex(4)
        self._number = itertools.count(1)

    def of(self, headers: Mapping[str, str]) -> str:
        given = headers.get(REQUEST_ID)
        if given is not None and _USABLE(given):
            return given
        return self.fresh()

    def fresh(self) -> str:
        return f"{self._start}-{next(self._number):x}"


class Teller:
    """Tells the listeners of each answer to a callback.

    A listener that fails is logged, and the callback is answered as if nothing had happened: its
    reports are on disk.
    """

    def __init__(self, sources: Collection[str], listeners: Sequence[Listener]) -> None:
        self._sources = sources
        self._listeners = listeners
        self._ids = RequestIds()
        self._failures = Sparing(most=1)

    def tell_of(
        self,
        request: web.BaseRequest,
        source: str | None,
        response: web.StreamResponse,
        started: float,
    ) -> str:
        """Tell of an answer, with what the handler has left in the request, and give the id of the
        request, which is to stand in the answer."""
        # Not left there: the request of a silent connection lives until the next one comes.
        stored = request.pop(STORED, None)
        status, because = response.status, request.get(BECAUSE)
        return self.tell(request.headers, source, status, started, stored, because)

    def tell(
        self,
        headers: Mapping[str, str],
        source: str | None,
        status: int,
        started: float,
        stored: StoredCallback | None,
        because: NotTakenBecause | None = None,
    ) -> str:
        """The same with what is in hand already; `headers` are those of the request."""
        event = CallbackAnswered(
            self._ids.of(headers),
            source if source in self._sources else None,
            status,
            perf_counter() - started,
            stored,
            because,
        )
        self._told(event)
        return event.request_id

    def head_not_read(self, because: NotTakenBecause, status: int) -> None:
        """Tell of a request whose head could not be read: no handler and no middleware saw it."""
        self._told(CallbackAnswered(self._ids.fresh(), None, status, 0.0, None, because))

    def _told(self, event: CallbackAnswered) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                if (more := self._failures.admit(str(listener))) is not None:
                    facts = {"request": event.request_id, "leftOut": more}
                    log.exception(
                        "a callback could not be logged and counted", extra={"facts": facts}
                    )

    def middleware(self, notify: Handler | None) -> Middleware:
        """Tells of what the handler `notify` answers, and of a request that no route takes and that
        looks like a callback. `notify` None: this process takes none, so whoever posts one here has
        the wrong address.

        It stands outside the middleware that makes answers of errors, so it sees nothing but
        answers.
        """

        @web.middleware
        async def tell(request: web.Request, handler: Handler) -> web.StreamResponse:
            source: str | None = request.match_info.get("source", "default")
            if request.match_info.handler != notify:
                if (
                    request.match_info.http_exception is None
                    or (because := _stray(request, notify is not None)) is None
                ):
                    return await handler(request)
                request[BECAUSE], source = because, None
            started = perf_counter()
            response = await handler(request)
            response.headers[REQUEST_ID] = self.tell_of(request, source, response, started)
            return response

        return tell


def _stray(request: web.Request, taken: bool) -> NotTakenBecause | None:
    content_type = request.headers.get("Content-Type")
    return stray(request.method, request.rel_url.raw_path, content_type, taken=taken)


class Sparing:
    """Lets a few of each kind through a minute, so that nobody can fill the disk with lines."""

    def __init__(self, most: int, now: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._now = now
        self._minutes: dict[str, _Minute] = {}

    def admit(self, kind: str) -> int | None:
        """How many of this kind have been left out since the last that went through; `None`: this
        one is to be left out."""
        now = self._now()
        minute = self._minutes.setdefault(kind, _Minute(now))
        if now - minute.since >= 60:
            minute.since, minute.admitted = now, 0
        if minute.admitted >= self._most:
            minute.left_out += 1
            return None
        minute.admitted += 1
        left_out, minute.left_out = minute.left_out, 0
        return left_out


class _Minute(Struct):
    since: float
    admitted: int = 0
    left_out: int = 0
