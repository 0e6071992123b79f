"""Replays on a clock that is moved by hand: the bench, and the words for what was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.sqlite.replays import SqliteReplays
from dispatcher.replay.base import ReplayStore
from dispatcher.replay.feeder import Feeder
from dispatcher.replay.replay import Item, Replay
from dispatcher.replay.replaying import Replaying
from dispatcher.replay.request import read_request
from dispatcher.storage import new_id
from receiver.store.instants import micros
from receiver.store.sqlite.database import Database
from tests.dispatcher.support import Bench, a_bench, an_endpoint


class Fixed:
    """Implements feeder.Endpoints for endpoints that stay as they are."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self.given = {each.name: each for each in endpoints}
        self.removed: list[str] = []

    async def endpoints(self) -> list[Endpoint]:
        return list(self.given.values())

    async def all(self) -> dict[str, Endpoint]:
        return self.given

    async def remove(self, name: str) -> int:
        self.removed.append(name)
        self.given.pop(name, None)
        return 0


class AsRead:
    """A store of replays that finds this one unfinished, as it was."""

    def __init__(self, replays: ReplayStore, replay: Replay) -> None:
        self._replays = replays
        self._replay = replay

    def __getattr__(self, name: str) -> Any:
        return getattr(self._replays, name)

    async def unfinished(self) -> list[Replay]:
        return [self._replay]


class ReplayBench:
    """A bench with replays."""

    def __init__(self, bench: Bench, *endpoints: Endpoint) -> None:
        self.bench = bench
        self.known = Fixed(endpoints)
        self.replays = bench.storage.replays
        self.selector = bench.storage.selector
        self.replaying = Replaying(self.replays, self.selector, self.known.all, bench.clock.now)
        self.feeder = self.another_feeder()

    @property
    def database(self) -> Database:
        return self.bench.database

    def another_feeder(self, database: Any = None) -> Feeder:
        """As in another process, or after a restart; on what stands for a Database, if given."""
        replays = self.replays if database is None else SqliteReplays(database, new_id)
        return Feeder(replays, self.known, self.bench.clock.now)

    def feeder_that_read(self, replay: Replay) -> Feeder:
        """One that has read how far the replay is, and is slower than others from there on."""
        return Feeder(
            cast(ReplayStore, AsRead(self.replays, replay)), self.known, self.bench.clock.now
        )

    async def ask(self, **asked: Any) -> Replay:
        """A replay of what was asked for, in the words of the API."""
        request, _ = read_request(asked, self.bench.clock.now())
        return (await self.replaying.make(request, from_outside=False)).replay

    async def select(self, **asked: Any) -> list[tuple[int, str]]:
        """What a selection comes to: reports, each with its endpoint."""
        request, _ = read_request(asked, self.bench.clock.now())
        items, _ = await self.selector.resolve(request.selection, None, set(self.known.given))
        return [(item.report, item.endpoint) for item in items]

    async def exhaust(self, number: int, gap: timedelta = timedelta(0)) -> None:
        """So many reports come in, each a `gap` after the one before, and none can be brought.
        Then a second goes by, in which nothing is tried."""
        self.bench.sender.always(503)
        for _ in range(number):
            await self.bench.receive()
            await self.bench.work()
            self.bench.clock.advance(gap)
        await self.bench.run_until_idle()
        self.bench.clock.advance(timedelta(seconds=1))
        self.bench.sender.pushes.clear()
        self.bench.sender.always(200)

    async def feed(self) -> int:
        """Look until nothing more may go at this instant. Returns how many were fed."""
        total = 0
        while fed := await self.feeder.look():
            total += fed
        return total

    async def run(self, most: int = 10_000, step: timedelta = timedelta(seconds=0.1)) -> None:
        """Feed and push, moving the clock by a step, until no replay runs."""
        for _ in range(most):
            await self.feed()
            await self.bench.work()
            if all(each.state != "running" for each in await self.replays.all()):
                return
            self.bench.clock.advance(step)
        raise AssertionError("the replay does not end")

    async def now_at(self, replay: Replay) -> Replay:
        return await self.replays.one(replay.id)

    async def items(self, replay: Replay) -> list[Item]:
        return await self.replays.following(replay, 10_000)

    async def unlink(self, *reports: int) -> None:
        """As retention or an erasure does: these reports go."""

        def delete(connection: Any) -> None:
            for report in reports:
                connection.execute("DELETE FROM report WHERE id = ?", (report,))

        await self.database.write(delete)

    async def dispatched(self, replay: Replay) -> list[int]:
        """The reports in its dispatches, in the order in which they were fed."""
        rows = await self.database.read(
            lambda c: c.execute(
                "SELECT report FROM dispatch JOIN dispatch_report ON dispatch = id"
                " WHERE replay = ? ORDER BY id, report",
                (replay.id,),
            ).fetchall()
        )
        return [report for (report,) in rows]

    @property
    def micros(self) -> int:
        return micros(self.bench.clock.now())


@asynccontextmanager
async def a_replay_bench(*endpoints: Endpoint) -> AsyncIterator[ReplayBench]:
    """For these endpoints (by default: Acme, one report a push)."""
    known = endpoints or (an_endpoint(bucket_size=1),)
    async with a_bench(*known) as bench:
        yield ReplayBench(bench, *known)
