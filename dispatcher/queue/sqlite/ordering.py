"""The tables behind `ordered = true`: messages under way, and reports held for them.

Reports that come by themselves and those of replays are held side by side; `replay` says for whom
(BY_ITSELF: for none). Of one message the earlier report goes first, whoever it is held for. What a
dispatch holds up is freed when it ends, whatever ends it (dispatcher/retrying/consequences.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from dispatcher.queue.base import Forming

BY_ITSELF = 0
"""What a report that no replay brings is held for."""

Place = tuple[str, int, int]
"""A report on its way to an endpoint: the endpoint, the report, its message's key."""

_UNDER_WAY = "SELECT 1 FROM message_under_way WHERE endpoint = ? AND message_key = ?"
_HELD = "SELECT report, replay FROM held_report WHERE endpoint = ? AND message_key = ?"
_FREED = """
    SELECT endpoint, report FROM held_report AS mine INDEXED BY held_report_freed
    WHERE freed AND replay = ? AND NOT EXISTS (
        SELECT 1 FROM held_report AS other
        WHERE other.endpoint = mine.endpoint AND other.message_key = mine.message_key
            AND other.replay <> mine.replay
            AND (other.report, other.replay) < (mine.report, mine.replay)
    )
"""


def placed_by(forming: Forming) -> list[Place]:
    """What of it gets on its way; nothing at an endpoint that keeps no order."""
    endpoint = forming.endpoint
    if not endpoint.ordered:
        return []
    reports = (report for bucket in forming.buckets for report in bucket.reports)
    return [(endpoint.name, report.id, report.message_key) for report in reports]


def held_by(forming: Forming) -> list[Place]:
    """What of it has to wait."""
    name = forming.endpoint.name
    return [(name, report.id, report.message_key) for report in forming.hold]


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
        _under_way(connection, endpoint, key)
        or any(
            (other, of) < (report, replay) and not (of == replay and (endpoint, other) in besides)
            for other, of in connection.execute(_HELD, (endpoint, key))
        )
        for endpoint, report, key in placed
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
        "INSERT INTO held_report (endpoint, report, message_key, replay, freed)"
        f" VALUES (?, ?, ?, ?, NOT EXISTS ({_UNDER_WAY}))",
        [(endpoint, report, key, replay, endpoint, key) for endpoint, report, key in hold],
    )


def set_under_way(
    connection: sqlite3.Connection, endpoint: str, keys: Sequence[int], dispatch: int
) -> None:
    """These messages have a report on its way to the endpoint."""
    if not keys:
        return
    connection.executemany(
        "INSERT INTO message_under_way VALUES (?, ?, ?)",
        [(endpoint, key, dispatch) for key in dict.fromkeys(keys)],
    )
    # What did not fit into the same bucket waits again.
    connection.executemany(
        "UPDATE held_report SET freed = 0 WHERE endpoint = ? AND message_key = ?",
        [(endpoint, key) for key in dict.fromkeys(keys)],
    )


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
    keys: Sequence[int],
    besides: Sequence[int],
) -> frozenset[int]:
    """Those of these messages that are under way, or have a held report which is not `besides`
    (of this replay)."""
    taken = {(report, replay) for report in besides}
    return frozenset(
        key
        for key in dict.fromkeys(keys)
        if _under_way(connection, endpoint, key)
        or any(held not in taken for held in connection.execute(_HELD, (endpoint, key)))
    )


def _under_way(connection: sqlite3.Connection, endpoint: str, key: int) -> bool:
    return connection.execute(_UNDER_WAY, (endpoint, key)).fetchone() is not None


def _is_held(connection: sqlite3.Connection, endpoint: str, report: int, replay: int) -> bool:
    held = "SELECT 1 FROM held_report WHERE endpoint = ? AND report = ? AND replay = ?"
    return connection.execute(held, (endpoint, report, replay)).fetchone() is not None
