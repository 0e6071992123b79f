"""Answers that dlr reads without aiohttp.

aiohttp's parser and streams took half of the event loop's time for a push. Most answers come whole
and have nothing odd about them; those are read at a glance. Whatever is read so must be what
aiohttp would have read: a push that is taken for acknowledged and is not would be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from unittest.mock import Mock

import pytest
from aiohttp.client_proto import ResponseHandler
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.pushing.exchange import HEADER_MOST, HEADERS_MOST
from dispatcher.pushing.plain_answer import PlainAnswer, plain_answer

OK = b"HTTP/1.1 200 OK\r\n"


async def read_by_aiohttp(piece: bytes) -> PlainAnswer | None:
    """What aiohttp makes of the piece; None when it is not one whole answer on a connection that
    can be used again."""
    protocol = ResponseHandler(asyncio.get_running_loop())
    protocol.connection_made(Mock(asyncio.Transport))
    protocol.set_response_params(
        read_until_eof=True,
        auto_decompress=False,
        max_line_size=HEADER_MOST,
        max_field_size=HEADER_MOST,
        max_headers=HEADERS_MOST,
    )
    protocol.data_received(piece)
    if protocol.exception() is not None or len(protocol) != 1:
        return None
    head, content = await protocol.read()
    if head.code < 200 or not content.is_eof() or protocol.should_close:
        return None
    body = b"".join([chunk async for chunk in content.iter_any()])
    return PlainAnswer(head.code, head.headers.get("Retry-After"), body)


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (b"Content-Length: 2\r\n", b"OK"),
        (b"content-length:0\r\n", b""),
        (b"Server: nginx/1.27\r\nConnection: keep-alive\r\nContent-Length: 5\r\n", b"a\r\n\0\xff"),
    ],
)
def test_is_read(fields: bytes, body: bytes) -> None:
    """The answers of common servers are plain, whatever their body is."""
    assert plain_answer(OK + fields + b"\r\n" + body) == PlainAnswer(200, None, body)


def test_a_204_is_read() -> None:
    """So is the shortest, and a refusal with the time that it asks for."""
    assert plain_answer(b"HTTP/1.1 204 No Content\r\n\r\n") == PlainAnswer(204, None, b"")
    busy = b"HTTP/1.1 503 Busy\r\nretry-after: 120\r\nContent-Length: 0\r\n\r\n"
    assert plain_answer(busy) == PlainAnswer(503, "120", b"")


@pytest.mark.parametrize(
    "piece",
    [
        OK,
        OK + b"\r\nOK",
        OK + b"Content-Length: 3\r\n\r\nOK",
        OK + b"Content-Length: 1\r\n\r\nOK",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nOK",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nOK",
        OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nOK",
        OK + b"Content-Length: 2\r\nConnection: keep-alive, close\r\n\r\nOK",
        OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nOK",
        OK + b"X: \xe9\r\nContent-Length: 2\r\n\r\nOK",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nOK",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nOK",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nOK",
        OK + b"Content-Length: 20000\r\n\r\n" + b"x" * 20_000,
    ],
)
def test_is_left_to_aiohttp(piece: bytes) -> None:
    """What is odd, cut, or ends the connection is not read at a glance."""
    assert plain_answer(piece) is None


LINES = st.sampled_from(
    [
        *(b"Content-Length: 2", b"content-length:0", b"Content-Length: 02", b"CONTENT-LENGTH: +2"),
        *(
            b"Connection: keep-alive",
            b"Connection: close",
            b"connection:Keep-Alive ",
            b"Upgrade: x",
        ),
        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Content-Encoding: gzip"),
        *(
            b"Retry-After: 7",
            b"Retry-After:8 ",
            b"X-A: b",
            b"X_A: :",
            b" X: y",
            b"X : y",
            b"X:",
            b"X",
        ),
        *(b"Keep-Alive: timeout=5", b"Content-Length: 1\x0b", b"X: \x7f"),
    ]
)
STATUSES = st.sampled_from(
    [b"200 OK", b"204 ", b"205 x", b"299 ", b"304 x", b"404", b"100 x", b"503 B"]
)


@given(
    st.sampled_from([b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/1.2 "]),
    STATUSES,
    st.lists(LINES, max_size=4),
    st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
    st.one_of(st.sampled_from([b"", b"OK", b"2\r\nOK\r\n0\r\n\r\n"]), st.binary(max_size=8)),
)
@example(b"HTTP/1.1 ", b"200 OK", [b"Content-Length: 2"], b"\r\n", b"OK")
def test_as_aiohttp_reads_it(
    version: bytes, status: bytes, lines: Sequence[bytes], end: bytes, body: bytes
) -> None:
    """What is read at a glance is what aiohttp reads, for whatever a server says."""
    piece = end.join([version + status, *lines, b"", b""]) + body
    plain = plain_answer(piece)
    if plain is not None:
        assert plain == asyncio.run(read_by_aiohttp(piece))


@given(st.binary(max_size=40))
def test_any_fields(fields: bytes) -> None:
    """The same with any bytes among the fields."""
    piece = OK + fields + b"\r\nContent-Length: 2\r\n\r\nOK"
    plain = plain_answer(piece)
    if plain is not None:
        assert plain == asyncio.run(read_by_aiohttp(piece))
