"""Connections that are used again, and end just then.

A customer's server closed connections that were idle for 200 ms, and reports came every 200 ms.
Every sixteenth push met the close on its way: it was recorded as broken off, cost a retry, and the
report came a minute late. The push was never read, so it can be sent again at once; and should it
have been read, it has the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest
from aiohttp.connector import Connection
from msgspec.structs import replace

from dispatcher.pushing import exchange
from dispatcher.pushing.exchange import Tap
from dispatcher.pushing.http_sender import COPIED_MOST, HttpSender
from dispatcher.queue.base import Leased
from dispatcher.retrying.outcome import Outcome, judge
from tests.dispatcher.pushing.test_http_sender import Serve, listening, request_of
from tests.dispatcher.support import a_push, an_endpoint

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"

Does = Callable[[int, int], bytes | None]
"""What a server says to a request, by the number of the connection and that of the request on it,
both from 0. None: it closes the connection and says nothing."""


class Server:
    """Answers as it was told, on connections that it keeps."""

    def __init__(self, does: Does) -> None:
        self._does = does
        self.heard: list[tuple[int, bytes]] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        nth = 0
        try:
            while True:
                request = await request_of(reader)
                said = self._does(number, nth)
                self.heard.append((number, request))
                if said is None:
                    return
                writer.write(said)
                await writer.drain()
                nth += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(does: Does) -> AsyncIterator[tuple[str, Server]]:
    server = Server(does)
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/dlr", server


def push(url: str, number: int) -> Leased:
    return replace(a_push(url), webhook_id=f"db-{number}")


def id_of(request: bytes) -> bytes:
    return request.lower().partition(b"webhook-id: ")[2].partition(b"\r\n")[0]


async def test_sent_again_at_once() -> None:
    """A kept connection that closes without a byte costs nothing: the push goes out once more on a
    new connection with the same id, in the same attempt, and the attempt says so."""
    async with (
        serving(lambda number, nth: None if (number, nth) == (0, 1) else OK) as (url, server),
        HttpSender() as sender,
    ):
        first = await sender.send(push(url, 1), an_endpoint())
        second = await sender.send(push(url, 2), an_endpoint())
        third = await sender.send(push(url, 3), an_endpoint())

    assert [judge(each) for each in (first, second, third)] == [Outcome.ACKNOWLEDGED] * 3
    assert [(number, id_of(request)) for number, request in server.heard] == [
        (0, b"db-1"),
        (0, b"db-2"),
        (1, b"db-2"),
        (1, b"db-3"),
    ]
    assert first.note is None
    assert second.note is not None
    assert "sent the request again" in second.note
    assert third.note is None


async def test_all_kept_connections_are_as_old() -> None:
    """After a customer's restart every kept connection is dead. The repeat takes none of them."""

    def restarted(_: int, nth: int) -> bytes | None:
        return None if nth and not restarting.is_set() else OK

    restarting = asyncio.Event()
    restarting.set()
    async with serving(restarted) as (url, server), HttpSender() as sender:
        many = [sender.send(push(url, n), an_endpoint()) for n in range(5)]
        assert {judge(each) for each in await asyncio.gather(*many)} == {Outcome.ACKNOWLEDGED}
        kept = server.connections
        restarting.clear()

        told = await sender.send(push(url, 9), an_endpoint())

    assert judge(told) is Outcome.ACKNOWLEDGED
    assert [(number < kept, id_of(request)) for number, request in server.heard[5:]] == [
        (True, b"db-9"),
        (False, b"db-9"),
    ]


async def test_once_and_not_twice() -> None:
    """A second break is an outcome, to be repeated when the schedule says."""
    async with (
        serving(lambda number, nth: None if number or nth else OK) as (url, server),
        HttpSender() as sender,
    ):
        await sender.send(push(url, 1), an_endpoint())
        told = await sender.send(push(url, 2), an_endpoint())

    assert judge(told) is Outcome.BROKEN_OFF
    assert told.note is not None
    assert "sent the request again" in told.note
    assert len(server.heard) == 3


async def test_not_on_a_new_connection() -> None:
    """A server that closes a fresh connection without a word has had its chance."""
    async with serving(lambda _, __: None) as (url, server), HttpSender() as sender:
        told = await sender.send(push(url, 1), an_endpoint())

    assert (judge(told), told.note) == (Outcome.BROKEN_OFF, None)
    assert len(server.heard) == 1


async def test_not_after_a_byte() -> None:
    """When an answer has begun, the push was read. It is not sent again behind the schedule."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said in (OK, b"HTTP/1.1 5"):
            heard.append(id_of(await request_of(reader)))
            writer.write(said)
            await writer.drain()
        writer.close()

    heard: list[bytes] = []
    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as listener,
        HttpSender() as sender,
    ):
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/dlr"
        await sender.send(push(url, 1), an_endpoint())
        told = await sender.send(push(url, 2), an_endpoint())

    assert (judge(told), told.note) == (Outcome.BROKEN_OFF, None)
    assert heard == [b"db-1", b"db-2"]


async def test_not_after_a_timeout() -> None:
    """A server that is silent may be at work. A timeout on a kept connection is no broken one."""
    async with serving(lambda _, nth: b"" if nth else OK) as (url, server), HttpSender() as sender:
        brief = an_endpoint(read_timeout=an_endpoint().read_timeout / 100)
        await sender.send(push(url, 1), brief)
        told = await sender.send(push(url, 2), brief)

    assert (judge(told), told.note) == (Outcome.TIMED_OUT, None)
    assert len(server.heard) == 2


async def test_what_nobody_asked_for_answers_nothing() -> None:
    """A server that says 200 twice does not acknowledge the next push, which it has not read."""
    async with (
        serving(lambda number, _: OK if number else OK + OK) as (url, server),
        HttpSender() as sender,
    ):
        await sender.send(push(url, 1), an_endpoint())
        await asyncio.sleep(0)
        told = await sender.send(push(url, 2), an_endpoint())

    assert judge(told) is Outcome.ACKNOWLEDGED
    assert [number for number, _ in server.heard] == [0, 1]


async def test_what_comes_late_answers_nothing() -> None:
    """Nor does one that says it while the connection is idle."""
    stray = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(id_of(await request_of(reader)))
        writer.write(OK)
        await writer.drain()
        if len(heard) == 1:
            await stray.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            gone.set_result(await reader.read())
        writer.close()

    heard: list[bytes] = []
    gone: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as listener,
        HttpSender() as sender,
    ):
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/dlr"
        await sender.send(push(url, 1), an_endpoint())
        stray.set()
        with suppress(ConnectionError):  # the connection is given up
            assert await asyncio.wait_for(gone, 10) == b""
        told = await sender.send(push(url, 2), an_endpoint())

    assert judge(told) is Outcome.ACKNOWLEDGED
    assert heard == [b"db-1", b"db-2"]


async def test_no_more_kept_than_there_may_be() -> None:
    """When as many connections are open as may be, the one that waits for longest is closed for a
    new one, and the others serve on."""
    closed: list[str] = []

    def named(name: str) -> Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await request_of(reader)
                    writer.write(OK)
                    await writer.drain()
            closed.append(name)
            writer.close()
            if not gone.done():
                gone.set_result(None)

        return serve

    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with (
        listening(named("a")) as a,
        listening(named("b")) as b,
        listening(named("c")) as c,
        HttpSender(connections=2) as sender,
    ):
        for url in (a, b, a, c):
            assert judge(await sender.send(push(url, 1), an_endpoint())) is Outcome.ACKNOWLEDGED
        await asyncio.wait_for(gone, 10)
        assert closed == ["b"]
        told = await sender.send(push(a, 2), an_endpoint())

    assert (judge(told), told.note) == (Outcome.ACKNOWLEDGED, None)


async def test_an_answer_before_the_push_has_gone_costs_the_connection() -> None:
    """A server that answers without reading on may take the rest of the push for the next one. The
    next push is made on a new connection."""

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        await asyncio.Event().wait()

    connections: list[asyncio.StreamWriter] = []
    async with listening(hasty) as url, HttpSender() as sender:
        for number in range(2):
            large = replace(push(url, number), body=b"x" * 2**24)
            assert judge(await sender.send(large, an_endpoint())) is Outcome.ACKNOWLEDGED

    assert len(connections) == 2


async def test_what_nobody_takes_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is ready for a second. Then aiohttp has it, which closes it after a while, and
    gives it out for the next push until then."""
    monkeypatch.setattr(exchange, "READY_SECONDS", 0.001)
    released = asyncio.Event()
    release = Connection.release

    def told(connection: Connection) -> None:
        release(connection)
        released.set()

    monkeypatch.setattr(Connection, "release", told)
    async with serving(lambda *_: OK) as (url, server), HttpSender() as sender:
        for number in range(3):
            await sender.send(push(url, number), an_endpoint())
            await asyncio.wait_for(released.wait(), 10)
            released.clear()

    assert [number for number, _ in server.heard] == [0, 0, 0]


async def test_an_alarm_of_a_push_before_ends_no_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint with little patience and one with much share a URL. The second waits for its own
    time, though the alarm of the first rings on its connection meanwhile."""
    rang = asyncio.Event()
    ring = Tap._ring

    def told(tap: Tap) -> None:
        ring(tap)
        rang.set()

    monkeypatch.setattr(Tap, "_ring", told)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for nth in range(2):
            await request_of(reader)
            if nth:
                await asyncio.wait_for(rang.wait(), 10)
            writer.write(OK)
            await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as listener,
        HttpSender() as sender,
    ):
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/dlr"
        brief = an_endpoint(read_timeout=timedelta(milliseconds=200))
        first = await sender.send(push(url, 1), brief)
        second = await sender.send(push(url, 2), an_endpoint())

    assert [judge(first), judge(second)] == [Outcome.ACKNOWLEDGED] * 2
    assert second.note is None


async def test_large_and_small_bodies_on_one_connection() -> None:
    """A large body is written behind its head, and not copied. What arrives is the same."""
    async with serving(lambda *_: OK) as (url, server), HttpSender() as sender:
        bodies = [b"x" * size for size in (0, 1, COPIED_MOST - 1, COPIED_MOST, 60_000)]
        for number, body in enumerate(bodies):
            told = await sender.send(replace(push(url, number), body=body), an_endpoint())
            assert judge(told) is Outcome.ACKNOWLEDGED

    assert [request.partition(b"\r\n\r\n")[2] for _, request in server.heard] == bodies
    assert {number for number, _ in server.heard} == {0}


async def test_headers_of_two_endpoints_with_one_url() -> None:
    """What a request begins with is remembered for its URL: each endpoint has its own headers."""
    async with serving(lambda *_: OK) as (url, server), HttpSender() as sender:
        for agent in (None, "mine", None, "other"):
            headers = {} if agent is None else {"user-agent": agent}
            await sender.send(push(url, 1), an_endpoint(headers=headers))
        told = await sender.send(push(url, 1), an_endpoint(headers={"a": "b\r\nc: d"}))
        assert "control" in str(told.error)

    said = [request.lower().partition(b"\r\n\r\n")[0].split(b"\r\n") for _, request in server.heard]
    agents = [[line for line in lines if line.startswith(b"user-agent:")] for lines in said]
    assert agents == [[b"user-agent: " + each] for each in (b"dlr", b"mine", b"dlr", b"other")]
