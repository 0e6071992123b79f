"""What one client may take of the process, and what a flood of the same leaves behind."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from receiver.callbacks.intake import Limits, verdict_on_bytes
from tests.dispatcher.support import database_of
from tests.end_to_end.processes import eventually, running
from tests.receiver.served import (
    LIMIT,
    REPORT,
    Reply,
    connected,
    get,
    post,
    raw,
    request,
    served,
    still_works,
)

MB = 1024**2
HEAD = b"POST /notify HTTP/1.1\r\nHost: dlr\r\nContent-Type: application/json\r\n"


def a_body(*texts: str) -> bytes:
    return json.dumps({"results": [{"messageId": text, "status": {}} for text in texts]}).encode()


# --- bodies ------------------------------------------------------------------------------------


async def test_a_body_that_says_it_is_too_large(tmp_path: Path) -> None:
    """A length over the limit is refused before a byte of the body has come."""
    async with served(tmp_path, server="body_limit = 1000") as running:
        reply = await raw(running.url, HEAD + b"Content-Length: 1001\r\n\r\n")
        assert (reply.status, reply.code) == (413, "too_large")
        await still_works(running.url)


async def test_the_largest_body(tmp_path: Path) -> None:
    """A body of exactly the limit is taken, one byte more is not."""
    fitting = a_body("x").ljust(1000)
    async with served(tmp_path, server="body_limit = 1000") as running:
        assert (await post(running.url, fitting)).status == 200
        assert (await post(running.url, fitting + b" ")).status == 413


async def test_a_body_without_end(tmp_path: Path) -> None:
    """Chunks for ever are answered 413, and nothing of them is held afterwards."""
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    async with served(tmp_path, server='body_limit = "1MB"') as running:
        async with connected(running.url) as wire:
            await wire.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            sending = asyncio.create_task(_send_for_ever(wire, chunk))
            assert (await wire.reply()).status == 413
            await sending  # ends when the server closes
        await still_works(running.url)


async def _send_for_ever(wire: Any, chunk: bytes) -> None:
    async with asyncio.timeout(LIMIT):
        while await wire.send(chunk):
            pass


async def test_a_slow_body(tmp_path: Path) -> None:
    """A body that does not come is answered 408, and the connection is closed."""
    async with (
        served(tmp_path, '[limits]\nbody_timeout = "50ms"') as running,
        connected(running.url) as wire,
    ):
        await wire.send(HEAD + b"Content-Length: 100\r\n\r\n{")
        reply = await wire.reply()
        assert (reply.status, reply.code) == (408, "too_slow")
        assert await wire.closed()
        await still_works(running.url)


@pytest.mark.parametrize("begun", [b"", b"POST /no", HEAD])
async def test_a_slow_head(tmp_path: Path, begun: bytes) -> None:
    """A connection whose request does not begin, or whose head does not end, is closed."""
    async with (
        served(tmp_path, '[limits]\nidle_timeout = "50ms"') as running,
        connected(running.url) as wire,
    ):
        await wire.send(begun)
        assert await wire.closed()
        await still_works(running.url)


async def test_all_bodies_together(tmp_path: Path) -> None:
    """When all bodies that are under way are too much together, the next is told to come again."""
    async with served(tmp_path, '[limits]\nbodies = "100KB"') as running:
        reply = await post(running.url, bytes(4 * MB))
        assert (reply.status, reply.code) == (503, "busy")
        assert reply.headers["retry-after"]
        await still_works(running.url)


# --- items and fields --------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "xml"])
async def test_too_many_items(tmp_path: Path, form: str) -> None:
    """A longer list than the limit is answered 413; it is kept, for a refusal alone would lose it
    once the platform gives up."""
    body = a_body("1", "2", "3")
    if form == "xml":
        body = b"<r><results>" + b"<result><to>1</to><status/></result>" * 3 + b"</results></r>"
    async with served(tmp_path, "[limits]\nitems = 2") as running:
        reply = await post(running.url, body, content_type=f"application/{form}")
        assert (reply.status, reply.code) == (413, "too_many")
        (kept,) = (await get(running.url, "/api/quarantine")).json["items"]
        assert (kept["size"], kept["reason"]) == (len(body), "expected at most 2 reports, got more")
        assert (await post(running.url, a_body("1", "2"))).json["stored"] == 2


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b'{"results":[' + b"0," * 4_000_000 + b"0]}", "json"),
        (b'{"results":[' + b"{}," * 3_000_000 + b"{}]}", "json"),
        (b"<r><results>" + b"<a/>" * 2_000_000 + b"</results></r>", "xml"),
        (b"<r><results>" + b'<result x=""/>' * 700_000 + b"</results></r>", "xml"),
    ],
)
def test_millions_of_items(body: bytes, form: Any) -> None:
    """A list of millions is given up without being taken apart."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert verdict_on_bytes(body, form, limits=Limits(items=2_000)).too_long
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_many_commas_are_no_items() -> None:
    """What has many commas is counted, not guessed."""
    body = b'{"results":[{"x":[' + b"1," * 1_000 + b'1],"status":{}},{"status":{}}]}'
    assert len(verdict_on_bytes(body, "json", limits=Limits(items=2)).entries) == 2
    assert verdict_on_bytes(body, "json", limits=Limits(items=1)).too_long


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({"messageId": "x" * 101}, "results[1].messageId"),
        ({"callbackData": "é" * 51}, "results[1].callbackData"),
        ({"status": {"description": "x" * 101}}, "results[1].status.description"),
        ({"new": {"a": ["x", "y" * 101]}}, "results[1].new.a[1]"),
        ({"n" * 101: 1}, "results[1]"),
    ],
)
def test_a_field_that_is_too_long(item: dict[str, Any], place: str) -> None:
    """An item with a longer text is quarantined with its bytes; its neighbours are stored."""
    raw_item = json.dumps({"error": {}, **item}, ensure_ascii=False).encode()
    body = b'{"results":[{"error":{}},' + raw_item + b',{"error":{}}]}'
    verdict = verdict_on_bytes(body, "json", limits=Limits(field=100))
    assert len(verdict.entries) == 2
    (bad,) = verdict.quarantined
    assert (bad.raw, bad.place) == (raw_item, place)
    assert bad.reason.startswith("expected at most 100 bytes, got 10")


def test_a_long_item_of_short_fields() -> None:
    """It is the fields that are measured."""
    item: dict[str, Any] = {f"field{n}": "x" * 100 for n in range(50)} | {"status": {}}
    body = json.dumps({"results": [item]}).encode()
    assert len(verdict_on_bytes(body, "json", limits=Limits(field=100)).entries) == 1


def test_a_field_that_is_too_long_in_xml() -> None:
    """The same in XML."""
    items = [f"<result><to>{text}</to><status/></result>" for text in ("1", "x" * 101, "2")]
    body = f"<r><results>{''.join(items)}</results></r>".encode()
    verdict = verdict_on_bytes(body, "xml", limits=Limits(field=100))
    assert len(verdict.entries) == 2
    assert [bad.raw for bad in verdict.quarantined] == [items[1].encode()]


# --- heads and connections ---------------------------------------------------------------------


async def test_a_large_head(tmp_path: Path) -> None:
    """Long headers, many headers and long paths are refused."""
    text = '[limits]\nheader = "1KB"\nheaders = 10'
    async with served(tmp_path, text) as running:
        assert (await post(running.url, headers=[("X-Long", "x" * 1000)])).status == 200
        assert (await post(running.url, headers=[("X-Long", "x" * 1100)])).status == 431
        assert (await post(running.url, path="/notify?" + "x" * 1100)).status == 431
        assert (await post(running.url, headers=[("X", "x")] * 20)).status == 400
        await still_works(running.url)


async def test_a_browser_with_large_cookies(tmp_path: Path) -> None:
    """Programs on one host share their cookies whatever their port, so a browser may have too many
    of them. It gets a page that says what to do, also if its head comes in pieces, after a request
    that was good. A program gets JSON, and so does a browser below /api."""
    accept = ("Accept", "text/html,application/xhtml+xml;q=0.9")
    cookies = ("Cookie", "x" * 9000)

    def asked(path: str, *headers: tuple[str, str]) -> bytes:
        return request(b"", path=path, method="GET", content_type=None, headers=headers)

    async with served(tmp_path, "") as running:
        for path, headers, kind in (
            ("/messages", (accept, cookies), "text/html"),
            ("/messages", (cookies,), "application/json"),
            ("/api/messages", (accept, cookies), "application/json"),
        ):
            async with connected(running.url) as wire:
                await wire.send(asked("/readyz", accept))
                assert (await wire.reply()).status == 200
                whole = asked(path, *headers)
                await wire.send(whole[:300])
                await wire.send(whole[300:])
                reply = await wire.reply()
                assert (reply.status, reply.headers["content-type"].split(";")[0]) == (431, kind)


async def test_connections(tmp_path: Path) -> None:
    """One connection too many is told to come again, and the next one is served once there is
    room."""
    async with served(tmp_path, "[limits]\nconnections = 2") as running:
        async with connected(running.url) as first, connected(running.url) as second:
            for wire in (first, second):
                await wire.send(request())
                assert (await wire.reply()).status == 200
            reply = await post(running.url)
            assert (reply.status, reply.code) == (503, "busy")
            assert reply.headers["retry-after"]
            ready = request(b"", path="/readyz", method="GET", content_type=None)
            await first.send(ready)
            assert (await first.reply()).json == {
                "ready": True,
                "short": ["connections: 2 of 2 are in use"],
            }

        async def served_again() -> bool:
            return (await post(running.url)).status == 200

        await eventually(served_again, "a connection that is served")


async def test_a_crowd_of_connections(tmp_path: Path) -> None:
    """Whoever comes beyond the limit is told 503 and when to come again, however many they are.

    Of 250 at once, 150 were reset without a word.
    """
    async with served(tmp_path, "[limits]\nconnections = 1") as running, connected(running.url):
        replies = await asyncio.gather(*[post(running.url) for _ in range(250)])
        assert {(reply.status, reply.code) for reply in replies} == {(503, "busy")}
        assert all(reply.headers["retry-after"] for reply in replies)


async def test_a_crowd_that_does_not_listen(tmp_path: Path) -> None:
    """Those who stay after their 503 keep none of those who come later from theirs."""
    async with (
        served(tmp_path, "[limits]\nconnections = 1") as running,
        connected(running.url),
        AsyncExitStack() as stack,
    ):
        staying = [await stack.enter_async_context(connected(running.url)) for _ in range(300)]
        assert (await post(running.url)).status == 503
        assert (await staying[-1].reply()).status == 503


# --- floods ------------------------------------------------------------------------------------


async def pages(running: Any) -> int:
    count: int = await database_of(running.storage).read(
        lambda c: c.execute("PRAGMA page_count").fetchone()[0]
    )
    return count


@pytest.mark.parametrize(
    "body",
    [
        REPORT,
        b"garbage" * 1000,
        b'{"results":[{"to":[]}]}',
        b'{"notificationType":"CLICKED","url":"x"}',
        gzip.compress(b"x" * 5000, mtime=0),
    ],
)
async def test_a_flood_of_the_same_leaves_the_store_flat(tmp_path: Path, body: bytes) -> None:
    """The same callback over and over is stored once and counted."""
    coded = [("Content-Encoding", "gzip")] if body.startswith(b"\x1f") else []
    async with served(tmp_path) as running:
        await post(running.url, body, headers=coded)
        before = await pages(running)
        for _ in range(5):
            await asyncio.gather(*[post(running.url, body, headers=coded) for _ in range(40)])
        assert await pages(running) <= before + 1  # a larger count can take another byte
        reports = (await get(running.url, "/api/reports")).json["reports"]
        kept = (await get(running.url, "/api/quarantine")).json["items"]
        assert sum(each["duplicates"] for each in reports) == (200 if body == REPORT else 0)
        assert sum(each["repeats"] for each in kept) == (0 if body == REPORT else 200)
        assert len(reports) + len(kept) == 1


async def test_what_is_not_the_same_is_kept(tmp_path: Path) -> None:
    """Another source, another type or another byte is another entry."""
    sources = '[[source]]\nname = "default"\n[[source]]\nname = "eu"\n'
    async with served(tmp_path, sources) as running:
        await post(running.url, b"garbage")
        await post(running.url, b"garbage", path="/notify/eu")
        await post(running.url, b"garbage", content_type="text/xml")
        await post(running.url, b"garbagf")
        assert len((await get(running.url, "/api/quarantine")).json["items"]) == 4


# --- a store that cannot be written ------------------------------------------------------------


async def test_a_full_disk(tmp_path: Path) -> None:
    """While nothing can be written callbacks get 503, /readyz says so, and nothing is half-written;
    when there is room again it goes on by itself."""
    async with running(tmp_path, "receive") as server:

        async def burst(name: str) -> list[Reply]:
            """Ten callbacks at once, each of two reports."""
            bodies = [a_body(f"{name}-{n}-a", f"{name}-{n}-b") for n in range(10)]
            return await asyncio.gather(*[post(server.url, body) for body in bodies])

        assert {reply.status for reply in await burst("before")} == {200}
        pid = server.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        full = await burst("full")
        assert {(reply.status, reply.code) for reply in full} == {(503, "store_unavailable")}
        assert all(reply.headers["retry-after"] for reply in full)
        ready = await get(server.url, "/readyz")
        assert (ready.status, ready.code) == (503, "not_ready")
        assert (await get(server.url, "/healthz")).status == 200

        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert {reply.status for reply in await burst("after")} == {200}
        assert (await get(server.url, "/readyz")).status == 200
        found = {report["report"]["messageId"] for report in await server.all("reports")}
        assert found == {
            f"{name}-{n}-{part}" for name in ("before", "after") for n in range(10) for part in "ab"
        }
        assert "Traceback" not in server.err.text


async def test_a_full_database(tmp_path: Path) -> None:
    """The same when the database has reached its greatest size."""
    async with served(tmp_path) as running:
        await post(running.url)
        most = await pages(running)
        await database_of(running.storage).write(
            lambda c: c.execute(f"PRAGMA max_page_count={most}")
        )
        large = a_body(*(f"{n:0500}" for n in range(100)))
        assert (await post(running.url, large)).status == 503
        await database_of(running.storage).write(
            lambda c: c.execute("PRAGMA max_page_count=1000000")
        )
        assert (await post(running.url, large)).json["stored"] == 100
