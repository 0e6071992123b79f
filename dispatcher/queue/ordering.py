"""The tables behind `ordered = true`: messages under way, and reports held for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from dispatcher.queue.base import Forming


def may_form(connection: sqlite3.Connection, forming: Forming) -> bool:
    """Whether nobody else took the held reports meanwhile, or got a message of these under way."""
    keys = [key for bucket in forming.buckets for key in bucket.message_keys]
    under_way = _among("message_under_way", "message_key", connection, forming, keys)
    held = _among("held_report", "report", connection, forming, forming.freed)
    return under_way == 0 and held == len(forming.freed)


def write(connection: sqlite3.Connection, forming: Forming) -> None:
    """Hold what has to wait, and take what waits no more."""
    name = forming.endpoint.name
    connection.executemany(
        "DELETE FROM held_report WHERE endpoint = ? AND report = ?",
        [(name, report) for report in forming.freed],
    )
    connection.executemany(
        "INSERT INTO held_report (endpoint, report, message_key) VALUES (?, ?, ?)",
        [(name, report, key) for report, key in forming.hold],
    )


def set_under_way(
    connection: sqlite3.Connection, endpoint: str, keys: Sequence[int], dispatch: int
) -> None:
    """These messages have a report on its way to the endpoint."""
    connection.executemany(
        "INSERT INTO message_under_way VALUES (?, ?, ?)",
        [(endpoint, key, dispatch) for key in dict.fromkeys(keys)],
    )
    # What did not fit into the same bucket waits again.
    connection.executemany(
        "UPDATE held_report SET freed = 0 WHERE endpoint = ? AND message_key = ?",
        [(endpoint, key) for key in dict.fromkeys(keys)],
    )


def ended(connection: sqlite3.Connection, dispatches: Sequence[int]) -> None:
    """Free what was held for the messages of dispatches that have come to an end."""
    for dispatch in dispatches:
        freed = connection.execute(
            "DELETE FROM message_under_way WHERE dispatch = ? RETURNING endpoint, message_key",
            (dispatch,),
        ).fetchall()
        connection.executemany(
            "UPDATE held_report SET freed = 1 WHERE endpoint = ? AND message_key = ?", freed
        )


def freed(connection: sqlite3.Connection, endpoint: str, limit: int) -> list[int]:
    """Held reports that wait for nothing any more, in the order of arrival."""
    rows = connection.execute(
        "SELECT report FROM held_report WHERE endpoint = ? AND freed ORDER BY report LIMIT ?",
        (endpoint, limit),
    )
    return [report for (report,) in rows]


def blocked(
    connection: sqlite3.Connection, endpoint: str, keys: Sequence[int], besides: Sequence[int]
) -> frozenset[int]:
    """Those of these messages that are under way, or have a held report which is not `besides`."""
    taken = set(besides)
    found = set()
    for key in dict.fromkeys(keys):
        one = (endpoint, key)
        way = "SELECT 1 FROM message_under_way WHERE endpoint = ? AND message_key = ?"
        held = "SELECT report FROM held_report WHERE endpoint = ? AND message_key = ?"
        if connection.execute(way, one).fetchone() or any(
            report not in taken for (report,) in connection.execute(held, one)
        ):
            found.add(key)
    return frozenset(found)


def _among(
    table: str, column: str, connection: sqlite3.Connection, forming: Forming, of: Sequence[int]
) -> int:
    marks = ", ".join("?" * len(of))
    count: int = connection.execute(
        f"SELECT count(*) FROM {table} WHERE endpoint = ? AND {column} IN ({marks})",
        (forming.endpoint.name, *of),
    ).fetchone()[0]
    return count
