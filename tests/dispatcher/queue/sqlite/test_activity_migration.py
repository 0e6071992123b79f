"""Attempts got tallies. Those of a database of before are counted after the upgrade."""

from __future__ import annotations

from dispatcher.queue.sqlite.activity import SqliteActivity
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.dispatcher.queue.sqlite.test_notes import NOON, a_failed_dispatch

BEFORE = [step for step in QUEUE_MIGRATIONS if step.number < 16]


async def test_attempts_of_before_are_counted() -> None:
    database = await Database.open(":memory:")
    await database.migrate([*STORE_MIGRATIONS, *BEFORE])
    await database.write(a_failed_dispatch)

    await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
    activity = SqliteActivity(database)

    for followed in (1, 0):
        (found,) = (await activity.activity("hour", NOON)).attempts
        assert (found.endpoint, found.outcome, found.status_class) == ("acme", "failed", 5)
        assert found.attempts == 1
        assert await activity.turn() == followed
    await database.close()
