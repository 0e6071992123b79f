"""The items of a replay: a million of them in little room, and carried over from before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.replays import SqliteReplays, pieces_from, running
from dispatcher.replay.base import Portion
from dispatcher.replay.items import PIECE, Items, read_piece, write_piece
from dispatcher.replay.replay import Item
from dispatcher.replay.request import Request, Selection
from dispatcher.replay.unfed import Unfed
from dispatcher.storage import new_id
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.dispatcher.replay.replaying import a_replay_bench
from tests.dispatcher.support import START

BEFORE = [step for step in QUEUE_MIGRATIONS if step.number < 7]


@given(
    st.lists(
        st.tuples(st.integers(1, 10**15), st.sampled_from("abc"), st.integers(0, 10**15)),
        max_size=30,
    )
)
def test_what_goes_in_comes_out(added: list[tuple[int, str, int]]) -> None:
    """Items come out as they went in; offsets count from the first and never descend."""
    items = Items()
    for each in added:
        items.add(*each)

    came = list(items)
    assert [(item.report, item.endpoint) for item in came] == [each[:2] for each in added]
    assert len(items) == len(added)
    offsets = [item.offset for item in came]
    assert offsets == sorted(offsets)
    assert offsets[:1] == [0][: len(added)]


def test_a_piece_is_small() -> None:
    """A thousand items of one endpoint, some milliseconds apart, take ten bytes each."""
    piece = write_piece(range(10**8, 10**8 + PIECE), [0] * PIECE, range(0, PIECE * 10**4, 10**4))

    assert len(piece) < 11 * PIECE
    assert read_piece(piece, ["acme"])[-1] == Item(10**8 + PIECE - 1, "acme", (PIECE - 1) * 10**4)


@pytest.mark.parametrize("fed", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 4])
async def test_retention_knows_what_is_not_fed(fed: int) -> None:
    """From any place in any piece, the reports from the next one on are still needed, be they
    looked up before the replay came there or after."""
    async with a_replay_bench() as bench:
        items = Items()
        for report in range(1, 2 * PIECE + 6):
            items.add(2 * report, "acme", report)
        asked = Request(selection=Selection(ids=(1,)), to_endpoint="acme")
        replay, _ = await bench.replays.create(asked, items, START, from_outside=False)
        portion = Portion(
            replay=replay.id, fed_from=0, fed_to=fed, dropped=fed, anchor_at=START, formings=[]
        )
        every = range(1, 4 * PIECE + 20)
        before = Unfed()

        async def left(unfed: Unfed) -> set[int]:
            ((of, reports),) = await bench.database.read(
                lambda c: list(unfed.among(every, running(c), partial(pieces_from, c)))
            )
            assert of == replay.id
            return reports

        assert len(await left(before)) == 2 * PIECE + 5
        assert await bench.replays.feed(portion, START)

        expected = {2 * report for report in range(fed + 1, 2 * PIECE + 6)}
        assert await left(before) == await left(Unfed()) == expected


def _statement(sql: str) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute(sql)


async def test_the_items_of_before_are_carried_over() -> None:
    """A replay that ran when the schema changed goes on with the same items at the same place, and
    reports that were held go on waiting."""
    database = await Database.open(":memory:")
    await database.migrate([*STORE_MIGRATIONS, *BEFORE])
    for statement in (
        "INSERT INTO replay (id, state, created_at, selection, total, fed)"
        " VALUES (1, 'running', 0, '{}', 2500, 1200), (2, 'running', 0, '{}', 1, 0)",
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2499)"
        " INSERT INTO replay_item"
        " SELECT 1, i, 7 + 3 * i, iif(i % 3, 'beta', 'acme'), 11 * i FROM n",
        "INSERT INTO replay_item VALUES (2, 0, 99, 'gamma', 0)",
        "INSERT INTO held_report VALUES ('acme', 5, 77, 1)",
    ):
        await database.write(_statement(statement))

    await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])

    replays = SqliteReplays(database, new_id)
    assert await replays.following(await replays.one(1), 10_000) == [
        Item(7 + 3 * i, "beta" if i % 3 else "acme", 11 * i) for i in range(1200, 2500)
    ]
    assert await replays.following(await replays.one(2), 9) == [Item(99, "gamma", 0)]
    held = await database.read(lambda c: c.execute("SELECT * FROM held_report").fetchall())
    assert held == [("acme", 5, 0, "", 77, 1)]
    await database.close()
