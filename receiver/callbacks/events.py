"""What the receiver tells of itself: a frozen fact for each callback it has answered.

Logs and metrics listen. A listener is on the way of each callback, so it counts or it queues; it
never waits.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from time import perf_counter

from aiohttp import web
from msgspec import Struct

from receiver.answers import errors_as_json
from receiver.callbacks.intake import Entry
from receiver.dlr.errors import Unreadable
from receiver.dlr.model import Format
from receiver.store.base import Counts


class Taken(Struct, frozen=True):
    """What was in a callback and what became of it; made once it is on disk."""

    format: Format
    size: int  # bytes of the body
    readable: bool
    counts: Counts
    entries: Sequence[Entry]
    quarantined: Sequence[Unreadable]


class CallbackAnswered(Struct, frozen=True):
    """A callback has its answer. `source` is None when it named none of ours, `taken` when nothing
    of it was stored."""

    request_id: str
    source: str | None
    status: int
    seconds: float
    taken: Taken | None


Listener = Callable[[CallbackAnswered], None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TAKEN = web.RequestKey("taken", Taken)
"""Where the handler of a callback leaves what it took."""

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


def telling(handler: Handler, sources: Collection[str], listeners: Sequence[Listener]) -> Handler:
    """`handler` of callbacks, telling the listeners of each answer. No error gets past it."""
    ids = RequestIds()

    async def told(request: web.Request) -> web.StreamResponse:
        started = perf_counter()
        response = await errors_as_json(request, handler)
        source = request.match_info.get("source", "default")
        event = CallbackAnswered(
            ids.of(request),
            source if source in sources else None,
            response.status,
            perf_counter() - started,
            request.get(TAKEN),
        )
        for listener in listeners:
            listener(event)
        response.headers[REQUEST_ID] = event.request_id
        return response

    return told
