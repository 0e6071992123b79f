"""What the receiver tells of itself: a frozen fact for each callback it has answered.

Logs and metrics listen. A listener is on the way of each callback, so it counts or it queues; it
never waits.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Callable, Collection, Sequence
from time import perf_counter

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from msgspec import Struct

from receiver.store.base import Counts
from receiver.store.callback import Callback


class StoredCallback(Struct, frozen=True):
    """What was in a callback and what became of it; made once it is on disk."""

    callback: Callback
    size: int  # bytes of the body
    counts: Counts


class CallbackAnswered(Struct, frozen=True):
    """A callback has its answer. `source` is None when it named none of ours, `stored` when nothing
    of it was stored."""

    request_id: str
    source: str | None
    status: int
    seconds: float
    stored: StoredCallback | None


Listener = Callable[[CallbackAnswered], None]

STORED = web.RequestKey("stored", StoredCallback)
"""Where the handler of a callback leaves what it stored."""

REQUEST_ID = "X-Request-Id"

_USABLE = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}", re.ASCII).fullmatch
"""An id that can stand in a log line and in a header as it is. Anything else is replaced: whoever
posts must not write our log."""


class RequestIds:
    """Takes over the id that a proxy gave a request, or makes one, unique among processes."""

    def __init__(self) -> None:
        self._start = secrets.token_hex(4)
        self._number = itertools.count(1)

    def of(self, request: web.Request) -> str:
        given = request.headers.get(REQUEST_ID)
        if given is not None and _USABLE(given):
            return given
        return f"{self._start}-{next(self._number):x}"


def telling(notify: Handler, sources: Collection[str], listeners: Sequence[Listener]) -> Middleware:
    """Tells the listeners of each answer to a callback, which is what the handler `notify` takes.

    It stands outside the middleware that makes answers of errors, so it sees nothing but answers.
    """
    ids = RequestIds()

    @web.middleware
    async def tell(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.handler != notify:
            return await handler(request)
        started = perf_counter()
        response = await handler(request)
        source = request.match_info.get("source", "default")
        event = CallbackAnswered(
            ids.of(request),
            source if source in sources else None,
            response.status,
            perf_counter() - started,
            request.get(STORED),
        )
        for listener in listeners:
            listener(event)
        response.headers[REQUEST_ID] = event.request_id
        return response

    return tell
