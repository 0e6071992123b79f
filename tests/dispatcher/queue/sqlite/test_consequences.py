"""What follows when a dispatch changes: the table, the triggers that carry it out, and the upgrade
of a database in which other triggers did."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.retrying.consequences import CONSEQUENCES
from dispatcher.retrying.dispatch import TRANSITIONS
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.dispatcher.queue.sqlite.story import Story, a_story, an_old_story

EVENTS = {
    "formed": "AFTER INSERT ON dispatch",
    "moved": "AFTER UPDATE OF state ON dispatch",
    "tried": "AFTER UPDATE OF attempts ON dispatch",
    "deleted": "AFTER DELETE ON dispatch",
    "held": "AFTER INSERT ON held_report",
    "let go": "AFTER DELETE ON held_report",
}


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
        " WHERE way.endpoint = held_report.endpoint AND way.source = held_report.source"
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


def _made(script: str) -> list[str]:
    """The triggers that a migration makes, as SQLite keeps them."""
    return re.findall(r"^(CREATE TRIGGER .+?\nEND);$", script, re.DOTALL | re.MULTILINE)


async def test_all_triggers_are_made_in_one_migration(story: Story) -> None:
    """Whoever reads what follows, reads one file of SQL."""
    done = await story.database.read(triggers)

    last = [step for step in QUEUE_MIGRATIONS if set(done.values()) & set(_made(step.sql))][-1]
    assert set(done.values()) <= set(_made(last.sql))


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
    "SELECT id, endpoint, url, content_type, state, attempts, created_at, due_at, lease,"
    " lease_until, first_report, last_report, reports, replay, authorization"
    " FROM dispatch ORDER BY id",  # not what webhook-ids end with: it is random
    "SELECT * FROM dispatch_count WHERE count <> 0 ORDER BY 1, 2",
    "SELECT * FROM replay_count ORDER BY 1, 2",
    "SELECT * FROM replay ORDER BY id",
    "SELECT * FROM held_report ORDER BY 1, 2, 3",
    "SELECT * FROM message_under_way ORDER BY 1, 2",
    "SELECT * FROM taken_forgotten",
)


def everything(connection: sqlite3.Connection) -> list[list[Any]]:
    return [connection.execute(statement).fetchall() for statement in EVERYTHING]


@pytest.mark.parametrize("schema", [8, 9])
async def test_an_upgrade_in_the_middle(story: Story, schema: int) -> None:
    """A database that has dispatches in each state goes on after the upgrade as if it had always
    been one of today."""
    await story.first_half()
    before = await an_old_story(schema)
    states = {state for (state,) in await told(before, "SELECT DISTINCT state FROM dispatch")}
    assert states == set(TRANSITIONS)

    await before.database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])

    assert await before.database.read(everything) == await story.database.read(everything)
    assert await before.database.read(triggers) == await story.database.read(triggers)
    before.goes_on_as(story)
    for step in ("second_half", "purge"):
        await getattr(story, step)()
        await getattr(before, step)()
        assert await before.database.read(everything) == await story.database.read(everything)
    await before.database.close()
