"""A search goes on in steps of bounded size: what the steps find together is what one would."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from dispatcher.queue.base import DispatchSearch
from dispatcher.queue.names import DispatchNames
from dispatcher.queue.sqlite import dispatch_search
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.dispatcher.queue.sqlite.story import MINUTE, NOON, a_story, an_old_story

BEFORE = 17
"""The last schema in which nobody knew the message of an event."""

HOUR = timedelta(hours=1)


async def _in_steps(
    database: Database, step: int, limit: int, **asked: Any
) -> tuple[list[str], int]:
    """What is found by steps of this size, and how many steps that took."""
    found, steps = list[str](), 0
    following: str | None = None
    while True:
        query = DispatchSearch(limit=limit, before=following, **asked)
        find = partial(dispatch_search.find, names=DispatchNames("db"), query=query, step=step)
        some = await database.read(find)
        found += [each.id for each in some.dispatches]
        steps += 1
        if (following := some.next) is None:
            return found, steps


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"endpoint": "acme"},
        {"endpoint": "nobody"},
        {"state": "waiting"},
        {"state": "leased"},
        {"outcome": "failed"},
        {"outcome": "acknowledged"},
        {"status_class": "5xx"},
        {"status_class": "3xx"},
        {"created_since": NOON},
        {"created_until": NOON},
        {"replay": 1},
        {"replay": 1, "outcome": "failed"},
        {"replay": 99},
    ],
    ids=str,
)
async def test_small_steps_find_the_same(asked: dict[str, Any]) -> None:
    """Whatever is asked for, and wherever a step ends."""
    story = await a_story(*QUEUE_MIGRATIONS)
    await story.first_half()

    whole, _ = await _in_steps(story.database, 1_000, 1_000, **asked)

    for step, limit in ((1, 1), (1, 3), (2, 1_000), (3, 2)):
        assert (await _in_steps(story.database, step, limit, **asked))[0] == whole
    await story.database.close()


async def test_a_step_without_a_find_leads_on() -> None:
    """Nothing that fits among what one step looks at: it ends with a cursor, and nothing found."""
    story = await a_story(*QUEUE_MIGRATIONS)
    await story.first_half()

    found, steps = await _in_steps(story.database, 1, 1, status_class="3xx")

    assert found == []
    assert steps > 5
    await story.database.close()


async def test_many_of_a_time_are_found_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many were formed between two instants that they are not gone through one by one. A clock
    that was wrong for a while has given instants that do not ascend with the ids."""
    story = await a_story(*QUEUE_MIGRATIONS)
    await story.first_half()
    wrong = "UPDATE dispatch SET created_at = created_at + 3600000000 WHERE id IN (2, 3)"
    await story.database.write(lambda c: c.execute(wrong).close())
    between = {"created_since": NOON, "created_until": NOON + MINUTE}

    few, _ = await _in_steps(story.database, 1_000, 1_000, **between)
    monkeypatch.setattr(dispatch_search, "STEP", 2)
    many, _ = await _in_steps(story.database, 1_000, 3, **between)
    ahead, _ = await _in_steps(story.database, 1_000, 1, created_since=NOON + HOUR)

    assert few == many
    assert {"db-2", "db-3"}.isdisjoint(few)
    assert ahead == ["db-3", "db-2"]
    await story.database.close()


async def test_an_older_database_gets_the_messages_of_its_events() -> None:
    """The pushes of events from before tell which message they are of in their bytes, as far as
    these are JSON that tells it. Pushes of reports, and what cannot be read, stay as they were."""
    bodies = {
        1: b'{"results":[{"messageId":"in-1"}],"messageCount":1}',
        2: b'{"notificationType":"CLICKED","messageId":"clicked-1"}',
        3: b"<reportResponse/>",
        4: b'{"results":[]}',
        5: b'{"messageId":7}',
        6: b"\xff not JSON",
    }
    story = await a_story(*(each for each in QUEUE_MIGRATIONS if each.number <= BEFORE))
    insert = (
        "INSERT INTO dispatch (id, endpoint, url, content_type, state, attempts, created_at,"
        " first_report, last_report, reports) VALUES (?, 'notify-url', '', 'application/json',"
        " 'exhausted', 1, 0, 0, 0, 0)"
    )

    def fill(connection: sqlite3.Connection) -> None:
        connection.executemany(insert, [(number,) for number in bodies])
        connection.executemany("INSERT INTO dispatch_body VALUES (?, ?)", bodies.items())

    await story.database.write(fill)
    await story.database.migrate(QUEUE_MIGRATIONS)

    found = [(await story.queue.dispatch(f"db-{number}")) for number in bodies]
    told = [each[0].event_of for each in found if each is not None]
    assert told == ["in-1", "clicked-1", None, None, None, None]
    await story.database.close()


async def test_dispatches_of_an_older_database_are_found() -> None:
    """After the migration a replay's dispatches are found by it, whatever became of them."""
    story = await an_old_story(9)
    await story.database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])

    found = await story.queue.find(DispatchSearch(replay=1))

    assert found.dispatches
    every = await story.queue.find(DispatchSearch())
    assert len(every.dispatches) > len(found.dispatches)
    await story.database.close()
