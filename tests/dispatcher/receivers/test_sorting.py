"""Which requests a process keeps that takes callbacks alone, by their first bytes."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from unittest.mock import patch

import pytest
from aiohttp import web

from dispatcher.receivers.sorting import SortingConnection, beginnings_of, is_callback, size_of
from receiver.server import Opened, listening
from receiver.settings.settings import LimitSettings, ServerSettings
from tests.receiver.callbacks.test_short_way import LATE
from tests.receiver.served import connected, request

OURS = beginnings_of(["default", "eu"])


@pytest.mark.parametrize(
    "begun",
    [b"POST /notify HTTP/1.1\r\n", b"POST /notify?token=1 HTTP/1.1", b"POST /notify/eu HTTP/1.1"],
)
def test_a_callback_is_kept(begun: bytes) -> None:
    """And until the path has ended, nobody knows."""
    assert is_callback(begun, OURS) is True
    for length in range(len(b"POST /notify")):
        assert is_callback(begun[:length], OURS) is None


@pytest.mark.parametrize(
    "begun",
    [
        b"G",
        b"PUT /notify ",
        b"POST /notify/us ",  # an unknown source
        b"POST /notify/eu/ ",
        b"POST /notification ",
        b"POST /%6eotify ",
        b"post /notify ",
        b"\r\nPOST /notify ",
        b"\x16\x03\x01",  # TLS
    ],
)
def test_anything_else_is_handed_over(begun: bytes) -> None:
    """The first process takes callbacks too, in whatever form."""
    assert is_callback(begun, OURS) is False


@pytest.mark.parametrize(
    ("begun", "size"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", 43),
        (b"POST / HTTP/1.1\r\ncontent-LENGTH:  0 \r\n\r\n", 40),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n", None),  # the head goes on
        (b"POST / HTTP/1.1\r\n\r\nContent-Length: 5\r\n", None),  # that is the body
        (b"POST / HTTP/1.1\r\nX-Content-Length: 5\r\n\r\n", None),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", None),
    ],
)
def test_the_size_of_a_request(begun: bytes, size: int | None) -> None:
    """It is known if the head is whole and says so."""
    assert size_of(begun) == size


async def test_a_connection_that_is_ended_is_not_looked_at_again_and_again() -> None:
    """What came behind a request that ends its connection kept a process busy, turn after turn of
    its loop, for as long as the client left its answers unread."""
    looked = 0
    sort = SortingConnection._sort

    def counted(connection: SortingConnection) -> None:
        nonlocal looked
        looked += 1
        sort(connection)

    def connecting(connection: web.RequestHandler, transport: asyncio.BaseTransport) -> None:
        made = transport.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connect(connection, transport)

    async def long_answer(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 60_000)  # more than the kernel takes

    connect = web.RequestHandler.connection_made
    app = web.Application()
    app.router.add_post("/notify", long_answer)
    connection = partial(SortingConnection, beginnings=OURS, hand_over=lambda *_: None)
    with (
        patch.object(SortingConnection, "_sort", counted),
        patch.object(web.RequestHandler, "connection_made", connecting),
        socket.socket() as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        opened = Opened()
        async with listening(
            app, ServerSettings(port=0), LimitSettings(), opened, connect=connection
        ) as listener:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", listener.port))
            last = request(headers=[("Connection", "close")])
            await loop.sock_sendall(client, last + b"POST /no")
            await loop.sock_recv(client, 1)
            looked = 0
            for _ in range(100):
                await asyncio.sleep(0)
            assert opened.served == 1
            assert looked < 10


@pytest.mark.parametrize("cut", [1, 40, 75, 100])
async def test_what_aiohttp_has_begun_to_read_it_reads_to_the_end(cut: int) -> None:
    """The beginning of a callback came with the end of a body in chunks. Its rest was taken for a
    request of its own, handed over, and answered 400."""

    async def answered(asked: web.Request) -> web.Response:
        return web.Response(body=await asked.read())

    app, left = web.Application(), list[bytes]()
    app.router.add_post("/notify", answered)

    def hand_over(connection: int, begun: bytes) -> None:
        os.close(connection)
        left.append(begun)

    connection = partial(SortingConnection, beginnings=OURS, hand_over=hand_over)
    chunks = LATE + b"3\r\nabc\r\n0\r\n\r\n"
    later = request(b"defg")
    async with listening(
        app, ServerSettings(port=0), LimitSettings(), connect=connection
    ) as listener:
        for sent in ([chunks + later[:cut]], [chunks[:-9], chunks[-9:] + later[:cut]]):
            async with connected(f"http://127.0.0.1:{listener.port}") as wire:
                for piece in sent:
                    await wire.send(piece)
                    for _ in range(5):  # it is read
                        await asyncio.sleep(0)
                assert (await wire.reply()).body == b"abc"
                await wire.send(later[cut:])
                assert (await wire.reply()).body == b"defg"
    assert left == []
