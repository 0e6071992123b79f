"""How much there is to do, in a handful of look-ups: none of them grows with what waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from receiver.store.sqlite.database import instant


class Depths(Struct, frozen=True):
    """By endpoint; those that have nothing of a kind are not in it."""

    dispatches: Mapping[tuple[str, str], int]  # by endpoint and state
    oldest_waiting: Mapping[str, datetime]  # when it was formed
    unread: Mapping[str, int]  # reports that no dispatch was formed of yet
    oldest_unread: Mapping[str, datetime]  # when it was received


def depths(connection: sqlite3.Connection) -> Depths:
    """The depths at this instant."""
    counts = {
        (endpoint, state): count
        for endpoint, state, count in connection.execute("SELECT * FROM dispatch_count")
    }
    readers = dict(connection.execute("SELECT name, read_to FROM endpoint WHERE removed = 0"))
    highest = connection.execute("SELECT max(id) FROM report").fetchone()[0] or 0
    return Depths(
        dispatches=counts,
        oldest_waiting=_oldest(
            connection,
            "SELECT min(created_at) FROM dispatch WHERE state = 'waiting' AND endpoint = ?",
            {endpoint: endpoint for endpoint, state in counts if state == "waiting"},
        ),
        unread={endpoint: max(highest - read_to, 0) for endpoint, read_to in readers.items()},
        oldest_unread=_oldest(
            connection, "SELECT received_at FROM report WHERE id > ? ORDER BY id LIMIT 1", readers
        ),
    )


def _oldest(
    connection: sqlite3.Connection, statement: str, values: Mapping[str, str | int]
) -> Mapping[str, datetime]:
    found = {}
    for endpoint, value in values.items():
        row = connection.execute(statement, (value,)).fetchone()
        if row is not None and row[0] is not None:
            found[endpoint] = instant(row[0])
    return found
