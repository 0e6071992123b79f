"""GET /api/events: what happens, as it happens, as server-sent events.

A reader follows the store, not a queue in memory: it has a cursor and reads on from it whenever
something has been committed, here or by another process on the same file. So a reader who comes
back with `Last-Event-ID` misses nothing that retention has not removed, and one who reads slowly
costs no memory: there is never more than one page under way to it. One that does not take an event
within SEND_SECONDS is dropped.

The id of each event is the cursor of all tracks, such as `r120.a77`: up to report 120 and attempt
77 everything has been told.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec
from aiohttp import hdrs, web
from aiohttp_sse import EventSourceResponse
from msgspec import Struct

from receiver.answers import SERVER_NAME, fault
from receiver.api.parameters import TEXT, Filter, Kind, in_query, listed, read_query, unexpected
from receiver.api.reports import ReportAnswer
from receiver.routes import Parameter, Reply, Route, add_route, called
from receiver.store.base import ReportStore, StoreUnavailable

PAGE = 200
"""Events that are read at a time. The most that is held for a reader."""

LOOK_SECONDS = 0.5
"""How often to look for what another process has committed."""

BREATH_SECONDS = 0.05
"""Between two reads of one reader: while thousands of reports come in each second, they are read
by the page and not one by one."""

HEARTBEAT_SECONDS = 15.0
"""A comment in a silent stream, before any proxy's minute is over."""

SEND_SECONDS = 10.0
"""How long a reader may take for an event. Then it is dropped."""

Query = Mapping[str, str]


class Happened(Struct, frozen=True):
    """One event. `id` ascends within its track; `answer` is what readers get."""

    id: int
    answer: Any


class Track(Protocol):
    """One kind of event, in the order in which it was committed."""

    name: str
    """The event's name in the stream, and in the filter `types`."""

    filters: Sequence[Filter]
    """What chooses among its events."""

    told: type[Struct]
    """What an event's data are."""

    async def newest(self) -> int:
        """The id of the last event; 0 when there was none."""

    async def after(self, event_id: int, limit: int) -> Sequence[Happened]:
        """At most `limit` events after `event_id`, the oldest first."""

    def wanted(self, event: Happened, query: Query) -> bool:
        """Whether a reader with these parameters gets it."""


class ReportTrack:
    """Implements Track: reports, as they are stored."""

    name = "report"
    filters: Sequence[Filter] = (Filter("source", TEXT, "Only reports from this source."),)
    told: type[Struct] = ReportAnswer

    def __init__(self, store: ReportStore) -> None:
        self._store = store

    async def newest(self) -> int:
        return await self._store.newest_report()

    async def after(self, event_id: int, limit: int) -> Sequence[Happened]:
        found = await self._store.reports_after(event_id, limit)
        return [Happened(report.id, ReportAnswer.of(report)) for report in found]

    def wanted(self, event: Happened, query: Query) -> bool:
        return "source" not in query or event.answer.source == query["source"]


class EventStream:
    """The route. Tracks are told in the order given: what causes comes before what follows."""

    def __init__(self, tracks: Sequence[Track], *, readers: int) -> None:
        self._tracks = {track.name: track for track in tracks}
        self._most = readers
        self._readers: dict[EventSourceResponse, asyncio.Event] = {}
        self._stopping = False
        self._encode = msgspec.json.Encoder(decimal_format="number").encode

    @property
    def readers(self) -> int:
        return len(self._readers)

    def add_routes(self, app: web.Application) -> None:
        add_route(app, self._route(), self.events)
        app.on_shutdown.append(self._stop)

    def wake(self) -> None:
        """Something has been committed in this process."""
        for awake in self._readers.values():
            awake.set()

    def _route(self) -> Route:
        """What clients are told of the stream: its tracks, and what chooses among their events."""
        tracks = self._tracks.values()
        names = " and ".join(
            f"`event: {e.name}` with the data of {called(e.told.__name__)}" for e in tracks
        )
        told = f"{names}; a comment after every 15 seconds without an event"
        example = f'id: {self._example}\nevent: {tuple(self._tracks)[-1]}\ndata: {{"…":"…"}}\n\n'
        events = {"type": "string", "examples": [example]}
        return Route(
            "GET",
            "/api/events",
            "followEvents",
            "Reports and attempts as they happen, as server-sent events",
            {200: Reply(told, others={"text/event-stream": events})},
            [*in_query(self._filters), self._last_event],
            also=[each.told for each in tracks],
        )

    @property
    def _last_event(self) -> Parameter:
        part = f"[{''.join(name[0] for name in self._tracks)}][0-9]{{1,18}}"
        schema = {
            "type": "string",
            "pattern": rf"^{part}(\.{part})*$",
            "examples": [self._example],
        }
        words = "The id of the last event that you received: the stream continues after it"
        return Parameter("Last-Event-ID", schema, words, "header")

    @property
    def _filters(self) -> list[Filter]:
        words = f"One or more of {listed(self._tracks)}, separated by commas."
        types = Filter("types", Kind(self._types, str), words)
        return [types, *(each for track in self._tracks.values() for each in track.filters)]

    @property
    def _example(self) -> str:
        return _written(dict(zip(self._tracks, (120, 77), strict=False)))

    async def events(self, request: web.Request) -> web.StreamResponse:
        tracks = self._chosen(request.query)
        cursor = _read_cursor(request.headers.get("Last-Event-ID"), self._tracks)
        if self._stopping or len(self._readers) >= self._most:
            why = (
                "stopping" if self._stopping else (f"the limit of {self._most} readers is reached")
            )
            refused = fault(503, "too_many_readers", f"{why}; try again later")
            refused.force_close()  # whoever finds no place must not keep a connection either
            return refused
        response = EventSourceResponse(
            sep="\n",
            headers={hdrs.SERVER: SERVER_NAME},
            send_timeout=SEND_SECONDS,
            ping_interval=HEARTBEAT_SECONDS,
        )
        awake = self._readers[response] = asyncio.Event()
        try:
            for name, track in self._tracks.items():
                if name not in cursor:
                    cursor[name] = await track.newest()
            await response.prepare(request)
            # Read at once, for whoever must know that from now on nothing is missed.
            await response.write(b": connected\n\n")
            # A dropped or closed connection is no error of ours.
            with suppress(ConnectionError, TimeoutError, StoreUnavailable):
                await self._follow(request, response, tracks, cursor, awake)
        finally:
            del self._readers[response]
            if response.prepared:
                response.stop_streaming()
        return response

    async def _follow(
        self,
        request: web.Request,
        response: EventSourceResponse,
        tracks: Sequence[Track],
        cursor: dict[str, int],
        awake: asyncio.Event,
    ) -> None:
        while not self._stopping and not _gone(request):
            awake.clear()
            full = False
            async for track, page in _pages(tracks, cursor):
                for event in page:
                    cursor[track.name] = event.id
                    if track.wanted(event, request.query):
                        data = self._encode(event.answer).decode()
                        await response.send(data, id=_written(cursor), event=track.name)
                full = full or len(page) == PAGE
            await asyncio.sleep(BREATH_SECONDS)
            if not full:
                with suppress(TimeoutError):
                    await asyncio.wait_for(awake.wait(), LOOK_SECONDS)

    def _chosen(self, query: Query) -> list[Track]:
        names = read_query(query, self._filters).get("types", self._tracks)
        return [track for name, track in self._tracks.items() if name in names]

    def _types(self, text: str, name: str) -> list[str]:
        names = text.split(",")
        for each in names:
            if each not in self._tracks:
                raise unexpected(name, listed(self._tracks), each)
        return names

    async def _stop(self, _: web.Application) -> None:
        """End all streams, so that an orderly stop does not wait for their readers."""
        self._stopping = True
        self.wake()


def _gone(request: web.Request) -> bool:
    """Whether the reader has closed the connection. A silent stream would learn it only from the
    next heartbeat, and keep the place."""
    return request.transport is None or request.transport.is_closing()


async def _pages(
    tracks: Sequence[Track], cursor: Mapping[str, int]
) -> AsyncIterator[tuple[Track, Sequence[Happened]]]:
    """The next page of each track. The last track is read first: so its causes have been read too
    by the time it is told."""
    read = [(track, await track.after(cursor[track.name], PAGE)) for track in reversed(tracks)]
    for track, page in reversed(read):
        yield track, page


def _written(cursor: Mapping[str, int]) -> str:
    return ".".join(f"{name[0]}{number}" for name, number in cursor.items())


def _read_cursor(text: str | None, names: Collection[str]) -> dict[str, int]:
    """Where to go on, by track. A track that it does not name begins with what comes next."""
    if not text:
        return {}
    found = {}
    for part in text.split("."):
        known = next((name for name in names if name[0] == part[:1]), None)
        if known is None or not re.fullmatch(r"[a-z][0-9]{1,18}", part):
            example = ".".join(f"{name[0]}120" for name in names)
            raise unexpected("Last-Event-ID", f"such as {example}", text)
        found[known] = int(part[1:])
    return found
