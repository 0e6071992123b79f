"""What endpoints did of late, in tallies that follow behind the attempts.

The transaction that records an attempt writes none of it. `turn` takes the attempts after its
cursor, some at a time, and writes what follows from them and the new cursor in one transaction:
whenever it is killed, each attempt has been counted once or not yet. A reader takes the tallies up
to the cursor, and the newer attempts themselves.

Minutes and hours are counted, and both are dropped when nobody asks for them any more.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dispatcher.observe.base import Activity, ActivitySpan
from dispatcher.observe.tallies import (
    SPANS,
    TAIL_MOST,
    Row,
    activity_of,
    attempts_by_key,
    gone_before,
    in_spans,
    lateness_by_key,
)
from receiver.store.base import TURN
from receiver.store.instants import micros
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.rows import listed

_CURSOR = "SELECT attempt FROM activity_followed"
_MOVE = "UPDATE activity_followed SET attempt = ? WHERE attempt = ?"
_PRUNE = "UPDATE activity_followed SET pruned = ?1 WHERE pruned <> ?1"

# A replay brings what is old on purpose, and says nothing of lateness.
_AFTER = """
    SELECT attempt.id, started_at, duration_ms, status, outcome, dispatch.endpoint,
        dispatch.reports, received_at
    FROM attempt JOIN dispatch ON dispatch.id = attempt.dispatch
    LEFT JOIN report ON report.id = dispatch.first_report
        AND outcome = 'acknowledged' AND dispatch.replay IS NULL
    WHERE attempt.id > ? ORDER BY attempt.id LIMIT ?
"""
_ADD_ATTEMPTS = """
    INSERT INTO attempt_tally
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
        value ->> 6
    FROM json_each(?) WHERE true
    ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts
"""
_ADD_LATENESS = """
    INSERT INTO lateness_tally
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
    FROM json_each(?) WHERE true
    ON CONFLICT DO UPDATE SET reports = reports + excluded.reports
"""
_ATTEMPTS = """
    SELECT endpoint, outcome, status_class, bin, sum(attempts) FROM attempt_tally
    WHERE span = ? AND {of} AND start >= ? GROUP BY endpoint, outcome, status_class, bin
    ORDER BY endpoint, outcome, status_class, bin
"""
_LATENESS = """
    SELECT endpoint, bin, sum(reports) FROM lateness_tally
    WHERE span = ? AND {of} AND start >= ? GROUP BY endpoint, bin ORDER BY endpoint, bin
"""


class SqliteActivity:
    """Implements AttemptActivity."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def activity(
        self, span: ActivitySpan, since: datetime, endpoint: str | None = None
    ) -> Activity:
        return await self._database.question(lambda c: _activity(c, SPANS[span], since, endpoint))

    async def turn(self, most: int = TURN) -> int:
        read_from, rows = await self._database.question(lambda c: _read_on(c, most))
        if rows:
            # What a power cut undoes is counted again, and so is its cursor.
            await self._database.write_unflushed(lambda c: _write(c, read_from, rows))
        return len(rows)

    async def catch_up(self) -> int:
        followed = 0
        while count := await self.turn(4 * TURN):  # nobody else waits
            followed += count
        return followed


def _read_on(connection: sqlite3.Connection, most: int) -> tuple[int, list[Row]]:
    """The cursor, and the next attempts after it."""
    (read_from,) = connection.execute(_CURSOR).fetchone()
    return read_from, connection.execute(_AFTER, (read_from, most)).fetchall()


def _write(connection: sqlite3.Connection, read_from: int, rows: Sequence[Row]) -> None:
    """Count these attempts, unless another process has moved the cursor meanwhile."""
    if connection.execute(_MOVE, (rows[-1][0], read_from)).rowcount != 1:
        return
    minute = SPANS["minute"]
    attempts, lateness = attempts_by_key(rows, minute), lateness_by_key(rows, minute)
    for seconds in SPANS.values():
        _add(connection, _ADD_ATTEMPTS, in_spans(seconds, attempts))
        _add(connection, _ADD_LATENESS, in_spans(seconds, lateness))
    _prune(connection, min(row[1] for row in rows) // 1_000_000)


def _prune(connection: sqlite3.Connection, at: int) -> None:
    """Once an hour drop what nobody asks for any more. `at` is the time of the oldest attempt that
    was counted now: after a clock that was ahead for a moment, the newest would drop all."""
    if connection.execute(_PRUNE, (at // 3_600,)).rowcount:
        for gone in gone_before(at):
            connection.execute("DELETE FROM attempt_tally WHERE span = ? AND start < ?", gone)
            connection.execute("DELETE FROM lateness_tally WHERE span = ? AND start < ?", gone)


def _add(connection: sqlite3.Connection, statement: str, counts: Counter[tuple[Any, ...]]) -> None:
    connection.execute(statement, (listed(sorted((*key, n) for key, n in counts.items())),))


def _activity(
    connection: sqlite3.Connection, span: int, since: datetime, endpoint: str | None
) -> Activity:
    """What one view of the database says."""
    start = micros(since) // 1_000_000 // span * span
    read_to, tail = _read_on(connection, TAIL_MOST)
    if tail:
        read_to = tail[-1][0]
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM attempt").fetchone()
    return activity_of(
        _stored(connection, _ATTEMPTS, span, start, endpoint),
        _stored(connection, _LATENESS, span, start, endpoint),
        tail,
        span=span,
        start=start,
        endpoint=endpoint,
        lag=max(newest - read_to, 0),
    )


def _stored(
    connection: sqlite3.Connection, statement: str, span: int, since: int, endpoint: str | None
) -> Sequence[Row]:
    if endpoint is None:
        return connection.execute(statement.format(of="true"), (span, since)).fetchall()
    of_one = statement.format(of="endpoint = ?")
    return connection.execute(of_one, (span, endpoint, since)).fetchall()
