"""Attempts got a note. A database of before has none, and takes them from then on."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import Lease
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.storage import new_id
from receiver.store.instants import micros
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.contracts.dispatch_queue import a_record

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BEFORE = [step for step in QUEUE_MIGRATIONS if step.number < 14]


def a_failed_dispatch(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO dispatch (endpoint, url, content_type, state, attempts, created_at, due_at,"
        " first_report, last_report, reports)"
        " VALUES ('acme', 'http://acme.example/', 'application/json', 'waiting', 1, 0, ?, 1, 1, 1)",
        (micros(NOON),),
    )
    connection.execute("INSERT INTO dispatch_body VALUES (1, x'7b7d')")
    connection.execute("INSERT INTO dispatch_report VALUES (1, 1)")
    connection.execute(
        "INSERT INTO attempt"
        " (dispatch, number, started_at, duration_ms, status, outcome, error, answer)"
        " VALUES (1, 1, ?, 5.0, 503, 'failed', NULL, x'6e6f')",
        (micros(NOON),),
    )


async def test_attempts_of_before_have_no_note() -> None:
    """The history of before reads as it did, and its dispatch goes on with an attempt that has a
    note."""
    database = await Database.open(":memory:")
    await database.migrate([*STORE_MIGRATIONS, *BEFORE])
    await database.write(a_failed_dispatch)

    await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
    queue = await SqliteQueue.open(database, lambda: "db", new_id)
    await queue.adopt([Endpoint(name="acme", url="http://acme.example/")])
    (leased,) = await queue.claim_due(
        NOON, {"acme": Lease("t", NOON + timedelta(minutes=1))}, {"acme": 1}
    )
    odd = a_record(leased, "acknowledged", status=200)
    await queue.record([replace(odd, answer=replace(odd.answer, note="two lengths"))])

    found = await queue.dispatch(leased.name)
    assert found is not None
    assert [(each.number, each.status, each.answer, each.note) for each in found[1]] == [
        (1, 503, b"no", None),
        (2, 200, b"come again", "two lengths"),
    ]
    await database.close()
