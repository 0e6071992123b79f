"""What becomes of what waits for an endpoint that leaves, in pieces.

A million dispatches in one transaction would keep every callback waiting for longer than it can. So
each function takes a piece, as a part of a transaction of its own, and its caller asks again until
none is left. Whoever is interrupted in between can ask again later: what is left is found.
"""

from __future__ import annotations

import sqlite3

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming.routing import goes_to
from dispatcher.queue.sqlite import ordering
from receiver.store.sqlite.rows import COLUMNS, LISTED, listed, stored_report

PIECE = 1_000
"""Rows that one transaction goes through: some 20 ms."""

# These indexes are named because SQLite would take that of all dispatches there ever were of the
# endpoint.
_CANCEL = """
    UPDATE dispatch SET state = 'cancelled', due_at = NULL WHERE id IN (
        SELECT id FROM dispatch INDEXED BY dispatch_waiting
        WHERE state = 'waiting' AND endpoint = ? LIMIT ?
    )
"""
_DROP_HELD = """
    DELETE FROM held_report WHERE endpoint = ?1 AND replay = 0 AND report IN
        (SELECT report FROM held_report WHERE endpoint = ?1 AND replay = 0 LIMIT ?2)
"""
_MESSAGES = """
    SELECT source, message_key FROM message_under_way WHERE endpoint = ?1
    UNION ALL SELECT source, message_key FROM held_report WHERE endpoint = ?1 LIMIT ?2
"""
_OPEN = """
    SELECT id, state FROM dispatch INDEXED BY dispatch_waiting
        WHERE state = 'waiting' AND endpoint = ?1
    UNION ALL SELECT id, state FROM dispatch INDEXED BY dispatch_lease
        WHERE state = 'leased' AND lease_until > 0 AND endpoint = ?1
    LIMIT ?2
"""
_MOVE_COUNTS = """
    INSERT INTO dispatch_count SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)
    WHERE true ON CONFLICT (endpoint, state) DO UPDATE SET count = count + excluded.count
"""
_PASSED_OVER = f"""
    SELECT {COLUMNS} FROM report
    WHERE id > (SELECT read_to FROM endpoint WHERE name = ?)
        AND id <= (SELECT read_from FROM endpoint WHERE name = ?)
    ORDER BY id LIMIT ?
"""


def cancel_waiting(connection: sqlite3.Connection, name: str) -> int:
    """Cancel a piece of what waits for the endpoint. Returns how many dispatches that were."""
    return connection.execute(_CANCEL, (name, PIECE)).rowcount


def drop_held(connection: sqlite3.Connection, name: str) -> int:
    """Drop a piece of what is held for the endpoint. Returns how many reports that were. What is
    held for a replay is dropped by it, and counted."""
    return connection.execute(_DROP_HELD, (name, PIECE)).rowcount


def let_go_of_order(connection: sqlite3.Connection, name: str) -> None:
    """What is still being sent holds up nothing any more."""
    connection.execute("UPDATE held_report SET freed = 1 WHERE endpoint = ?", (name,))
    connection.execute("DELETE FROM message_under_way WHERE endpoint = ?", (name,))


def hand_over_order(connection: sqlite3.Connection, name: str, by: str) -> int:
    """A piece of the messages that are under way or have held reports goes to the other endpoint.

    They go before the dispatches do: what holds up a report is known wherever the report is.
    Returns how many that were; one can be counted several times.
    """
    messages = connection.execute(_MESSAGES, (name, PIECE)).fetchall()
    for table in ("message_under_way", "held_report"):
        connection.executemany(
            f"UPDATE OR IGNORE {table} SET endpoint = ? WHERE {ordering.OF_MESSAGE}",
            [(by, name, *message) for message in messages],
        )
        connection.executemany(
            f"DELETE FROM {table} WHERE {ordering.OF_MESSAGE}",
            [(name, *message) for message in messages],
        )
    ordering.hold_what_is_under_way(connection, by, messages)
    return len(messages)


def hand_over_dispatches(connection: sqlite3.Connection, name: str, by: Endpoint) -> int:
    """A piece of what is on its way goes to the other endpoint. A header that was made of a URL's
    password stays behind. Returns how many dispatches that were."""
    rows = connection.execute(_OPEN, (name, PIECE)).fetchall()
    states = [state for _, state in rows]
    counts = [
        (endpoint, state, sign * states.count(state))
        for state in set(states)
        for endpoint, sign in ((name, -1), (by.name, 1))
    ]
    connection.execute(_MOVE_COUNTS, (listed(counts),))
    connection.execute(
        f"UPDATE dispatch SET endpoint = ?, url = ?, authorization = NULL WHERE id IN {LISTED}",
        (by.name, by.url, listed(number for number, _ in rows)),
    )
    return len(rows)


def hand_over_unread(connection: sqlite3.Connection, name: str, by: Endpoint) -> tuple[int, int]:
    """A piece of what neither of them has read is laid beside what the other one reads, like
    reports that were held. Returns how many were looked at, and how many of these it takes."""
    rows = connection.execute(_PASSED_OVER, (name, by.name, PIECE)).fetchall()
    if not rows:
        return 0, 0
    reports = [stored_report(row) for row in rows]
    taken = [report for report in reports if goes_to(report, by.rules)]
    ordering.hold(connection, ((by.name, report.id, report.message) for report in taken))
    connection.execute("UPDATE endpoint SET read_to = ? WHERE name = ?", (reports[-1].id, name))
    return len(reports), len(taken)
