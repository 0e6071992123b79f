"""Answers that say 200 and are odd besides.

Customers answered 200 or 204 with a Content-Security-Policy of 10 KB, 200 headers, a body behind
the 204, the same length twice, or a body that broke off. curl takes all of them. aiohttp refuses
the answer as a whole, so each push was made 21 times in 41:30 h, and then given up, although the
customer had it since the first. The status line decides; the note says what was odd.
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.expressions import Expression
from dispatcher.pushing.exchange import HEAD_MOST, head_of
from dispatcher.pushing.http_sender import ANSWER_KEPT, HttpSender
from dispatcher.retrying.outcome import Answer, Outcome, OutcomeRules, judge
from tests.dispatcher.pushing.test_http_sender import Serve, listening, request_of, saying
from tests.dispatcher.support import a_push, an_endpoint

HEAD = b"HTTP/1.1 200 OK\r\n"
OK = b"Content-Length: 2\r\n\r\nOK"
SAYS_OK = OutcomeRules(body_matches=Expression("^OK$"))


async def attempt(serve: Serve, seconds: float = 30) -> Answer:
    limit = timedelta(seconds=seconds)
    endpoint = an_endpoint(connect_timeout=limit, read_timeout=limit)
    async with listening(serve) as url, HttpSender() as sender:
        return await sender.send(a_push(url), endpoint)


# --- what aiohttp takes when it is told to -------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Security-Policy: " + b"default-src https://a.example; " * 340 + b"\r\n",
        b"A: " + b"x" * 64 * 1024 + b"\r\n",
        b"A" * 64 * 1024 + b": x\r\n",
        b"".join(b"X-H%d: y\r\n" % n for n in range(200)),
        b"".join(b"Set-Cookie: c%d=%s\r\n" % (n, b"x" * 400) for n in range(60)),
    ],
    ids=["10 KB", "64 KB", "name of 64 KB", "200 headers", "60 cookies"],
)
async def test_large_heads(headers: bytes) -> None:
    """A large head is an answer like any other: nothing is odd, and its body can be matched."""
    told = await attempt(saying(HEAD + headers + OK))

    assert (told.status, told.failure, told.body, told.note) == (200, None, b"OK", None)
    assert judge(told, SAYS_OK) is Outcome.ACKNOWLEDGED


# --- what aiohttp refuses ------------------------------------------------------------------------

REFUSED = {
    "two lengths, the same": HEAD + b"Content-Length: 2\r\n" + OK,
    "a length of two numbers": HEAD + b"Content-Length: 2, 2\r\n\r\nOK",
    "length and chunked": HEAD
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n",
    "a length of words": HEAD + b"Content-Length: many\r\n\r\nOK",
    "a blank before the colon": HEAD + b"X-Frame : DENY\r\n" + OK,
    "a line without a colon": HEAD + b"X-XSS-Protection=1;\r\n" + OK,
    "bytes after the length": HEAD + OK + b"<!-- garbage -->",
    "a thousand headers": HEAD + b"".join(b"X-H%d: y\r\n" % n for n in range(1000)) + OK,
    "a header of 100 KB": HEAD + b"A: " + b"x" * 100_000 + b"\r\n" + OK,
    "lengths that differ": HEAD + b"Content-Length: 3\r\n" + OK,
    "chunks that are none": HEAD + b"Transfer-Encoding: chunked\r\n\r\nOK",
    "204 with a body": b"HTTP/1.1 204 No Content\r\n" + OK,
    "interim answers, then two lengths": b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + HEAD + b"Content-Length: 2\r\n" + OK,
}


@pytest.mark.parametrize("said", REFUSED.values(), ids=REFUSED.keys())
async def test_acknowledged_all_the_same(said: bytes) -> None:
    """Whatever the rest of the answer is, its status acknowledges, and the note says what was odd
    in one line without a byte of the answer."""
    told = await attempt(saying(said))

    assert judge(told) is Outcome.ACKNOWLEDGED
    assert told.status in (200, 204)
    assert told.error is None
    assert told.note
    assert not re.search(r"\n|b'|not HTTP", told.note)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("two lengths, the same", Outcome.ACKNOWLEDGED),
        ("a blank before the colon", Outcome.ACKNOWLEDGED),
        ("bytes after the length", Outcome.ACKNOWLEDGED),
        ("204 with a body", Outcome.ACKNOWLEDGED),
        ("length and chunked", Outcome.NOT_HTTP),
        ("lengths that differ", Outcome.NOT_HTTP),
        ("a length of words", Outcome.NOT_HTTP),
    ],
)
async def test_where_the_body_decides_too(name: str, outcome: Outcome) -> None:
    """With `body_matches` the body must be known: it is where one length is told, and it came."""
    told = await attempt(saying(REFUSED[name]))

    assert judge(told, SAYS_OK) is outcome
    assert judge(told, OutcomeRules(body_matches=Expression("no"))) in (
        Outcome.WRONG_ANSWER,
        Outcome.NOT_HTTP,
    )


async def test_a_refusal_is_a_refusal_too() -> None:
    """Not only a 200 counts: an odd 429 is told with its Retry-After, as the schedule obeys it."""
    odd = b"Retry-After: 120\r\nContent-Length: 2\r\n" + OK
    told = await attempt(saying(b"HTTP/1.1 429 Slow down\r\n" + odd))

    assert (told.status, told.retry_after) == (429, "120")
    assert judge(told) is Outcome.REFUSED
    assert judge(told, OutcomeRules(stop_on=frozenset({429}))) is Outcome.STOPPED


# --- what does not come to its end ---------------------------------------------------------------


def unending(part: bytes) -> Serve:
    """Says the part and nothing more, and keeps the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(part)
        await writer.drain()
        await asyncio.Event().wait()

    return serve


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body of which a byte comes whenever the reader could think that it has ended."""
    await request_of(reader)
    writer.write(HEAD + b"Content-Length: 6000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


CUT = {
    "within the status line's end": HEAD,
    "within the head": HEAD + b"Content-",
    "after the head": HEAD + b"Content-Length: 9\r\n\r\n",
    "within the body": HEAD + b"Content-Length: 9\r\n\r\nhalf",
    "within a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    "before the last chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n",
}


@pytest.mark.parametrize("said", CUT.values(), ids=CUT.keys())
async def test_a_cut_answer(said: bytes) -> None:
    """A connection that ends after the status line has acknowledged, unless the body decides."""
    told = await attempt(saying(said))

    assert (told.status, judge(told)) == (200, Outcome.ACKNOWLEDGED)
    assert judge(told, SAYS_OK) is Outcome.BROKEN_OFF
    assert told.note == "the connection ended before the answer did"


@pytest.mark.parametrize("said", CUT.values(), ids=CUT.keys())
async def test_an_answer_without_end(said: bytes) -> None:
    """So has one that stays open and says no more."""
    told = await attempt(unending(said), 0.1)

    assert (told.status, judge(told)) == (200, Outcome.ACKNOWLEDGED)
    assert judge(told, SAYS_OK) is Outcome.TIMED_OUT
    assert told.note == "the answer was not complete in time"


async def test_a_dripping_answer() -> None:
    """And one that drips: no pause in it is long enough to be a timeout, the attempt's end is."""
    told = await attempt(dripping, 0.1)

    assert (told.status, judge(told)) == (200, Outcome.ACKNOWLEDGED)
    assert judge(told, SAYS_OK) is Outcome.TIMED_OUT
    assert told.note == "the answer was not complete in time"


async def test_a_cut_behind_what_is_kept() -> None:
    """A body whose kept part has come is known, however it ends."""
    said = b"OK" + b" " * ANSWER_KEPT
    told = await attempt(saying(HEAD + b"Content-Length: 9000\r\n\r\n" + said))

    assert judge(told, OutcomeRules(body_matches=Expression("^OK"))) is Outcome.ACKNOWLEDGED
    assert told.note == "the connection ended before the answer did"


async def test_a_status_before_the_push_has_gone_out() -> None:
    """A server may answer before it has read all, and close: that is its answer."""

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too large\r\nContent-Length: 2\r\n" + OK)
        await writer.drain()

    async with listening(hasty) as url, HttpSender() as sender:
        push = a_push(url, body=b"x" * 2**20)
        told = await sender.send(push, an_endpoint())

    assert (told.status, judge(told)) == (413, Outcome.REFUSED)


async def test_a_head_without_end_costs_its_connection() -> None:
    """Of headers without end no more is read than a head may have; the status counts."""
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request_of(reader)
        writer.write(HEAD + b"A: ")
        while sent < 2**28:
            line = b"x" * 60_000 + b"\r\nA: "
            writer.write(line)
            await writer.drain()
            sent += len(line)

    told = await attempt(flood)

    assert (told.status, judge(told)) == (200, Outcome.ACKNOWLEDGED)
    assert sent < HEAD_MOST + 2**23  # and what the sockets' buffers hold


# --- the first bytes of an answer, pure -----------------------------------------------------------


@pytest.mark.parametrize(
    ("heard", "status"),
    [
        (b"HTTP/1.1 200\r\n", 200),
        (b"HTTP/1.1 200 \r\n", 200),
        (b"HTTP/1.0 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", 200),
        (b"\r\nHTTP/1.1 200 OK\r\n", 200),
        (b"HTTP/1.1 999 Odd\r\n", 999),
        (b"HTTP/1.1 101 Switching Protocols\r\n", 101),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\n", 500),
        (b"HTTP/1.1 100 Continue\r\n\r\n", None),
        (b"HTTP/1.1 103 Hints\r\nLink: <a>\r\n", None),
        (b"HTTP/1.1 200 OK", None),
        (b"HTTP/1.1 20", None),
        (b"HTTP/1.1 2000 OK\r\n", None),
        (b"HTTP/1.1 20x OK\r\n", None),
        (b"HTTP/1.1 OK\r\n", None),
        (b"x HTTP/1.1 200 OK\r\n", None),
        (b"SMTP/1.1 200 OK\r\n", None),
        (b"", None),
    ],
)
def test_status(heard: bytes, status: int | None) -> None:
    """A status is known when its whole line came, and interim answers are not it."""
    head = head_of(heard)
    assert (head and head.status) == status


@given(st.binary())
def test_any_bytes(heard: bytes) -> None:
    """Whatever comes is a status or none, and no byte of it is an error of ours."""
    for said in (heard, HEAD + heard, HEAD + b"Content-Length: " + heard):
        head = head_of(said)
        assert head is None or 0 <= head.status <= 999
