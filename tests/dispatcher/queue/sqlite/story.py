"""A story in which everything happens to dispatches that can happen to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.endpoints.registry import Registry
from dispatcher.queue.base import Forming, Lease, Leased
from dispatcher.queue.sqlite.endpoints import SqliteEndpoints
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.queue.sqlite.replays import SqliteReplays
from dispatcher.queue.sqlite.retention import QueueRetention
from dispatcher.replay.base import Portion
from dispatcher.replay.items import Items
from dispatcher.replay.replay import Replay
from dispatcher.replay.request import Request, Selection
from dispatcher.settings.settings import EndpointSettings
from dispatcher.storage import new_id
from receiver.store.base import StoredReport
from receiver.store.migrations import Migration
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.sqlite.store import SqliteStore
from tests.contracts.dispatch_queue import a_bucket, a_record, a_report
from tests.contracts.report_store import a_callback, an_sms

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

ACME = Endpoint(name="acme", url="http://acme.example/", ordered=True)
BETA = Endpoint(name="beta", url="http://beta.example/")


class Story:
    """Dispatches of Acme (in order) and Beta, by themselves and for replays, in two halves."""

    def __init__(self, database: Database, queue: SqliteQueue) -> None:
        self.database = database
        self.queue = queue
        self.store = SqliteStore(database)
        self.replays = SqliteReplays(database, new_id)
        of_file = [EndpointSettings(name=each.name, url=each.url) for each in (ACME, BETA)]
        self.registry = Registry(SqliteEndpoints(database), of_file)

    async def first_half(self) -> None:
        """Ends with dispatches in each state, and reports held by themselves and for a replay."""
        store = self.store
        items = [an_sms(f"m{n}") for n in range(6)]
        later = [an_sms("m0", status="EXPIRED_EXPIRED"), an_sms("m1", status="EXPIRED_EXPIRED")]
        await store.add([a_callback(*items, *later)])
        self.keys = {r.id: r.message_key for r in await store.reports_after(0, 100)}
        await self.queue.adopt([ACME, BETA])
        done, lost, gone, late = await self.form(ACME, 0, [1], [2], [3], [4], hold=[7, 8])
        await self.queue.record([a_record(done, "acknowledged", status=200)])
        await self.queue.record([a_record(lost, "exhausted"), a_record(gone), a_record(late)])
        await self.queue.cancel(gone.name)
        self.of_beta = await self.form(BETA, 0, [1, 2], [3])
        self.first = await self.replay([1, 2, 3, 5, 7])
        assert await self.feed(self.first, [1, 2], [5], hold=[7])
        self.second = await self.replay([3, 6])
        assert await self.feed(self.second, [3], [6])
        (of_first, *_) = self.claimed = await self.claim(NOON, room=3)
        await self.queue.record([a_record(of_first, due_at=NOON + MINUTE)])

    def goes_on_as(self, other: Story) -> None:
        """Its first half was told on another database: this one has all of it already."""
        self.keys, self.of_beta, self.claimed = other.keys, other.of_beta, other.claimed
        self.first, self.second = other.first, other.second

    async def second_half(self) -> None:
        """Leases come back to an ended replay and to a removed endpoint; what has ended goes."""
        _, *open_ones = self.claimed
        await self.queue.record([a_record(open_ones[0], "acknowledged", status=200)])
        await self.replays.end(self.second.id, "cancelled", NOON)
        await self.queue.record([a_record(open_ones[1])])
        await self.registry.remove("beta")
        await self.queue.release(self.of_beta[:1])
        await self.queue.record([a_record(self.of_beta[1], due_at=NOON + 2 * MINUTE)])
        for again in await self.claim(NOON + MINUTE, room=9):
            await self.queue.record([a_record(again, "exhausted")])
        freed = await self.queue.freed("acme", 9)
        last = await self.form(ACME, 8, *([freed] if freed else []), freed=freed)
        await self.queue.record([a_record(each, "acknowledged", status=200) for each in last])
        await self.replays.end(self.first.id, "stopped", NOON)

    async def purge(self) -> None:
        retention = QueueRetention(self.database)
        await retention.purge_dispatches(before=NOON + MINUTE, most=0, pause=no_pause)

    async def form(
        self,
        endpoint: Endpoint,
        read_from: int,
        *buckets: list[int],
        hold: list[int] | None = None,
        freed: list[int] | None = None,
    ) -> list[Leased]:
        forming = Forming(
            endpoint,
            read_from,
            8,
            [a_bucket(endpoint, map(self._report, bucket)) for bucket in buckets],
            [b"{}"] * len(buckets),
            hold=[self._report(report) for report in hold or []],
            freed=freed or [],
        )
        leases = {endpoint.name: Lease("t", NOON + MINUTE)}
        return await self.queue.form(NOON, leases, [forming])

    def _report(self, report: int) -> StoredReport:
        return a_report(report, self.keys[report])

    async def replay(self, reports: list[int]) -> Replay:
        items = Items()
        for report in reports:
            items.add(report, "acme", 0)
        request = Request(selection=Selection(ids=tuple(reports)), to_endpoint="acme")
        return (await self.replays.create(request, items, NOON, from_outside=False))[0]

    async def feed(
        self, replay: Replay, *buckets: list[int], hold: list[int] | None = None
    ) -> bool:
        fed = sum(map(len, buckets)) + len(hold or [])
        # Acme keeps the order; these messages are taken for others, which nothing holds up.
        forming = Forming(
            ACME,
            0,
            0,
            [a_bucket(ACME, [a_report(r, 100 + r) for r in bucket]) for bucket in buckets],
            [b"{}"] * len(buckets),
            hold=[a_report(report, 100 + buckets[0][0]) for report in hold or []],
        )
        portion = Portion(
            replay=replay.id,
            fed_from=0,
            fed_to=fed,
            dropped=0,
            anchor_at=NOON,
            formings=[forming],
        )
        return await self.replays.feed(portion, NOON)

    async def claim(self, at: datetime, room: int) -> list[Leased]:
        return await self.queue.claim_due(at, {"acme": Lease("u", at)}, {"acme": room})


async def no_pause() -> None: ...


OLD = Path(__file__).parents[3] / "data" / "databases"
"""Databases of earlier schemas in which the first half was told, by the programs of then."""


async def an_old_story(schema: int) -> Story:
    """The first half as a database of this schema has it. It is not migrated yet."""
    database = await Database.open(":memory:")
    dump = (OLD / f"queue_at_{schema:04}.sql").read_text()
    # A dump has its own transaction.
    await database.read(lambda c: c.executescript(f"{dump} BEGIN;").close())
    return Story(database, await SqliteQueue.open(database, lambda: "db", new_id))


async def a_story(*migrations: Migration) -> Story:
    database = await Database.open(":memory:")
    await database.migrate([*STORE_MIGRATIONS, *migrations])
    return Story(database, await SqliteQueue.open(database, lambda: "db", new_id))
