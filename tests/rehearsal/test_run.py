"""A run goes on whatever the webhook does: it dies, comes back, speaks no HTTP, or never ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import web
from msgspec.structs import replace

from dispatcher.rehearsal import Plan, Rehearsal, Target, select
from dispatcher.rehearsal.run import SHOWN_EXCHANGES
from tests.data.webhooks.right_aiohttp import Webhook
from tests.rehearsal.served import SMALL, a_target, listening, result, results


class DiesOnABomb(Webhook):
    """Cuts every connection from the entity bomb on, until it is started again."""

    dead = False

    async def callback(self, request: web.Request) -> web.StreamResponse:
        self.dead = self.dead or b"<!ENTITY" in await request.read()
        if self.dead:
            assert request.transport is not None
            request.transport.abort()
        return await super().callback(request)


async def test_a_check_that_ends_the_webhook() -> None:
    """The check that ended the webhook says so, those behind it are not judged until it is back."""
    webhook = DiesOnABomb()
    bomb, trace, lost = select(["entity-bomb", "no-stack-trace", "answer-lost"])
    async with (
        listening(webhook) as base,
        Rehearsal(a_target(base, verified=False)) as rehearsal,
    ):
        first = await rehearsal.perform(bomb)
        second = await rehearsal.perform(trace)
        webhook.dead = False
        third = await rehearsal.perform(lost)

    assert (first.verdict, second.verdict, third.verdict) == (
        "failed",
        "not judged",
        "answered only",
    )
    assert "since then it takes no plain report" in first.text
    assert second.text.endswith("since the check entity-bomb")


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[str]:
    """A URL where each request is answered with these bytes, and the connection is closed."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answered, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/dlr"
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"],
)
async def test_an_answer_that_is_none(answer: bytes) -> None:
    """What is no whole answer in HTTP is no success, and no error of ours."""
    async with saying(answer) as url:
        found = await results(Target(url=url, plan=SMALL), select(["json-v2", "chunked"]))

    assert [each.verdict for each in found] == ["failed", "not judged"]
    assert "no answer in" in found[0].came[0]


async def test_raw_connections_read_answers_as_clients_do() -> None:
    """A raw connection understands an answer in chunks, behind interim ones, of HTTP/1.0."""
    kinds = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nok",
    )
    for kind in kinds:
        async with saying(kind) as url:
            found = await result(Target(url=url, plan=SMALL), "chunked")
        assert found.came[0].startswith("200, 2 bytes"), (kind, found)


class Endless(Webhook):
    """Begins its answer and never ends it, but for the first."""

    seen = 0

    async def callback(self, request: web.Request) -> web.StreamResponse:
        self.seen += 1
        if self.seen == 1:
            return await super().callback(request)
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"wait for it")
        await asyncio.Event().wait()
        return answer


@pytest.mark.parametrize("name", ["json-v3", "chunked"])
async def test_an_answer_without_end(name: str) -> None:
    """An answer that does not end within the timeout is none, on either kind of connection."""
    plan = replace(SMALL, timeout=timedelta(milliseconds=300))
    async with listening(Endless()) as base:
        found = await result(a_target(base, verified=False, plan=plan), name)

    assert found.verdict == "failed"
    assert "not within 0.3 s" in found.text


async def test_many_exchanges_are_counted() -> None:
    """A result shows the first of many exchanges and counts the rest."""
    async with listening(Webhook()) as base:
        found = await result(a_target(base, verified=False), "fifty-at-once")

    for lines in (found.sent, found.came):
        assert len(lines) == SHOWN_EXCHANGES + 1
        assert lines[-1] == f"… and {50 - SHOWN_EXCHANGES} more"


async def test_what_was_sent_is_shown() -> None:
    """A result shows the beginning of each body, from either kind of connection."""
    async with listening(Webhook()) as base:
        target = a_target(base, verified=False, seed=7, plan=Plan())
        ordinary = await result(target, "json-v3")
        raw = await result(target, "answer-lost")

    assert '"messageId":"rehearsal-7-json-v3-1"' in ordinary.sent[0]
    assert '"messageId":"rehearsal-7-answer-lost-1"' in raw.sent[0]
