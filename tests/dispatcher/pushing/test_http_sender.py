"""Attempts over HTTP on real sockets: each way in which one ends has its outcome."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from dispatcher.endpoints.endpoint import Endpoint, credentials_to_header
from dispatcher.pushing.http_sender import ANSWER_KEPT, HttpSender
from dispatcher.retrying.outcome import Answer, Outcome, judge
from tests.dispatcher.support import a_push, an_endpoint

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SHORT = timedelta(milliseconds=100)
LONG = timedelta(seconds=30)
"""Longer than any test takes: an attempt with it ends for another reason."""


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    """An unclosed connection is warned of when it is collected, and a warning fails the test."""
    yield
    gc.collect()


@pytest.fixture
async def sender() -> AsyncIterator[HttpSender]:
    async with HttpSender() as made:
        yield made


async def attempt(
    sender: HttpSender, url: str, *, limit: timedelta = LONG, **changes: Any
) -> Answer:
    """One push to `url`, with `limit` as both timeouts."""
    endpoint = an_endpoint(connect_timeout=limit, read_timeout=limit, **changes)
    return await sender.send(a_push(url), endpoint)


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server of bytes on a free port; its connections end with it."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await serve(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/dlr"
    finally:
        server.close()
        running = list(tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running)
        await server.wait_closed()


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """The whole request of a push, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def saying(answer: bytes) -> Serve:
    """A server that takes the request, says these bytes and ends the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(answer)
        await writer.drain()

    return serve


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Takes the request, and that is all."""
    await request_of(reader)
    await asyncio.Event().wait()


async def deaf(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Accepts the connection, and that is all."""
    await asyncio.Event().wait()


async def resetting(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Resets the connection as soon as it stands."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def continuing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says `100 Continue` for ever."""
    await request_of(reader)
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0)


# --- statuses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.ACKNOWLEDGED),
        (202, Outcome.ACKNOWLEDGED),
        (204, Outcome.ACKNOWLEDGED),
        (301, Outcome.REDIRECTED),
        (307, Outcome.REDIRECTED),
        (400, Outcome.REFUSED),
        (401, Outcome.REFUSED),
        (404, Outcome.REFUSED),
        (410, Outcome.REFUSED),
        (429, Outcome.REFUSED),
        (500, Outcome.FAILED),
        (503, Outcome.FAILED),
    ],
)
async def test_statuses(
    sender: HttpSender, aiohttp_server: AiohttpServer, status: int, outcome: Outcome
) -> None:
    """The status is that of the endpoint's own answer: redirects are not followed."""
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = await aiohttp_server(app)

    told = await attempt(sender, str(server.make_url("/dlr")))

    assert (told.status, told.failure, told.error) == (status, None, None)
    assert judge(told) is outcome
    assert told.duration_ms > 0
    assert paths == ["/dlr"]


# --- what goes out -------------------------------------------------------------------------------


async def test_what_is_sent(sender: HttpSender, aiohttp_server: AiohttpServer) -> None:
    """A push is a POST of the bytes as they are, that says its id and which attempt it is."""
    seen: list[tuple[str, str, bytes, dict[str, str]]] = []

    async def answer(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen.append((request.method, request.path_qs, await request.read(), headers))
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = await aiohttp_server(app)
    endpoint = an_endpoint(headers={"X-Key": "k", "Authorization": "App 1"})
    body = b"<?xml version='1.0'?><a>\xc3\xa9\r\n</a>"
    push = a_push(
        str(server.make_url("/dlr?a=b")),
        body=body,
        content_type="application/xml",
        attempts_made=4,
    )

    await sender.send(push, endpoint)

    ((method, path, sent, headers),) = seen
    assert (method, path, sent) == ("POST", "/dlr?a=b", body)
    assert headers["content-type"] == "application/xml"
    assert headers["content-length"] == str(len(body))
    assert (headers["webhook-id"], headers["dlr-attempt"]) == ("db-7-5eed", "5")
    assert (headers["x-key"], headers["authorization"]) == ("k", "App 1")
    assert "cookie" not in headers


async def test_cookies_are_not_kept(sender: HttpSender, aiohttp_server: AiohttpServer) -> None:
    """What one answer sets does not come along with the next push."""
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "session=1"})

    app = web.Application()
    app.router.add_post("/", answer)
    url = str((await aiohttp_server(app)).make_url("/"))

    await attempt(sender, url)
    await attempt(sender, url)

    assert seen == [None, None]


@pytest.mark.parametrize(
    ("url", "without", "credentials"),
    [
        ("http://me:pw@host:81/a?b=c", "http://host:81/a?b=c", "bWU6cHc="),
        ("https://me@host/", "https://host/", "bWU6"),
        ("http://m%40e:p%3Aw%2F@host/", "http://host/", "bUBlOnA6dy8="),
        ("http://me:p:w@host/", "http://host/", "bWU6cDp3"),
    ],
)
def test_credentials_become_a_header(url: str, without: str, credentials: str) -> None:
    """Credentials in a URL go into an Authorization header, decoded, so that they are not logged;
    the colon of Basic is there also without a password."""
    assert credentials_to_header(url) == (without, {"Authorization": f"Basic {credentials}"})


@pytest.mark.parametrize("url", ["http://host/", "http://host/@home?a=b@c", "https://[::1]:80/"])
def test_url_without_credentials(url: str) -> None:
    """A URL without credentials is left as it is, whatever signs its path has."""
    assert credentials_to_header(url) == (url, {})


async def test_credentials_reach_the_endpoint(
    sender: HttpSender, aiohttp_server: AiohttpServer
) -> None:
    """The endpoint gets the credentials that stood in its URL."""
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", answer)
    server = await aiohttp_server(app)
    url, headers = credentials_to_header(f"http://me:pw@127.0.0.1:{server.port}/")

    await attempt(sender, url, headers=headers)

    assert seen == ["Basic bWU6cHc="]


# --- answers -------------------------------------------------------------------------------------


async def test_keeps_the_start_of_the_answer(
    sender: HttpSender, aiohttp_server: AiohttpServer
) -> None:
    """The first KiB of an answer is kept with the attempt."""
    said = bytes(range(256)) * 40

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=503, body=said)

    app = web.Application()
    app.router.add_post("/", answer)
    server = await aiohttp_server(app)

    told = await attempt(sender, str(server.make_url("/")))

    assert (told.status, told.body) == (503, said[:ANSWER_KEPT])


async def test_compressed_answer_is_kept_raw(sender: HttpSender) -> None:
    """An answer is not unpacked: a few bytes could become gigabytes."""
    packed = gzip.compress(b"x" * 1_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"

    async with listening(saying(head.encode() + packed)) as url:
        told = await attempt(sender, url)

    assert (told.status, told.body) == (200, packed[:ANSWER_KEPT])


async def test_endless_answer_is_cut(sender: HttpSender) -> None:
    """Of an answer of a gigabyte no more is read than needed; its status counts."""
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request_of(reader)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {2**30}\r\n\r\n".encode())
        while sent < 2**30:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with listening(flood) as url:
        told = await attempt(sender, url)

    assert (judge(told), told.body) == (Outcome.ACKNOWLEDGED, b"x" * ANSWER_KEPT)
    assert sent < 2**25  # what the sockets' buffers hold


async def test_connection_serves_the_next_push(
    sender: HttpSender, aiohttp_server: AiohttpServer
) -> None:
    """Pushes to one endpoint share a connection, also after an answer with a body."""
    peers: set[object] = set()

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(status=500, body=b"x" * 30_000)

    app = web.Application()
    app.router.add_post("/", answer)
    url = str((await aiohttp_server(app)).make_url("/"))

    for _ in range(3):
        await attempt(sender, url)

    assert len(peers) == 1


# --- no answer -----------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"

BROKEN: list[tuple[str, Serve, Outcome]] = [
    ("never answers", silent, Outcome.TIMED_OUT),
    ("never reads", deaf, Outcome.TIMED_OUT),
    ("100 Continue for ever", continuing, Outcome.TIMED_OUT),
    ("resets at once", resetting, Outcome.BROKEN_OFF),
    ("closes without an answer", saying(b""), Outcome.BROKEN_OFF),
    ("closes within the status line", saying(b"HTTP/1.1 200 O"), Outcome.BROKEN_OFF),
    ("closes after an interim answer", saying(b"HTTP/1.1 103 Hints\r\n\r\n"), Outcome.BROKEN_OFF),
    ("speaks SMTP", saying(b"220 mail.example ESMTP\r\n"), Outcome.NOT_HTTP),
    ("speaks garbage", saying(bytes(range(256)) + b"\r\n\r\n"), Outcome.NOT_HTTP),
    ("says its status second", saying(b"<b>Warning</b>\n" + HEAD + b"\r\n"), Outcome.NOT_HTTP),
    ("says a status of words", saying(b"HTTP/1.1 OK\r\n\r\n"), Outcome.NOT_HTTP),
]


@pytest.mark.parametrize(
    ("serve", "outcome"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
async def test_broken_answers(sender: HttpSender, serve: Serve, outcome: Outcome) -> None:
    """An endpoint that does not answer as it should is an outcome, told in words."""
    limit = SHORT if outcome is Outcome.TIMED_OUT else LONG

    async with listening(serve) as url:
        told = await asyncio.wait_for(attempt(sender, url, limit=limit), 10)

    assert (told.status, told.failure) == (None, outcome)
    assert told.error
    assert "\n" not in told.error


async def test_goes_on_after_broken_answers(sender: HttpSender) -> None:
    """Whatever one endpoint does, the next push is made."""
    for _, serve, outcome in BROKEN:
        async with listening(serve) as url:
            limit = SHORT if outcome is Outcome.TIMED_OUT else LONG
            await attempt(sender, url, limit=limit)

    async with listening(saying(HEAD + b"Content-Length: 0\r\n\r\n")) as url:
        assert judge(await attempt(sender, url)) is Outcome.ACKNOWLEDGED


async def test_no_longer_than_the_attempt_time(sender: HttpSender) -> None:
    """An attempt ends in connect_timeout and read_timeout together, however it is drawn out."""
    endpoint = an_endpoint(connect_timeout=SHORT, read_timeout=SHORT)
    async with listening(continuing) as url:
        told = await sender.send(a_push(url), endpoint)

    assert told.failure is Outcome.TIMED_OUT
    assert told.duration_ms >= 100
    assert endpoint.attempt_time == 2 * SHORT


async def test_connection_refused(sender: HttpSender) -> None:
    """Where nobody listens, the endpoint is unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    told = await attempt(sender, f"http://127.0.0.1:{port}/")

    assert (told.status, told.failure) == (None, Outcome.UNREACHABLE)
    assert told.error


@pytest.mark.parametrize(
    "url",
    [
        "http://customer.invalid/dlr",
        f"http://{'a' * 64}.example/",
        "http://127.0.0.1:0/",
        "ftp://127.0.0.1/",
    ],
)
async def test_unreachable(sender: HttpSender, url: str) -> None:
    """A host without an address, and a URL that cannot be called, are unreachable, too."""
    told = await attempt(sender, url)

    assert (told.status, told.failure) == (None, Outcome.UNREACHABLE)
    assert told.error


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's side of TLS that nobody has a reason to trust."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    _make_certificate(key, certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _make_certificate(key: Path, certificate: Path) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *subject, *files], check=True, capture_output=True)


async def test_self_signed_certificate(sender: HttpSender, self_signed: ssl.SSLContext) -> None:
    """A certificate that nobody vouches for is refused, and the push is not sent."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())

    async with listening(listen, self_signed) as url:
        told = await attempt(sender, url)

    assert (told.status, told.failure) == (None, Outcome.TLS_FAILED)
    assert told.error
    assert "certificate" in told.error.lower()
    assert heard in ([], [b""])


async def test_tls_against_a_plain_port(sender: HttpSender) -> None:
    """A server that answers a TLS greeting in plain text cannot be trusted."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with listening(plain) as url:
        told = await attempt(sender, url.replace("http://", "https://"))

    assert (told.status, told.failure) == (None, Outcome.TLS_FAILED)
    assert told.error


async def test_tls_that_is_never_answered(sender: HttpSender) -> None:
    """A TLS greeting without an answer is a timeout."""
    async with listening(deaf) as url:
        told = await attempt(sender, url.replace("http://", "https://"), limit=SHORT)

    assert (told.status, told.failure) == (None, Outcome.TIMED_OUT)


async def test_needs_to_be_entered() -> None:
    """A sender that was not entered as a context is a mistake of ours, and no outcome."""
    endpoint: Endpoint = an_endpoint()
    with pytest.raises(AssertionError, match="context manager"):
        await HttpSender().send(a_push(), endpoint)
