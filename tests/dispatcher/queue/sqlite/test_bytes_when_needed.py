"""The bytes of a dispatch were stored when it was formed, and are only when they are needed again.
What a database of before holds is pushed as it was."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import Lease
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.storage import new_id
from receiver.store.instants import micros
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BEFORE = [step for step in QUEUE_MIGRATIONS if step.number < 15]


def dispatches_of_before(connection: sqlite3.Connection) -> None:
    """One that was leased when the process ended, and one whose bytes could not be made."""
    for number, state in ((1, "leased"), (2, "waiting")):
        connection.execute(
            "INSERT INTO dispatch (endpoint, url, content_type, state, attempts, created_at,"
            " due_at, lease, lease_until, first_report, last_report, reports) VALUES"
            " ('acme', 'http://acme.example/', 'application/json', ?1, 0, ?2, ?2, 'old', ?2, ?3,"
            " ?3, 1)",
            (state, micros(NOON), number),
        )
        connection.execute("INSERT INTO dispatch_report VALUES (?1, ?1)", (number,))
    connection.execute("INSERT INTO dispatch_body VALUES (1, x'7b7d')")


async def test_what_was_formed_before_keeps_its_bytes() -> None:
    """The bytes that are stored are those of the next attempt, and what has none has none."""
    database = await Database.open(":memory:")
    await database.migrate([*STORE_MIGRATIONS, *BEFORE])
    await database.write(dispatches_of_before)

    await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])

    queue = await SqliteQueue.open(database, lambda: "db", new_id)
    await queue.adopt([Endpoint(name="acme", url="http://acme.example/")])
    assert await queue.release_expired(NOON) == 1
    lease = Lease("new", NOON + timedelta(minutes=1))
    kept, bare = await queue.claim_due(NOON, {"acme": lease}, {"acme": 2})
    assert (kept.body, kept.encoded, kept.generation) == (b"{}", True, None)
    assert (bare.body, bare.encoded, bare.generation) == (b"", False, None)
    await database.close()
