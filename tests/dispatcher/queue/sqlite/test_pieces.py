"""What waits for an endpoint or a replay that ends is gone through in pieces.

`dlr endpoints remove` of an endpoint with a million waiting dispatches changed them all in one
transaction, as did `resume --as` and a replay that is cancelled: every callback waited meanwhile,
and after ten seconds was refused.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from msgspec.structs import replace

from dispatcher.endpoints.base import TakenOver
from dispatcher.queue.sqlite import leaving
from dispatcher.queue.sqlite.endpoints import SqliteEndpoints
from receiver.store.sqlite.database import Database
from tests.contracts.report_store import an_sms
from tests.dispatcher.queue.sqlite.story import BETA
from tests.dispatcher.replay.replaying import a_replay_bench
from tests.dispatcher.support import START, Bench, Pushed, a_bench, an_endpoint

ORDERED = an_endpoint(ordered=True, bucket_size=1)
IN_ORDER = ("PENDING_ENROUTE", "DELIVERED_TO_HANDSET", "EXPIRED_EXPIRED", "REJECTED_NETWORK")


@pytest.fixture(params=[1, 2, 1_000])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    number: int = request.param
    monkeypatch.setattr(leaving, "PIECE", number)
    return number


async def commits(database: Database) -> list[str]:
    """The transactions that were written from now on."""
    ran: list[str] = []

    def note(statement: str) -> None:
        if statement.startswith("BEGIN IMMEDIATE"):
            ran.append(statement)

    await database.write(lambda c: c.set_trace_callback(note))
    return ran


async def held_up(bench: Bench) -> None:
    """Three messages on their way, each with two reports that wait for the first one."""
    bench.sender.always(503)
    for status in IN_ORDER[:3]:
        await bench.receive(*(an_sms(f"m{n}", status) for n in range(3)))
        await bench.work()


async def rows(database: Database, statement: str) -> list[tuple[object, ...]]:
    return await database.read(lambda c: c.execute(statement).fetchall())


def told(pushes: Iterator[Pushed], message: str) -> list[str]:
    """The statuses of this message, as they were pushed."""
    items = (item for push in pushes for item in msgspec.json.decode(push.body)["results"])
    return [item["status"]["name"] for item in items if item["messageId"] == message]


async def test_an_endpoint_that_is_removed(piece: int) -> None:
    """All of it is cancelled and dropped; nothing is held or under way afterwards."""
    async with a_bench(ORDERED) as bench:
        await held_up(bench)
        written = await commits(bench.database)

        cancelled = await SqliteEndpoints(bench.database).remove("acme", lambda _: None, known=())

        assert cancelled == 3
        assert len(written) == {1: 7, 2: 4, 1_000: 1}[piece]
        assert await bench.queue.counts() == {"acme": {"cancelled": 3}}
        for table in ("held_report", "message_under_way"):
            assert await rows(bench.database, f"SELECT * FROM {table}") == []


async def test_an_endpoint_that_is_taken_over(piece: int) -> None:
    """In order: what was held waits at the other endpoint too, and reports that neither had read
    come after it."""
    other = replace(BETA, ordered=True, bucket_size=1)
    async with a_bench(ORDERED) as bench:
        await held_up(bench)
        await bench.receive(*(an_sms(f"m{n}", IN_ORDER[3]) for n in range(3)))
        await bench.queue.adopt([other])
        written = await commits(bench.database)

        taken = await SqliteEndpoints(bench.database).take_over(
            "acme", other, lambda _: None, known=()
        )

        assert taken == TakenOver(dispatches=3, reports=3)
        assert len(written) == {1: 10, 2: 5, 1_000: 1}[piece]
        assert await bench.queue.counts() == {"beta": {"waiting": 3}}
        assert await rows(bench.database, "SELECT DISTINCT endpoint FROM held_report") == [
            ("beta",)
        ]
        assert await bench.queue.freed("beta", 99) == []
        bench.sender.pushes.clear()
        bench.worker.use([other])
        await bench.run_until_idle()
        for n in range(3):
            assert told(iter(bench.sender.pushes), f"m{n}") == list(IN_ORDER)


async def test_a_replay_that_is_cancelled(piece: int) -> None:
    """With three reports on their way, and three that wait for these."""
    async with a_replay_bench(ORDERED) as bench:
        for status in IN_ORDER[:2]:
            await bench.bench.receive(*(an_sms(f"m{n}", status) for n in range(3)))
        await bench.bench.run_until_idle()
        bench.bench.sender.always(503)
        replay = await bench.ask(endpoint="acme")
        await bench.feed()
        await bench.bench.work()
        running = await bench.now_at(replay)
        assert (running.counts["waiting"], running.held) == (3, 3)
        written = await commits(bench.database)

        assert await bench.replays.end(replay.id, "cancelled", START) == 3

        assert len(written) == {1: 4, 2: 2, 1_000: 1}[piece]
        ended = await bench.now_at(replay)
        assert (ended.counts["waiting"], ended.counts["cancelled"], ended.held) == (0, 3, 0)
