"""What follows when a dispatch changes: the table, the triggers that carry it out, and the upgrade
of a database in which other triggers did."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.endpoints.registry import Registry
from dispatcher.queue.base import Formed, Forming, Lease, Leased
from dispatcher.queue.sqlite.endpoints import SqliteEndpoints
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.queue.sqlite.replays import SqliteReplays
from dispatcher.queue.sqlite.retention import QueueRetention
from dispatcher.replay.base import Portion
from dispatcher.replay.items import Items
from dispatcher.replay.replay import Replay
from dispatcher.replay.request import Request, Selection
from dispatcher.retrying.consequences import CONSEQUENCES
from dispatcher.retrying.dispatch import TRANSITIONS
from dispatcher.settings.settings import EndpointSettings
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.sqlite.store import SqliteStore
from tests.contracts.dispatch_queue import a_record
from tests.contracts.report_store import a_callback, an_sms

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

BEFORE = [step for step in QUEUE_MIGRATIONS if step.number < 9]

ACME = Endpoint(name="acme", url="http://acme.example/", ordered=True)
BETA = Endpoint(name="beta", url="http://beta.example/")

EVENTS = {
    "formed": "AFTER INSERT ON dispatch",
    "moved": "AFTER UPDATE OF state ON dispatch",
    "tried": "AFTER UPDATE OF attempts ON dispatch",
    "deleted": "AFTER DELETE ON dispatch",
    "held": "AFTER INSERT ON held_report",
    "let go": "AFTER DELETE ON held_report",
}


# --- a story in which everything happens ---------------------------------------------------------


class Story:
    """Dispatches of Acme (in order) and Beta, by themselves and for replays, in two halves."""

    def __init__(self, database: Database, queue: SqliteQueue) -> None:
        self.database = database
        self.queue = queue
        self.replays = SqliteReplays(database)
        of_file = [EndpointSettings(name=each.name, url=each.url) for each in (ACME, BETA)]
        self.registry = Registry(SqliteEndpoints(database), of_file)

    async def first_half(self) -> None:
        """Ends with dispatches in each state, and reports held by themselves and for a replay."""
        store = SqliteStore(self.database)
        items = [an_sms(f"m{n}") for n in range(6)]
        later = [an_sms("m0", status="EXPIRED_EXPIRED"), an_sms("m1", status="EXPIRED_EXPIRED")]
        await store.add([a_callback(*items, *later)])
        self.keys = {r.id: r.message_key for r in await store.reports_after(0, 100)}
        await self.queue.adopt([ACME, BETA])
        done, lost, gone, late = await self._form(ACME, 0, [1], [2], [3], [4], hold=[7, 8])
        await self.queue.record([a_record(done, "acknowledged", status=200)])
        await self.queue.record([a_record(lost, "exhausted"), a_record(gone), a_record(late)])
        await self.queue.cancel(gone.name)
        self.of_beta = await self._form(BETA, 0, [1, 2], [3])
        self.first = await self._replay([1, 2, 3, 5, 7])
        assert await self._feed(self.first, [1, 2], [5], hold=[7])
        self.second = await self._replay([3, 6])
        assert await self._feed(self.second, [3], [6])
        (of_first, *_) = self.claimed = await self._claim(NOON, room=3)
        await self.queue.record([a_record(of_first, due_at=NOON + MINUTE)])

    async def second_half(self) -> None:
        """Leases come back to an ended replay and to a removed endpoint; what has ended goes."""
        _, *open_ones = self.claimed
        await self.queue.record([a_record(open_ones[0], "acknowledged", status=200)])
        await self.replays.end(self.second.id, "cancelled", NOON)
        await self.queue.record([a_record(open_ones[1])])
        await self.registry.remove("beta")
        await self.queue.release(self.of_beta[:1])
        await self.queue.record([a_record(self.of_beta[1], due_at=NOON + 2 * MINUTE)])
        for again in await self._claim(NOON + MINUTE, room=9):
            await self.queue.record([a_record(again, "exhausted")])
        freed = await self.queue.freed("acme", 9)
        last = await self._form(ACME, 8, *([freed] if freed else []), freed=freed)
        await self.queue.record([a_record(each, "acknowledged", status=200) for each in last])
        await self.replays.end(self.first.id, "stopped", NOON)

    async def purge(self) -> None:
        retention = QueueRetention(self.database)
        await retention.purge_dispatches(before=NOON + MINUTE, most=0, pause=_no_pause)

    async def _form(
        self,
        endpoint: Endpoint,
        read_from: int,
        *buckets: list[int],
        hold: list[int] | None = None,
        freed: list[int] | None = None,
    ) -> list[Leased]:
        forming = Forming(
            endpoint,
            Lease("t", NOON + MINUTE),
            read_from,
            8,
            [self._formed(endpoint, bucket) for bucket in buckets],
            hold=[(report, self.keys[report]) for report in hold or []],
            freed=freed or [],
        )
        return await self.queue.form([forming], NOON)

    def _formed(self, endpoint: Endpoint, reports: list[int]) -> Formed:
        keys = [self.keys[report] for report in reports] if endpoint.ordered else []
        return Formed(b"{}", reports, keys)

    async def _replay(self, reports: list[int]) -> Replay:
        items = Items()
        for report in reports:
            items.add(report, "acme", 0)
        request = Request(selection=Selection(ids=tuple(reports)), to_endpoint="acme")
        return (await self.replays.create(request, items, NOON, from_outside=False))[0]

    async def _feed(
        self, replay: Replay, *buckets: list[int], hold: list[int] | None = None
    ) -> bool:
        fed = sum(map(len, buckets)) + len(hold or [])
        portion = Portion(
            replay=replay.id,
            fed_from=0,
            fed_to=fed,
            dropped=0,
            anchor_at=NOON,
            # Acme keeps the order; these messages are taken for others, which nothing holds up.
            buckets=[
                (ACME, Formed(b"{}", bucket, [100 + r for r in bucket])) for bucket in buckets
            ],
            hold=[("acme", report, 100 + buckets[0][0]) for report in hold or []],
        )
        return await self.replays.feed(portion, NOON)

    async def _claim(self, at: datetime, room: int) -> list[Leased]:
        return await self.queue.claim_due(at, {"acme": Lease("u", at)}, {"acme": room})


async def _no_pause() -> None: ...


async def a_story(*migrations: Any) -> Story:
    database = await Database.open(":memory:")
    await database.migrate([*STORE_MIGRATIONS, *migrations])
    return Story(database, await SqliteQueue.open(database, lambda: "db"))


@pytest.fixture
async def story() -> AsyncIterator[Story]:
    """On a database of today."""
    made = await a_story(*QUEUE_MIGRATIONS)
    yield made
    await made.database.close()


# --- what must be true, counted anew -------------------------------------------------------------

ALWAYS = {
    "dispatches are counted by endpoint and state": (
        "SELECT endpoint, state, count(*) FROM dispatch GROUP BY endpoint, state ORDER BY 1, 2",
        "SELECT endpoint, state, count FROM dispatch_count WHERE count <> 0 ORDER BY 1, 2",
    ),
    "attempts are counted by replay": (
        "SELECT replay, count(*), sum(number = 1) FROM attempt JOIN dispatch"
        " ON dispatch.id = dispatch WHERE replay IS NOT NULL GROUP BY replay ORDER BY replay",
        "SELECT id, attempts, tried FROM replay WHERE attempts <> 0 OR tried <> 0 ORDER BY id",
    ),
    "dispatches and their reports are counted by replay": (
        "SELECT replay, state, count(*), sum(reports) FROM dispatch WHERE replay IS NOT NULL"
        " GROUP BY replay, state ORDER BY 1, 2",
        "SELECT * FROM replay_count WHERE dispatches <> 0 ORDER BY 1, 2",
    ),
    "held reports are counted by replay": (
        "SELECT replay, count(*) FROM held_report WHERE replay > 0 GROUP BY replay ORDER BY replay",
        "SELECT replay, reports FROM replay_count WHERE state = 'held' AND reports <> 0 ORDER BY 1",
    ),
    "only what is open is under way": (
        "SELECT count(*) FROM message_under_way",
        "SELECT count(*) FROM message_under_way JOIN dispatch ON id = dispatch"
        " WHERE state IN ('waiting', 'leased')",
    ),
    "what waits for nothing is freed": (
        "SELECT report, replay, freed FROM held_report ORDER BY 1, 2",
        "SELECT report, replay, NOT EXISTS (SELECT 1 FROM message_under_way AS way"
        " WHERE way.endpoint = held_report.endpoint"
        " AND way.message_key = held_report.message_key) FROM held_report ORDER BY 1, 2",
    ),
    "nothing waits for who wants it no more": (
        "SELECT 0",
        "SELECT count(*) FROM dispatch WHERE state = 'waiting' AND ("
        " replay IN (SELECT id FROM replay WHERE state IN ('stopped', 'cancelled'))"
        " OR endpoint IN (SELECT name FROM endpoint WHERE removed))",
    ),
}


def untrue(connection: sqlite3.Connection) -> list[str]:
    return [
        fact
        for fact, (counted, told) in ALWAYS.items()
        if connection.execute(counted).fetchall() != connection.execute(told).fetchall()
    ]


async def told(story: Story, then: str) -> list[Any]:
    return await story.database.read(lambda c: c.execute(then).fetchall())


async def test_what_must_be_true_is(story: Story) -> None:
    """All through the story the numbers are those that a count of everything gives; and after the
    ended dispatches are gone, replays remember them."""
    await story.first_half()
    assert await story.database.read(untrue) == []
    await story.second_half()
    assert await story.database.read(untrue) == []
    counts = await told(story, "SELECT * FROM replay_count ORDER BY 1, 2")

    await story.purge()

    assert await told(story, "SELECT count(*) FROM dispatch") == [(0,)]
    assert await told(story, "SELECT sum(count) FROM dispatch_count") == [(0,)]
    assert await told(story, "SELECT * FROM taken_forgotten") == [(8,)]
    assert await told(story, "SELECT * FROM replay_count ORDER BY 1, 2") == counts


# --- the table and the triggers ------------------------------------------------------------------


def triggers(connection: sqlite3.Connection) -> dict[str, str]:
    """What the database does by itself when a dispatch or a held report changes."""
    return dict(
        connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
            " AND tbl_name IN ('dispatch', 'held_report')"
        )
    )


async def test_each_consequence_is_a_trigger_and_each_trigger_a_consequence(story: Story) -> None:
    """The database does what the table says, at the events that it says, and nothing else."""
    done = await story.database.read(triggers)

    events = {name: re.match(rf"CREATE TRIGGER {name} (.*)", sql)[1] for name, sql in done.items()}  # type: ignore[index]
    assert {name: event.removesuffix(" BEGIN") for name, event in events.items()} == {
        name: EVENTS[each.event] for name, each in CONSEQUENCES.items()
    }


async def test_a_condition_of_the_table_is_one_of_the_trigger(story: Story) -> None:
    """Which consequences always come, and which have a condition, is told right."""
    done = await story.database.read(triggers)
    # That a state has changed is no condition: that is what "moved" means.
    bare = re.compile(r"WHEN old\.state <> new\.state BEGIN")

    assert {name for name, each in CONSEQUENCES.items() if each.when is None} == {
        name for name, sql in done.items() if "WHEN" not in bare.sub("", sql)
    }


async def test_all_triggers_are_made_in_one_migration(story: Story) -> None:
    """Whoever reads what follows, reads one file of SQL."""
    done = await story.database.read(triggers)

    last = [step for step in QUEUE_MIGRATIONS if "CREATE TRIGGER" in step.sql][-1]
    assert all(sql in last.sql for sql in done.values())


@pytest.mark.parametrize("name", CONSEQUENCES)
async def test_each_consequence_is_carried_out(story: Story, name: str) -> None:
    """Without its trigger, something comes to be untrue in the story."""
    await story.database.write(lambda c: c.execute(f"DROP TRIGGER {name}").close())

    await story.first_half()
    wrong = await story.database.read(untrue)
    await story.second_half()
    wrong += await story.database.read(untrue)
    await story.purge()
    left = await told(story, "SELECT sum(count), report FROM dispatch_count, taken_forgotten")
    assert wrong or left != [(0, 8)]


# --- upgrade -------------------------------------------------------------------------------------

EVERYTHING = (
    "SELECT * FROM dispatch ORDER BY id",
    "SELECT * FROM dispatch_count WHERE count <> 0 ORDER BY 1, 2",
    "SELECT * FROM replay_count ORDER BY 1, 2",
    "SELECT * FROM replay ORDER BY id",
    "SELECT * FROM held_report ORDER BY 1, 2, 3",
    "SELECT * FROM message_under_way ORDER BY 1, 2",
    "SELECT * FROM taken_forgotten",
)


def everything(connection: sqlite3.Connection) -> list[list[Any]]:
    return [connection.execute(statement).fetchall() for statement in EVERYTHING]


async def test_an_upgrade_in_the_middle(story: Story) -> None:
    """A database that has dispatches in each state goes on after the upgrade as if it had always
    been one of today."""
    await story.first_half()
    before = await a_story(*BEFORE)
    await before.first_half()
    states = {state for (state,) in await told(before, "SELECT DISTINCT state FROM dispatch")}
    assert states == set(TRANSITIONS)
    old = await before.database.read(triggers)
    assert await before.database.read(everything) == await story.database.read(everything)

    await before.database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])

    assert await before.database.read(triggers) == await story.database.read(triggers)
    assert not set(old) & set(CONSEQUENCES)
    for step in ("second_half", "purge"):
        await getattr(story, step)()
        await getattr(before, step)()
        assert await before.database.read(everything) == await story.database.read(everything)
    await before.database.close()
