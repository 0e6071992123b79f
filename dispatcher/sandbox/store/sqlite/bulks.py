"""Bulks in SQLite; each function is a part of a transaction."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

from dispatcher.sandbox.messages.bulks import Bulk, BulkChange, WaitingBulk
from dispatcher.sandbox.store.base import ChangeBulk
from dispatcher.sandbox.store.sqlite.clock import MICROSECOND, see
from dispatcher.sandbox.store.sqlite.rows import in_json, select
from receiver.store.instants import instant_or_none, micros, micros_or_null

_BULK = """
    SELECT sandbox_bulk.state, gap,
        coalesce(sum(sandbox_message.state = 'waiting'), 0),
        coalesce(sum(sandbox_message.state <> 'refused'), 0),
        max(CASE WHEN sandbox_message.state NOT IN ('waiting', 'refused') THEN leaves_at END)
    FROM sandbox_bulk LEFT JOIN sandbox_message ON bulk = sandbox_bulk.id
    WHERE bulk_id = ? GROUP BY sandbox_bulk.id
"""

_FIRST = "WHERE bulk_id = ? ORDER BY sandbox_message.state = 'waiting' DESC, start_at LIMIT 1"
"""The message of a bulk that is to leave first of those that wait, or was first of all."""


def bulk(connection: sqlite3.Connection, bulk_id: str) -> Bulk | None:
    row = connection.execute(_BULK, (bulk_id,)).fetchone()
    first = next(iter(select(connection, _FIRST, (bulk_id,))), None)
    if row is None or first is None:
        return None
    state, gap, waiting, accepted, left = row
    send_at = (first.sms.send_at or first.start_at).astimezone(UTC)
    last_left_at = instant_or_none(left)
    return Bulk(bulk_id, state, gap * MICROSECOND, waiting, accepted, send_at, last_left_at)


def paused(connection: sqlite3.Connection, bulk_id: str) -> WaitingBulk | None:
    """The bulk, if it is paused."""
    statement = "SELECT 1 FROM sandbox_bulk WHERE bulk_id = ? AND state = 'paused'"
    if connection.execute(statement, (bulk_id,)).fetchone() is None:
        return None
    found = bulk(connection, bulk_id)
    return None if found is None else _waiting(connection, found)


def change(
    connection: sqlite3.Connection, bulk_id: str, now: datetime, decide: ChangeBulk
) -> Bulk | None:
    found = bulk(connection, bulk_id)
    if found is None:
        return None
    changed = decide(_waiting(connection, found))
    see(connection, now)
    write(connection, bulk_id, changed)
    return bulk(connection, bulk_id)


def write(connection: sqlite3.Connection, bulk_id: str, changed: BulkChange) -> None:
    connection.execute(
        "UPDATE sandbox_bulk SET state = ? WHERE bulk_id = ?", (changed.state, bulk_id)
    )
    connection.executemany(
        "UPDATE sandbox_message SET start_at = ?, leaves_at = ?, cancelled_at = ?, due_at = ?,"
        " sms = ? WHERE id = ?",
        [
            (
                micros(message.start_at),
                micros(message.leaves_at),
                micros_or_null(message.cancelled_at),
                micros_or_null(message.due_at),
                in_json(message.sms),
                message.id,
            )
            for message in changed.messages
        ],
    )


def _waiting(connection: sqlite3.Connection, found: Bulk) -> WaitingBulk:
    where = "WHERE bulk_id = ? AND sandbox_message.state = 'waiting' ORDER BY sandbox_message.id"
    return WaitingBulk(found, select(connection, where, (found.bulk_id,)))
