"""What becomes of what waits for an endpoint that leaves, in pieces.

A million dispatches in one transaction would be one that everybody waits for. So each function
takes a piece, as a part of a transaction of its own, and its caller asks again until none is left.
Whoever is interrupted in between can ask again later: what is left is found.

Each locks the endpoint alone. A dispatch that comes back at the same time either is there before,
and is found, or comes after (returned_unwanted_is_cancelled) and sees that its endpoint has gone.
"""

from __future__ import annotations

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming.routing import goes_to
from dispatcher.queue.postgres import ordering
from receiver.store.base import Message
from receiver.store.postgres.database import Connection
from receiver.store.postgres.rows import COLUMNS, stored_report

PIECE = 1_000
"""Rows that one transaction goes through: some 20 ms."""

_ALONE = "SELECT FROM endpoint WHERE name = ANY(%s::text[]) ORDER BY name FOR UPDATE"
_CANCEL = """
    UPDATE dispatch SET state = 'cancelled', due_at = NULL WHERE state = 'waiting' AND id IN (
        SELECT id FROM dispatch WHERE state = 'waiting' AND endpoint = %s ORDER BY id LIMIT %s
    )
"""
_DROP_HELD = """
    DELETE FROM held_report WHERE endpoint = %(name)s AND replay = 0 AND report IN
        (SELECT report FROM held_report WHERE endpoint = %(name)s AND replay = 0 LIMIT %(most)s)
"""
_MESSAGES = """
    SELECT source, message_key FROM message_under_way WHERE endpoint = %(name)s
    UNION ALL SELECT source, message_key FROM held_report WHERE endpoint = %(name)s LIMIT %(most)s
"""
# What is at the other endpoint already stays as it is there.
_TAKE_ON = """
    UPDATE {table} AS mine SET endpoint = %(by)s WHERE {messages} AND NOT EXISTS (
        SELECT FROM {table} AS other WHERE other.endpoint = %(by)s AND {same}
    )
"""
_SAME = {
    "message_under_way": "(other.source, other.message_key) = (mine.source, mine.message_key)",
    "held_report": "(other.report, other.replay) = (mine.report, mine.replay)",
}
_THESE = """
    endpoint = %(name)s AND (source, message_key) IN
        (SELECT * FROM unnest(%(sources)s::text[], %(keys)s::bigint[]))
"""
_MOVE = """
    WITH mine AS MATERIALIZED (
        SELECT id FROM dispatch WHERE state IN ('waiting', 'leased') AND endpoint = %(name)s
        ORDER BY id LIMIT %(most)s FOR NO KEY UPDATE
    )
    UPDATE dispatch SET endpoint = %(by)s, url = %(url)s, authorization_header = NULL
    FROM mine WHERE dispatch.id = mine.id
"""
_PASSED_OVER = f"""
    SELECT {COLUMNS} FROM report
    WHERE id > (SELECT read_to FROM endpoint WHERE name = %s)
        AND id <= (SELECT read_from FROM endpoint WHERE name = %s)
    ORDER BY id LIMIT %s
"""


def cancel_waiting(connection: Connection, name: str) -> int:
    """Cancel a piece of what waits for the endpoint. Returns how many dispatches that were."""
    _lock(connection, name)
    return connection.execute(_CANCEL, (name, PIECE)).rowcount


def drop_held(connection: Connection, name: str) -> int:
    """Drop a piece of what is held for the endpoint. Returns how many reports that were. What is
    held for a replay is dropped by it, and counted."""
    _lock(connection, name)
    return connection.execute(_DROP_HELD, {"name": name, "most": PIECE}).rowcount


def let_go_of_order(connection: Connection, name: str) -> None:
    """What is still being sent holds up nothing any more."""
    _lock(connection, name)
    connection.execute("UPDATE held_report SET freed = true WHERE endpoint = %s", (name,))
    connection.execute("DELETE FROM message_under_way WHERE endpoint = %s", (name,))


def hand_over_order(connection: Connection, name: str, by: str) -> int:
    """A piece of the messages that are under way or have held reports goes to the other endpoint.

    They go before the dispatches do: what holds up a report is known wherever the report is.
    Returns how many that were; one can be counted several times.
    """
    _lock(connection, name, by)
    messages: list[Message] = [
        (source, key)
        for source, key in connection.execute(_MESSAGES, {"name": name, "most": PIECE})
    ]
    sources, keys = [source for source, _ in messages], [key for _, key in messages]
    values = {"name": name, "by": by, "sources": sources, "keys": keys}
    for table, same in _SAME.items():
        connection.execute(_TAKE_ON.format(table=table, messages=_THESE, same=same), values)
        connection.execute(f"DELETE FROM {table} WHERE {_THESE}", values)
    ordering.hold_what_is_under_way(connection, by, messages)
    return len(messages)


def hand_over_dispatches(connection: Connection, name: str, by: Endpoint) -> int:
    """A piece of what is on its way goes to the other endpoint. A header that was made of a URL's
    password stays behind. Returns how many dispatches that were."""
    _lock(connection, name, by.name)
    values = {"name": name, "by": by.name, "url": by.url, "most": PIECE}
    return connection.execute(_MOVE, values).rowcount


def hand_over_unread(connection: Connection, name: str, by: Endpoint) -> tuple[int, int]:
    """A piece of what neither of them has read is laid beside what the other one reads, like
    reports that were held. Returns how many were looked at, and how many of these it takes."""
    _lock(connection, name, by.name)
    rows = connection.execute(_PASSED_OVER, (name, by.name, PIECE)).fetchall()
    if not rows:
        return 0, 0
    reports = [stored_report(row) for row in rows]
    taken = [report for report in reports if goes_to(report, by.rules)]
    ordering.hold(connection, ((by.name, report.id, report.message) for report in taken))
    connection.execute("UPDATE endpoint SET read_to = %s WHERE name = %s", (reports[-1].id, name))
    return len(reports), len(taken)


def _lock(connection: Connection, *names: str) -> None:
    connection.execute(_ALONE, ([*names],))
