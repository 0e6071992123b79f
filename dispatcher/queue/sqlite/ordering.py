"""The tables behind `ordered = true`: messages under way, and reports held for them (what goes
first: queue/ordering.py). What a dispatch holds up is freed when it ends, whatever ends it
(dispatcher/retrying/consequences.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from dispatcher.queue.ordering import BY_ITSELF, Place, has_to_wait
from receiver.store.base import Message

OF_MESSAGE = "endpoint = ? AND source = ? AND message_key = ?"
_UNDER_WAY = f"SELECT 1 FROM message_under_way WHERE {OF_MESSAGE}"
_HELD = f"SELECT report, replay FROM held_report WHERE {OF_MESSAGE}"
_HOLD = f"""
    INSERT INTO held_report (endpoint, report, source, message_key, replay, freed)
    VALUES (?, ?, ?, ?, ?, NOT EXISTS ({_UNDER_WAY}))
"""
_FREED = """
    SELECT endpoint, report FROM held_report AS mine INDEXED BY held_report_freed
    WHERE freed AND replay = ? AND NOT EXISTS (
        SELECT 1 FROM held_report AS other
        WHERE other.endpoint = mine.endpoint
            AND other.source = mine.source AND other.message_key = mine.message_key
            AND other.replay <> mine.replay
            AND (other.report, other.replay) < (mine.report, mine.replay)
    )
"""


def may_form(
    connection: sqlite3.Connection,
    replay: int,
    placed: Iterable[Place],
    freed: Sequence[tuple[str, int]],
) -> bool:
    """Whether nobody else took the held reports `freed` meanwhile, or got one before those that
    are `placed` in buckets."""
    if not all(_is_held(connection, endpoint, report, replay) for endpoint, report in freed):
        return False
    besides = set(freed)
    return not any(
        _under_way(connection, endpoint, message)
        or has_to_wait(
            replay,
            (endpoint, report, message),
            connection.execute(_HELD, (endpoint, *message)),
            besides,
        )
        for endpoint, report, message in placed
    )


def write(
    connection: sqlite3.Connection,
    replay: int,
    hold: Sequence[Place],
    freed: Sequence[tuple[str, int]],
) -> None:
    """Hold what has to wait, and take what waits no more."""
    if not hold and not freed:
        return
    connection.executemany(
        "DELETE FROM held_report WHERE endpoint = ? AND report = ? AND replay = ?",
        [(endpoint, report, replay) for endpoint, report in freed],
    )
    connection.executemany(
        _HOLD,
        [
            (endpoint, report, *message, replay, endpoint, *message)
            for endpoint, report, message in hold
        ],
    )


def hold(connection: sqlite3.Connection, places: Iterable[Place]) -> None:
    """Hold reports for no replay; those that are held already stay as they are."""
    connection.executemany(
        f"{_HOLD} ON CONFLICT DO NOTHING",
        (
            (endpoint, report, *message, BY_ITSELF, endpoint, *message)
            for endpoint, report, message in places
        ),
    )


def hold_what_is_under_way(
    connection: sqlite3.Connection, endpoint: str, messages: Iterable[Message]
) -> None:
    """What of these messages was free at another endpoint waits here for what is under way here."""
    connection.executemany(
        f"UPDATE held_report SET freed = 0 WHERE {OF_MESSAGE} AND EXISTS ({_UNDER_WAY})",
        [(endpoint, *message, endpoint, *message) for message in messages],
    )


def set_under_way(
    connection: sqlite3.Connection, endpoint: str, messages: Sequence[Message], dispatch: int
) -> None:
    """These messages have a report on its way to the endpoint."""
    places = [(endpoint, *message) for message in dict.fromkeys(messages)]
    connection.executemany(
        "INSERT INTO message_under_way (endpoint, source, message_key, dispatch)"
        " VALUES (?, ?, ?, ?)",
        [(*place, dispatch) for place in places],
    )
    # What did not fit into the same bucket waits again.
    connection.executemany(f"UPDATE held_report SET freed = 0 WHERE {OF_MESSAGE}", places)


def freed(connection: sqlite3.Connection, endpoint: str, limit: int) -> list[int]:
    """Reports held for no replay that wait for nothing any more, in the order of arrival."""
    rows = connection.execute(
        f"{_FREED} AND endpoint = ? ORDER BY report LIMIT ?", (BY_ITSELF, endpoint, limit)
    )
    return [report for _, report in rows]


def freed_of_replay(
    connection: sqlite3.Connection, replay: int, limit: int
) -> list[tuple[str, int]]:
    """Endpoints, and reports held for a replay that wait for nothing any more; of an endpoint in
    the order of arrival. Those that the endpoint has still to read by itself go there first."""
    rows = connection.execute(
        f"{_FREED} AND NOT EXISTS (SELECT 1 FROM endpoint"
        " WHERE name = mine.endpoint AND NOT removed AND read_to < mine.report)"
        " ORDER BY endpoint, report LIMIT ?",
        (replay, limit),
    )
    return rows.fetchall()


def blocked(
    connection: sqlite3.Connection,
    replay: int,
    endpoint: str,
    messages: Sequence[Message],
    besides: Sequence[int],
) -> frozenset[Message]:
    """Those of these messages that are under way, or have a held report which is not `besides`
    (of this replay)."""
    taken = {(report, replay) for report in besides}
    return frozenset(
        message
        for message in dict.fromkeys(messages)
        if _under_way(connection, endpoint, message)
        or any(held not in taken for held in connection.execute(_HELD, (endpoint, *message)))
    )


def _under_way(connection: sqlite3.Connection, endpoint: str, message: Message) -> bool:
    return connection.execute(_UNDER_WAY, (endpoint, *message)).fetchone() is not None


def _is_held(connection: sqlite3.Connection, endpoint: str, report: int, replay: int) -> bool:
    held = "SELECT 1 FROM held_report WHERE endpoint = ? AND report = ? AND replay = ?"
    return connection.execute(held, (endpoint, report, replay)).fetchone() is not None
