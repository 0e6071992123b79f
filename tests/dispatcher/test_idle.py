"""A process with nothing to do leaves its database alone.

It asked it 28 times a second: five looks of the loop with three questions each, ten of the feeder
of replays, two of the read model, and one for leases that had run out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.replay.feeder import AHEAD
from dispatcher.service import Parts, service
from dispatcher.settings.settings import EndpointSettings
from receiver.store.sqlite.database import Database
from tests.contracts.report_store import an_sms
from tests.dispatcher.observe.test_metrics import posted, settings

LOOKS = 10
BESIDE_A_SECOND = 1
"""The most round trips to the database of an idle process, beside one for each look of its loop, of
which there are five a second: six."""

STILL = 5
"""After so many looks in a row with nothing beside them, what followed the last change is over."""


@dataclass(frozen=True, slots=True)
class Idle:
    """What went to the database beside the looks, and how long it took. Looks are counted, and not
    timed: on a slow machine they come later."""

    looks: int
    beside: list[str]
    seconds: float

    def is_left_alone(self) -> bool:
        return self.looks <= LOOKS and len(self.beside) <= BESIDE_A_SECOND * self.seconds


class RoundTrips:
    """Counts what goes to the database, and is told of each look of the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        self.looks = asyncio.Semaphore(0)
        for name in ("read", "look", "question", "write", "write_unflushed"):
            monkeypatch.setattr(Database, name, self._counted(getattr(Database, name)))
        news, looks = SqliteQueue.news, self.looks

        async def told(queue: SqliteQueue, now: Any) -> Any:
            found = await news(queue, now)
            looks.release()
            return found

        monkeypatch.setattr(SqliteQueue, "news", told)

    def _counted(self, method: Any) -> Any:
        async def counted(database: Database, work: Any, **options: Any) -> Any:
            self.made.append(getattr(work, "__qualname__", ""))
            return await method(database, work, **options)

        return counted

    async def look(self, times: int) -> Idle:
        """What goes to the database during so many looks."""
        self.made.clear()
        begun = time.monotonic()
        for _ in range(times):
            await self.looks.acquire()
        beside = [name for name in self.made if not name.startswith("SqliteQueue.news")]
        return Idle(len(self.made) - len(beside), beside, time.monotonic() - begun)

    async def while_idle(self) -> Idle:
        """What goes to the database during LOOKS looks, after those that follow the last change."""
        still = 0
        for _ in range(10 * STILL):
            still = 0 if (await self.look(1)).beside else still + 1
            if still == STILL:
                break
        return await self.look(LOOKS)


@asynccontextmanager
async def an_endpoint_that_answers() -> AsyncIterator[str]:
    app = web.Application()

    async def acknowledge(_: web.Request) -> web.Response:
        return web.Response()

    app.router.add_post("/", acknowledge)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


@pytest.mark.parametrize("parts", [Parts(), Parts(receives=False), Parts(sandbox=True)])
async def test_an_idle_process_makes_six_round_trips_a_second_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Parts
) -> None:
    """Whatever it does, and with a dispatch that waits for its retry."""
    trips = RoundTrips(monkeypatch)
    refused = EndpointSettings(name="acme", url="http://127.0.0.1:9/")
    async with service(replace(settings(tmp_path), endpoint=(refused,)), parts=parts) as running:
        if parts.receives:
            await posted(running.url, msgspec.json.encode({"results": [an_sms("m")]}))
        idle = await trips.while_idle()

    assert idle.is_left_alone(), idle


@pytest.mark.parametrize(
    ("asked", "full"), [({}, False), ({"rate": "1/h"}, False), ({"pace": "original"}, True)]
)
async def test_a_replay_that_waits_leaves_the_database_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], full: bool
) -> None:
    """It waits for its dispatches to end, for its pace, or for an endpoint that has enough before
    it. It was looked at ten times a second, with two or three questions each."""
    monkeypatch.setattr("dispatcher.replay.feeder.AHEAD", 0 if full else AHEAD)
    trips = RoundTrips(monkeypatch)
    refused = EndpointSettings(name="acme", url="http://127.0.0.1:9/")
    async with service(replace(settings(tmp_path), endpoint=(refused,))) as running:
        items = [an_sms(f"m{number}") for number in range(3)]
        await posted(running.url, msgspec.json.encode({"results": items}))
        replay = {"source": "default", "toEndpoint": "acme", **asked}
        await posted(running.url, msgspec.json.encode(replay), "/api/replays")
        (unfinished,) = await running.storage.replays.unfinished()
        idle = await trips.while_idle()

    assert unfinished.total == 3
    assert idle.is_left_alone(), idle


async def test_a_callback_and_its_push_take_few_round_trips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the callback until all is quiet, besides the looks of an idle process, the read model,
    the counts of attempts and the list of endpoints, which follow in their own time: stored; asked
    what is pending, read, formed; asked, recorded, asked; and once more for each look that has seen
    that something was committed, which is one where the push takes less time than is between two
    looks. These were twelve."""
    trips = RoundTrips(monkeypatch)
    async with an_endpoint_that_answers() as url:
        good = EndpointSettings(name="acme", url=url)
        async with service(replace(settings(tmp_path), endpoint=(good,))) as running:
            await trips.while_idle()
            trips.made.clear()
            await posted(running.url, msgspec.json.encode({"results": [an_sms("m")]}))
            for _ in range(LOOKS):
                await trips.looks.acquire()
            made = list(trips.made)

    asked = [at for at, name in enumerate(made) if "SqliteQueue.pending" in name]
    looks = [name for name in made[: asked[-1]] if "SqliteQueue.news" in name]
    beside = ("news", "pending", "Follower", "SqliteActivity", "_stored", "work_for")
    done = [name for name in made if not any(each in name for each in beside)]
    assert [name.split(".<locals>")[0] for name in done] == [
        "SqliteStore.add",
        "SqliteOutbox.reports_after",
        "SqliteQueue.form",
        "SqliteQueue.record",
    ]
    assert len(asked) <= 3 + len(looks), made
