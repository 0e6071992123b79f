"""The read model in SQLite counts each report exactly once, whatever it is killed between."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from receiver.callbacks.intake import verdict_on_bytes
from receiver.dlr.json_format import encode_body
from receiver.store import following
from receiver.store import fresh as fresh_reports
from receiver.store.base import StoreUnavailable
from receiver.store.callback import Callback
from receiver.store.excerpt import ReportOutcome, outcome_text
from receiver.store.fresh import FreshReports
from receiver.store.sqlite import followup
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import Follower, followed_to, read_batch, write_batch
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from receiver.store.tally import DAY, HOUR, MINUTE
from tests.contracts.report_store import a_callback, an_sms
from tests.contracts.sqlite_backend import Doomed
from tests.receiver.dlr.generated import generated_callbacks

MODEL = ("followed", "search_key", "outcome", "total", "price_total", "duration_total")
REPORTS = 60


class Killed(BaseException):
    """The process is no more."""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "dlr.db")
    await opened.migrate(MIGRATIONS)
    yield opened
    await opened.close()


async def model(database: Database) -> dict[str, list[Any]]:
    """All that the read model holds; outcomes by what they say, as their numbers are by chance."""

    def read(connection: sqlite3.Connection) -> dict[str, list[Any]]:
        tables = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in MODEL}
        for name in ("total", "price_total", "duration_total"):
            # Which minutes are left depends on the turns that were taken.
            tables[name] = [row for row in tables[name] if row[0] != MINUTE]
        said = dict(tables.pop("outcome"))
        tables["total"] = [(*row[:3], said[row[3]], *row[4:]) for row in tables["total"]]
        return {name: sorted(rows) for name, rows in tables.items()}

    return await database.read(read)


async def the_model_of(seed: int) -> dict[str, list[Any]]:
    """What the read model holds after nothing went wrong."""
    database = await Database.open(":memory:")
    await database.migrate(MIGRATIONS)
    await SqliteStore(database).add(list(generated_callbacks(seed, REPORTS)))
    assert await Follower(database).turn(REPORTS) == REPORTS
    found = await model(database)
    await database.close()
    return found


async def test_killed_between_any_two_steps(database: Database) -> None:
    """Killed before any statement of a turn, the next turn begins anew, and the end is the same."""
    await SqliteStore(database).add(list(generated_callbacks(2, REPORTS)))

    statements = 0
    kills = 0
    while await database.read(followed_to) < REPORTS:
        batch = await database.read(lambda c: read_batch(c, 20))

        def work(
            connection: sqlite3.Connection, batch: Any = batch, statements: int = statements
        ) -> bool:
            return write_batch(cast(Any, Doomed(connection, statements, Killed())), batch)

        try:
            await database.write(work)
            statements = 0
        except Killed:
            kills += 1
            statements += 1

    assert kills > 3 * 40
    assert await model(database) == await the_model_of(2)


_FOLLOW = """
import asyncio, os, signal, sys
from receiver.store import following
from receiver.store import fresh as fresh_reports
from receiver.store.fresh import FreshReports
from receiver.store.sqlite import followup
from receiver.store.sqlite.database import Database

def traced(statement):
    if statement.strip().startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    database = await Database.open(sys.argv[1])
    follower = followup.Follower(database)
    await follower.turn(10)
    await database.write(lambda c: c.set_trace_callback(traced))
    await follower.turn(10)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "statement",
    [
        "BEGIN IMMEDIATE",
        "UPDATE followed",
        "INSERT INTO search_key",
        "INSERT INTO total",
        "INSERT INTO price_total",
        "INSERT INTO duration_total",
        "INSERT INTO part_total",
        "INSERT INTO part_duration_total",
        "INSERT INTO part_price_total",
        "COMMIT",
    ],
)
async def test_sigkill(database: Database, statement: str) -> None:
    """A process that is killed before a statement of a turn, whichever, has followed the turn
    before, and no more; the next process counts each report once."""
    await SqliteStore(database).add(list(generated_callbacks(3, REPORTS)))
    path = await database.read(lambda c: c.execute("PRAGMA database_list").fetchone()[2])

    died = await asyncio.create_subprocess_exec(sys.executable, "-c", _FOLLOW, path, statement)

    assert await asyncio.wait_for(died.wait(), 60) == -signal.SIGKILL
    assert await database.read(followed_to) == 10
    await Follower(database).catch_up()
    assert await model(database) == await the_model_of(3)


async def test_two_followers(database: Database) -> None:
    """Of two followers that have read the same reports, one writes."""
    await SqliteStore(database).add(list(generated_callbacks(4, REPORTS)))
    batches = [await database.read(lambda c: read_batch(c, REPORTS)) for _ in range(2)]

    wrote = [await database.write(lambda c, b=batch: write_batch(c, b)) for batch in batches]  # type: ignore[misc]

    assert wrote == [True, False]
    assert await model(database) == await the_model_of(4)


async def test_erased_while_being_followed(database: Database) -> None:
    """What is erased between the reading and the writing of a turn leaves no key behind."""
    store = SqliteStore(database)
    await store.add([a_callback(*(an_sms(f"m{n}", to=f"41{n}") for n in range(5)))])
    batch = await database.read(lambda c: read_batch(c, 10))
    await database.write(lambda c: c.execute("DELETE FROM report WHERE id IN (2, 5)"))

    assert await database.write(lambda c: write_batch(c, batch))

    found = await model(database)
    assert {row[3] for row in found["search_key"]} == {1, 3, 4}
    assert found["followed"] == [(1, 5, 3)]
    assert sum(row[4] for row in found["total"] if row[0] == HOUR) == 3


async def test_too_many_outcomes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """When more is said than can be told apart, it is still counted, under one number."""
    monkeypatch.setattr(following, "OUTCOMES_MOST", 3)
    store = SqliteStore(database)
    items = [an_sms(f"m{n}", error={"id": n, "name": f"E{n}"}) for n in range(9)]
    await store.add([a_callback(*items)])

    await Follower(database).turn()

    counted = await database.read(
        lambda c: c.execute("SELECT outcome, reports FROM total WHERE span = ?", (DAY,)).fetchall()
    )
    assert dict(counted) == {1: 1, 2: 1, 3: 1, 0: 6}


def test_an_item_that_is_none_stops_nobody() -> None:
    """A row that nobody has stored so is followed as one that says nothing."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for migration in MIGRATIONS:
            connection.executescript(migration.sql)
        connection.execute(
            "INSERT INTO report VALUES (1, 0, 'default', 'json', 'v2', 0, NULL, 0, 1, 1, 'no JSON',"
            " NULL, NULL)"
        )
        assert write_batch(connection, read_batch(connection, 10))
        (said,) = connection.execute("SELECT said FROM outcome").fetchone()
        assert said == outcome_text(ReportOutcome(False, *[None] * 7))


# --- what was stored of late is in hand --------------------------------------------------------
#
# Each report was read and decoded again after it had been stored, which took a third of what
# following costs. The store hands on what the model needs of it; nothing may depend on that.


def callbacks_of(seed: int) -> list[Callback]:
    return [judged(callback) for callback in generated_callbacks(seed, REPORTS)]


def judged(callback: Callback) -> Callback:
    """The same as intake has judged it."""
    items = [entry.item for entry in callback.verdict.entries]
    return replace(callback, verdict=verdict_on_bytes(encode_body(items), "json"))


async def the_judged_model_of(seed: int) -> dict[str, list[Any]]:
    database = await Database.open(":memory:")
    await database.migrate(MIGRATIONS)
    await SqliteStore(database).add(callbacks_of(seed))
    await Follower(database).catch_up()
    found = await model(database)
    await database.close()
    return found


def no_reading(*_: object) -> Any:
    raise AssertionError("the reports are read again")


async def test_what_is_in_hand_is_not_read_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is the same as one that was made of what is stored."""
    fresh = FreshReports()
    store, follower = SqliteStore(database, fresh=fresh), Follower(database, fresh)
    assert await follower.turn() == 0
    with monkeypatch.context() as patched:
        patched.setattr(followup, "read_batch", no_reading)
        for callback in callbacks_of(5):
            await store.add([callback])
        turns = [await follower.turn(20) for _ in range(2)]
    assert turns == [20, 20]
    await follower.catch_up()
    assert await model(database) == await the_judged_model_of(5)


async def test_what_others_store_between_is_read(database: Database) -> None:
    """Another process has no hand here: its reports lie between ours, before and after them."""
    fresh = FreshReports()
    store, other = SqliteStore(database, fresh=fresh), SqliteStore(database)
    follower = Follower(database, fresh)
    await follower.turn()
    for number, callback in enumerate(callbacks_of(6)):
        await (other if number % 5 == 2 else store).add([callback])
        if number % 7 == 3:
            await follower.turn(4)
    await follower.catch_up()
    assert await model(database) == await the_judged_model_of(6)


async def test_another_follower_moves_on(database: Database) -> None:
    fresh = FreshReports()
    store, follower = SqliteStore(database, fresh=fresh), Follower(database, fresh)
    await follower.turn()
    for callback in callbacks_of(7):
        await store.add([callback])
        await Follower(database).turn(1)
        await follower.turn(1)
    await follower.catch_up()
    assert await model(database) == await the_judged_model_of(7)


async def test_a_turn_that_fails_is_read_again(database: Database) -> None:
    fresh = FreshReports()
    store, follower = SqliteStore(database, fresh=fresh), Follower(database, fresh)
    await follower.turn()
    await store.add(callbacks_of(8))
    with (
        patch.object(database, "write", side_effect=StoreUnavailable),
        pytest.raises(StoreUnavailable),
    ):
        await follower.turn(10)
    await follower.catch_up()
    assert await model(database) == await the_judged_model_of(8)


async def test_an_erased_report_in_hand_leaves_nothing_behind(database: Database) -> None:
    fresh = FreshReports()
    store, follower = SqliteStore(database, fresh=fresh), Follower(database, fresh)
    await follower.turn()
    await store.add([judged(a_callback(*(an_sms(f"m{n}", to=f"41{n}") for n in range(5))))])
    await database.write(lambda c: c.execute("DELETE FROM report WHERE id IN (2, 5)"))

    assert await follower.turn() == 5

    found = await model(database)
    assert {row[3] for row in found["search_key"]} == {1, 3, 4}
    assert found["followed"] == [(1, 5, 3)]


async def test_what_nobody_follows_is_not_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing before somebody follows, nor while a follower lags: reports that have to be read
    anyway take no memory."""
    monkeypatch.setattr(fresh_reports, "FRESH_MOST", 20)
    fresh = FreshReports()
    store = SqliteStore(database, fresh=fresh)

    async def five_more(name: str) -> None:
        await store.add([judged(a_callback(*(an_sms(f"{name}{n}") for n in range(5))))])

    await five_more("before")
    assert fresh.after(0, 10) == []
    fresh.begin()
    for name in ("a", "b", "c", "d"):
        await five_more(name)
    assert [row.id for row, _ in fresh.after(5, 7)] == [6, 7, 8, 9, 10, 11, 12]
    for name in ("e", "f"):
        await five_more(name)
    assert fresh.after(12, 100) == []
    fresh.begin()
    await five_more("g")
    assert [row.id for row, _ in fresh.after(35, 100)] == [36, 37, 38, 39, 40]
