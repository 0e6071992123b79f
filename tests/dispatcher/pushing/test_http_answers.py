"""What the rules need of an answer, on real sockets: Retry-After, plain bodies, resets."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from dispatcher.pushing.http_sender import HttpSender
from dispatcher.retrying.outcome import Answer, Outcome, judge
from tests.dispatcher.pushing.test_http_sender import listening, request_of, saying
from tests.dispatcher.support import a_push, an_endpoint

HEAD = b"HTTP/1.1 200 OK\r\n"


async def attempt(url: str) -> Answer:
    async with HttpSender() as sender:
        return await sender.send(a_push(url), an_endpoint())


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (b"Retry-After: 120\r\n", "120"),
        (
            b"retry-after: Sat, 21 Nov 2026 10:05:00 GMT\r\n",
            "Sat, 21 Nov 2026 10:05:00 GMT",
        ),
        (b"", None),
    ],
)
async def test_retry_after_is_told(header: bytes, kept: str | None) -> None:
    """An answer carries its Retry-After as it came, in whatever case it was written."""
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n"
    async with listening(saying(head + header + b"\r\n")) as url:
        told = await attempt(url)

    assert (told.status, told.retry_after) == (503, kept)


async def test_asks_for_a_plain_answer() -> None:
    """A push asks for an answer that is not packed: a packed one could not be matched or read."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await request_of(reader))
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
        await writer.drain()

    async with listening(listen) as url:
        await attempt(url)

    assert b"accept-encoding: identity\r\n" in heard[0].lower()


@pytest.mark.parametrize(
    "said",
    [HEAD, HEAD + b"Content-Length: 9\r\n\r\n", HEAD + b"Content-Length: 9\r\n\r\nhalf"],
    ids=["after the status line", "after the head", "within the body"],
)
async def test_reset_in_the_middle_of_an_answer(said: bytes) -> None:
    """A reset behind a status takes nothing back: the status line decides. What else the answer was
    to say is told to be missing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(said)
        await writer.drain()
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with listening(serve) as url:
        told = await attempt(url)

    assert (told.status, told.failure) == (200, Outcome.BROKEN_OFF)
    assert judge(told) is Outcome.ACKNOWLEDGED
    assert told.note
    assert told.error is None
