"""Most callbacks go past the router and the middlewares, which would do nothing with them. Nobody
outside can tell: the same requests get the same answers, are stored alike, and are told alike to
logs and metrics. What a middleware would refuse is refused.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from aiohttp import web

from dispatcher.service import Parts, Service, service
from dispatcher.settings.settings import read_settings
from receiver.callbacks.events import CallbackAnswered
from receiver.callbacks.short_way import EARLY_MOST, Connection, ShortWay
from receiver.store.base import Counts, StoreUnavailable
from receiver.store.callback import Callback
from receiver.store.sqlite.store import SqliteStore
from tests.receiver.payloads import V2_JSON, V2_XML, V3_JSON
from tests.receiver.served import LIMIT, REPORT, Reply, connected, get, post, request, served

SETTINGS = """
[[source]]
name = "default"
[[source]]
name = "eu"
basic = { username = "platform", passwords = ["secret"] }
"""
BASIC = ("Authorization", "Basic cGxhdGZvcm06c2VjcmV0")
LATE = b"POST /notify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"

REQUESTS = {
    "json": request(V2_JSON),
    "the same again": request(V2_JSON),
    "json of v3": request(V3_JSON),
    "xml": request(V2_XML, content_type="application/xml"),
    "of a source": request(path="/notify/eu", headers=[BASIC]),
    "without its credentials": request(path="/notify/eu"),
    "of no source": request(path="/notify/nobody"),
    "percent encoded": request(path="/n%6ftify"),
    "with a query": request(path="/notify?token=1"),
    "a slash too many": request(path="/notify/"),
    "elsewhere": request(path="/notifi"),
    "another method": request(method="PUT"),
    "unreadable": request(b"garbage"),
    "no content type": request(content_type=None),
    "neither JSON nor XML": request(b"x", content_type="text/html"),
    "gzip": request(gzip.compress(REPORT), headers=[("Content-Encoding", "gzip")]),
    "no gzip": request(REPORT, headers=[("Content-Encoding", "gzip")]),
    "brotli": request(REPORT, headers=[("Content-Encoding", "br")]),
    "too large": request(b"x" * 3_000),
    "chunked": LATE + b"%x\r\n%b\r\n0\r\n\r\n" % (len(REPORT), REPORT),
    "chunked, too large": LATE + b"bb8\r\n" + b"x" * 3_000 + b"\r\n0\r\n\r\n",
    "a page of another site": request(headers=[("Origin", "https://evil.example")]),
    "a page, by the browser's word": request(headers=[("Sec-Fetch-Site", "cross-site")]),
    "a page to a source with credentials": request(
        path="/notify/eu", headers=[BASIC, ("Origin", "https://evil.example")]
    ),
    "unknown expectation": request(headers=[("Expect", "wonders")]),
    "to be closed": request(headers=[("Connection", "close")]),
    "HTTP/1.0": request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "with an id": request(headers=[("X-Request-Id", "proxy-1")]),
    "with an id that is none": request(headers=[("X-Request-Id", "a b\tc")]),
    "an empty list": request(b'{"results":[]}'),
    "one of two is bad": request(b'{"results":[{"messageId":"g","status":{"id":5}},7]}'),
}


async def answered(folder: Path) -> tuple[dict[str, Any], list[Any], list[str]]:
    """The answers to all requests, what was told of them, and the metrics of it."""
    file = folder / "dlr.toml"
    file.write_text(
        f'[server]\nport = 0\nbody_limit = "2KB"\n[store]\ndatabase = "{folder}/dlr.db"\n{SETTINGS}'
    )
    told: list[CallbackAnswered] = []
    replies: dict[str, Any] = {}
    async with service(
        read_settings(file, {}), parts=Parts(dispatches=False), callback_listeners=[told.append]
    ) as running:
        for name, data in REQUESTS.items():
            async with connected(running.url) as wire:
                await wire.send(data)
                replies[name] = comparable(await wire.reply())
        text = (await get(running.url, "/metrics")).body.decode()
    counted = [line for line in text.splitlines() if line.startswith(("dlr_callback", "dlr_rep"))]
    return replies, [facts(event) for event in told], counted


def comparable(reply: Reply) -> Any:
    """Names and order of the headers are part of it; the made ids and the instant are not."""
    headers = [
        (name, value if name not in ("date", "x-request-id") or value == "proxy-1" else "")
        for name, value in reply.headers.items()
    ]
    return reply.status, headers, reply.body


def facts(event: CallbackAnswered) -> Any:
    stored = event.stored
    told = stored and (stored.size, stored.counts, stored.callback.source, stored.callback.verdict)
    return event.source, event.status, event.because, told


def not_plain(*_: object) -> None:
    """No request is a plain callback."""


async def test_nobody_can_tell(tmp_path_factory: pytest.TempPathFactory) -> None:
    short = await answered(tmp_path_factory.mktemp("short"))
    with patch.object(ShortWay, "source_of", not_plain):
        long = await answered(tmp_path_factory.mktemp("long"))
    for name, reply in long[0].items():
        assert short[0][name] == reply, name
    assert short[1] == long[1]
    assert short[2] == long[2]


async def test_the_router_is_not_asked(tmp_path: Path) -> None:
    async with served(tmp_path) as running:
        with patch.object(web.UrlDispatcher, "resolve", side_effect=AssertionError):
            assert (await post(running.url)).json == {
                "stored": 1,
                "duplicates": 0,
                "quarantined": 0,
            }


# --- one connection, whose callback is being stored ----------------------------------------------


class Held:
    """A store that commits when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    @asynccontextmanager
    async def served(self, folder: Path, text: str = "") -> AsyncIterator[Service]:
        add = SqliteStore.add

        async def held(store: SqliteStore, callbacks: Sequence[Callback]) -> list[Counts]:
            self.asked.set()
            await self.go.wait()
            return await add(store, callbacks)

        with patch.object(SqliteStore, "add", held):
            async with served(folder, text) as running:
                yield running

    async def committing(self) -> None:
        async with asyncio.timeout(LIMIT):
            await self.asked.wait()


LATER = {
    "another callback": (request(), 200),
    "two at once": (request() * 2, 200),
    "an unreadable one": (request(b"garbage"), 400),
    "a question": (request(b"", path="/healthz", method="GET", content_type=None), 200),
    "what is no HTTP": (b"garbage\r\n\r\n", 400),
}


@pytest.mark.parametrize("later", LATER)
async def test_answers_have_the_order_of_their_requests(tmp_path: Path, later: str) -> None:
    """Whatever follows on the connection while a callback is being stored waits for its answer."""
    held, (data, status) = Held(), LATER[later]
    async with held.served(tmp_path) as running, connected(running.url) as wire:
        await wire.send(request())
        await held.committing()
        await wire.send(data[:7])
        await get(running.url, "/healthz")  # what was sent has been read
        await wire.send(data[7:])
        await get(running.url, "/healthz")
        held.go.set()
        assert (await wire.reply()).json == {"stored": 1, "duplicates": 0, "quarantined": 0}
        assert (await wire.reply()).status == status


async def test_more_than_fits_waits_at_the_sender(tmp_path: Path) -> None:
    """A client that sends on and on is read no further; all of it is answered in the end."""
    held, count = Held(), 3 * EARLY_MOST // len(request())
    async with held.served(tmp_path) as running, connected(running.url) as wire:
        await wire.send(request())
        await held.committing()
        sending = asyncio.create_task(wire.send(request() * count))
        await get(running.url, "/healthz")
        held.go.set()
        assert [(await wire.reply()).status for _ in range(1 + count)] == [200] * (1 + count)
        assert await sending


BAD = b"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n"


async def test_a_request_that_is_no_http_costs_none_before_it(tmp_path: Path) -> None:
    """They came in packets of their own, while the first was being stored. They were read as one
    piece afterwards, of which aiohttp made a single 400."""
    held = Held()
    async with held.served(tmp_path) as running, connected(running.url) as wire:
        await wire.send(request())
        await held.committing()
        for data in (request(V2_JSON), BAD):
            await wire.send(data)
            await get(running.url, "/healthz")  # what was sent has been read
        held.go.set()
        assert [(await wire.reply()).status for _ in range(3)] == [200, 200, 400]


async def test_who_reads_no_answers_is_read_no_further(tmp_path: Path) -> None:
    """A client that sent callbacks and read nothing had all its answers pile up in memory. While
    the transport holds too many, callbacks go the way of all requests, which waits for the client.
    """
    made: list[Connection] = []
    connect = web.RequestHandler.connection_made

    def connecting(connection: Connection, transport: asyncio.BaseTransport) -> None:
        made.append(connection)
        connect(connection, transport)

    with patch.object(web.RequestHandler, "connection_made", connecting):
        async with served(tmp_path) as running, connected(running.url) as wire:
            await wire.send(request())
            assert (await wire.reply()).status == 200
            made[0].pause_writing()  # as the transport does when it holds much
            with patch.object(ShortWay, "take", side_effect=AssertionError):
                await wire.send(request())
                assert (await wire.reply()).status == 200
            await wire.send(request())
            await get(running.url, "/healthz")  # what was sent has been read
            assert not made[0].taking
            text = (await get(running.url, "/metrics")).body.decode()
            assert 'format="json",outcome="taken",source="default"} 2.0' in text
            made[0].resume_writing()
            assert (await wire.reply()).status == 200


async def test_a_judge_that_fails_is_a_defect_on_either_way(tmp_path: Path) -> None:
    """It ended the connection without an answer, and without a line that says which request."""
    with patch("receiver.callbacks.app.verdict_on", side_effect=ZeroDivisionError):
        async with served(tmp_path) as running:
            assert (await post(running.url)).status == 500


async def test_a_stop_waits_for_the_answer(tmp_path: Path) -> None:
    held = Held()
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(held.served(tmp_path))
        async with connected(running.url) as wire:
            await wire.send(request())
            await held.committing()
            stopping = asyncio.create_task(stack.aclose())
            await asyncio.sleep(0)
            held.go.set()
            assert (await wire.reply()).status == 200
            assert await wire.closed()
            await stopping


async def test_a_connection_is_not_idle_while_its_callback_is_stored(tmp_path: Path) -> None:
    held = Held()
    async with (
        held.served(tmp_path, '[limits]\nidle_timeout = "50ms"') as running,
        connected(running.url) as wire,
        connected(running.url) as idle,
    ):
        await wire.send(request())
        await held.committing()
        assert await idle.closed()  # it has been idle for as long
        held.go.set()
        assert (await wire.reply()).status == 200
        assert await wire.closed()  # now it is idle, too


async def test_a_client_that_leaves_is_stored_all_the_same(tmp_path: Path) -> None:
    held = Held()
    async with held.served(tmp_path) as running:
        async with connected(running.url) as wire:
            await wire.send(request())
            await held.committing()
        held.go.set()
        assert (await post(running.url)).json["duplicates"] == 1


@pytest.mark.parametrize("error", [StoreUnavailable("the disk is full"), ValueError("a defect")])
async def test_what_the_database_raises_is_answered_the_same(
    tmp_path: Path, error: Exception
) -> None:
    """503 and 500 are written by the short way itself: what was tried is not tried again."""
    with patch.object(SqliteStore, "add", side_effect=error) as add:
        async with served(tmp_path) as running:
            short = await post(running.url)
            assert add.call_count == 1
            with patch.object(ShortWay, "source_of", not_plain):
                long = await post(running.url)
    assert comparable(short) == comparable(long)
    assert short.status == (503 if isinstance(error, StoreUnavailable) else 500)
