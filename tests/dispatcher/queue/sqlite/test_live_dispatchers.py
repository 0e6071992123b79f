"""Dispatchers on one file know each other; a database of before knows none, and works on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import Lease
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.storage import new_id
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.dispatcher.queue.sqlite.test_notes import NOON, a_failed_dispatch

BEFORE = [step for step in QUEUE_MIGRATIONS if step.number < 21]


async def test_a_database_of_before() -> None:
    """What waits in it is pushed as it was, and dispatchers tell each other from then on."""
    database = await Database.open(":memory:")
    await database.migrate([*STORE_MIGRATIONS, *BEFORE])
    await database.write(a_failed_dispatch)

    await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
    queue = await SqliteQueue.open(database, lambda: "db", new_id)
    await queue.adopt([Endpoint(name="acme", url="http://acme.example/")])
    assert (await queue.news(NOON)).notices == {}
    name = await queue.put_up(b"hello")

    assert (await queue.news(NOON)).notices == {name: b"hello"}
    lease = Lease("t", NOON + timedelta(minutes=1))
    (leased,) = await queue.claim_due(NOON, {"acme": lease}, {"acme": 1})
    assert (leased.attempts_made, leased.body) == (1, b"{}")
    await database.close()


async def test_the_notice_of_one_that_was_killed_goes_with_the_next_start(tmp_path: Path) -> None:
    """Whoever starts a dispatcher again after a SIGKILL has all of the limits at once: a lock says
    that the one before has ended. That of one which lives stays."""

    async def begin(told: bytes) -> tuple[Database, SqliteQueue]:
        database = await Database.open(tmp_path / "dlr.db")
        await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
        queue = await SqliteQueue.open(database, lambda: "db", new_id)
        await queue.put_up(told)
        return database, queue

    killed, _ = await begin(b"killed")
    lives, queue = await begin(b"lives")
    await killed.close()  # without a word
    again, _ = await begin(b"again")

    assert sorted((await queue.news(NOON)).notices.values()) == [b"again", b"lives"]
    await lives.close()
    await again.close()
