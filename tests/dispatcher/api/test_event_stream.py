"""GET /api/events: reports and attempts as they happen, resumed where a reader left off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from dispatcher.api.attempt_track import AttemptTrack
from receiver.answers import errors_as_json
from receiver.api.event_stream import EventStream, ReportTrack, Track
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import Bench, a_bench, an_endpoint

Event = dict[str, Any]


class Reader:
    """A client of the stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def block(self) -> dict[str, str]:
        """The fields of what comes next, up to a blank line."""
        fields = {}
        while (line := (await self._response.content.readline()).decode()) not in ("\n", ""):
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
        return fields

    async def events(self, number: int) -> list[Event]:
        """The next so many events; comments are passed over."""
        found: list[Event] = []
        while len(found) < number:
            fields = await self.block()
            assert fields, "the stream has ended"
            if "data" in fields:
                data = json.loads(fields["data"])
                found.append({"id": fields["id"], "type": fields["event"], "data": data})
        return found

    async def ended(self) -> None:
        assert await self.block() == {}


class Served:
    """A bench whose events can be read."""

    def __init__(self, bench: Bench, stream: EventStream, app: web.Application, url: str) -> None:
        self.bench = bench
        self.stream = stream
        self.app = app
        self.url = url

    @asynccontextmanager
    async def reader(self, query: str = "", after: str | None = None) -> AsyncIterator[Reader]:
        headers = {} if after is None else {"Last-Event-ID": after}
        async with (
            asyncio.timeout(30),
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{self.url}/api/events{query}") as response,
        ):
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"].startswith("text/event-stream")
            reader = Reader(response)
            assert "connected" in (await reader.block()).popitem()[1]
            yield reader

    async def status(self, query: str = "", after: str = "") -> int:
        async with (
            aiohttp.ClientSession(headers={"Last-Event-ID": after}) as session,
            session.get(f"{self.url}/api/events{query}") as response,
        ):
            return response.status

    async def receive(self, *message_ids: str, **said: Any) -> None:
        await self.bench.receive(*(an_sms(message_id) for message_id in message_ids), **said)
        self.stream.wake()

    async def work(self) -> None:
        await self.bench.work()
        self.stream.wake()


@asynccontextmanager
async def serving(bench: Bench, readers: int = 20) -> AsyncIterator[Served]:
    tracks: list[Track] = [ReportTrack(bench.store), AttemptTrack(bench.storage.history)]
    stream = EventStream(tracks, readers=readers)
    app = web.Application(middlewares=[web.middleware(errors_as_json)])
    stream.add_routes(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Served(bench, stream, app, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with a_bench(an_endpoint("acme"), an_endpoint("other")) as bench, serving(bench) as each:
        yield each


def message_ids(events: list[Event]) -> list[str]:
    return [event["data"]["report"]["messageId"] for event in events]


async def test_reports_and_attempts_come_as_they_happen(served: Served) -> None:
    """A reader sees the report and then the attempts that bring it, and nothing of before."""
    await served.receive("before")
    await served.work()
    async with served.reader() as reader:
        await served.receive("m1")
        (report,) = await reader.events(1)
        await served.work()
        attempts = await reader.events(2)

    assert (report["type"], message_ids([report])) == ("report", ["m1"])
    assert [event["type"] for event in attempts] == ["attempt", "attempt"]
    assert {event["data"]["endpoint"] for event in attempts} == {"acme", "other"}
    assert {event["data"]["outcome"] for event in attempts} == {"acknowledged"}


async def test_a_reader_goes_on_where_it_left_off(served: Served) -> None:
    """With Last-Event-ID the next events come first, whatever has happened since, none twice."""
    async with served.reader() as reader:
        await served.receive("m1", "m2")
        first, _ = await reader.events(2)
    await served.work()
    await served.receive("m3")

    async with served.reader(after=first["id"]) as again:
        found = await again.events(4)

    assert message_ids([e for e in found if e["type"] == "report"]) == ["m2", "m3"]
    assert [e["data"]["number"] for e in found if e["type"] == "attempt"] == [1, 1]


async def test_everything_from_the_beginning(served: Served) -> None:
    """`r0.a0` is the cursor of a reader who has seen nothing."""
    await served.receive("m1", "m2")
    await served.work()

    async with served.reader(after="r0.a0") as reader:
        found = await reader.events(4)

    assert [event["id"] for event in found] == ["r1.a0", "r2.a0", "r2.a1", "r2.a2"]


async def test_types_choose(served: Served) -> None:
    """With `types=attempt` no report comes."""
    await served.receive("m1")
    await served.work()

    async with served.reader("?types=attempt", after="r0.a0") as reader:
        found = await reader.events(2)

    assert [event["type"] for event in found] == ["attempt", "attempt"]


async def test_source_and_endpoint_choose(served: Served) -> None:
    """`source` chooses among reports, `endpoint` among attempts."""
    await served.receive("m1", source="eu")
    await served.receive("m2", source="us")
    await served.work()

    async with served.reader("?source=us&endpoint=acme", after="r0.a0") as reader:
        found = await reader.events(2)

    assert message_ids(found[:1]) == ["m2"]
    assert found[1]["data"]["endpoint"] == "acme"


async def test_many_events_come_page_by_page(served: Served) -> None:
    """What is more than a page comes whole and in order."""
    names = [f"m{number}" for number in range(450)]
    await served.receive(*names)

    async with served.reader("?types=report", after="r0") as reader:
        assert message_ids(await reader.events(450)) == names


@pytest.mark.parametrize("query", ["?types=reports", "?typ=report", "?types="])
async def test_a_wrong_filter_is_refused(served: Served, query: str) -> None:
    """A misspelt filter is 400: one that is ignored would show too much."""
    assert await served.status(query) == 400


@pytest.mark.parametrize("after", ["7", "x7", "r", "r-1", "r1.a", "r" + "9" * 19])
async def test_a_wrong_cursor_is_refused(served: Served, after: str) -> None:
    """An id that is none of ours is 400: to begin somewhere else would lose events in silence."""
    assert await served.status(after=after) == 400


async def _until(holds: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Let the server work until it has noticed."""
    async with asyncio.timeout(30):
        while not holds():
            meanwhile()
            await asyncio.sleep(0)


async def test_readers_are_limited() -> None:
    """One reader too many is told to come again, and a place that is free is given away again."""
    async with a_bench() as bench, serving(bench, readers=1) as served:
        async with served.reader():
            assert await served.status() == 503
        await served.receive("m1")
        await _until(lambda: not served.stream.readers, served.stream.wake)
        async with served.reader():
            assert served.stream.readers == 1


async def test_a_reader_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader whose connection takes nothing is cut, and nobody else waits for it."""
    monkeypatch.setattr("receiver.api.event_stream.SEND_SECONDS", 0.05)
    async with a_bench() as bench, serving(bench, readers=2) as served:
        await served.receive(*(f"m{number}" for number in range(100)))
        slow_reader, slow_writer = await asyncio.open_connection(
            "127.0.0.1", int(served.url.rpartition(":")[2]), limit=1
        )
        slow_writer.write(b"GET /api/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: r0\r\n\r\n")
        await _until(lambda: served.stream.readers == 1)
        large = "x" * 60_000
        for number in range(200):
            await served.receive(f"{number}-{large}")
        async with served.reader(after="r0") as quick:
            assert len(await quick.events(300)) == 300
        await _until(lambda: not served.stream.readers, served.stream.wake)
        slow_writer.close()
        del slow_reader


async def test_an_orderly_stop_ends_the_streams(served: Served) -> None:
    """When the application stops, readers see the end of the stream and nobody waits for them."""
    async with served.reader() as reader:
        await served.app.shutdown()
        await reader.ended()


async def test_a_service_tells_what_it_takes(tmp_path: Path) -> None:
    """In `dlr serve` a callback is an event of the stream."""
    from dispatcher.service import service
    from tests.dispatcher.observe.test_metrics import posted, settings
    from tests.receiver.payloads import a_json_body

    async with (
        service(settings(tmp_path)) as running,
        asyncio.timeout(30),
        aiohttp.ClientSession() as session,
        session.get(f"{running.url}/api/events") as response,
    ):
        reader = Reader(response)
        await reader.block()
        await posted(running.url, a_json_body(an_sms("m1")))
        assert message_ids(await reader.events(1)) == ["m1"]
