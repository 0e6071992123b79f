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
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from dispatcher.observe.base import (
    ACTIVITY_KEPT,
    Activity,
    ActivitySpan,
    AttemptCount,
    LatenessCount,
)
from receiver.store.base import TURN
from receiver.store.histogram import bin_of
from receiver.store.sqlite.database import Database, micros
from receiver.store.sqlite.rows import listed

TAIL_MOST = 2_000
"""Attempts after the cursor that are counted for one answer: 10 ms."""

_SPANS: dict[ActivitySpan, int] = {"minute": 60, "hour": 3_600}

_CURSOR = "SELECT attempt FROM activity_followed"
_MOVE = "UPDATE activity_followed SET attempt = ? WHERE attempt = ?"

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
    WHERE span = ? AND start >= ? GROUP BY endpoint, outcome, status_class, bin
"""
_LATENESS = """
    SELECT endpoint, bin, sum(reports) FROM lateness_tally
    WHERE span = ? AND start >= ? GROUP BY endpoint, bin
"""

_Row = Sequence[Any]
"""As `_AFTER` has it."""


class SqliteActivity:
    """Implements AttemptActivity."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def activity(self, span: ActivitySpan, since: datetime) -> Activity:
        return await self._database.question(lambda c: _activity(c, _SPANS[span], since))

    async def turn(self, most: int = TURN) -> int:
        read_from, rows = await self._database.question(lambda c: _read_on(c, most))
        if rows:
            # What a power cut undoes is counted again, and so is its cursor.
            await self._database.write_unflushed(lambda c: _write(c, read_from, rows))
        return len(rows)

    async def catch_up(self) -> int:
        followed = 0
        while count := await self.turn():
            followed += count
        return followed


def _read_on(connection: sqlite3.Connection, most: int) -> tuple[int, list[_Row]]:
    """The cursor, and the next attempts after it."""
    (read_from,) = connection.execute(_CURSOR).fetchone()
    return read_from, connection.execute(_AFTER, (read_from, most)).fetchall()


def _write(connection: sqlite3.Connection, read_from: int, rows: Sequence[_Row]) -> None:
    """Count these attempts, unless another process has moved the cursor meanwhile."""
    if connection.execute(_MOVE, (rows[-1][0], read_from)).rowcount != 1:
        return
    # Not by the newest: after a clock that was ahead for a moment, that would drop all there is.
    oldest = min(row[1] for row in rows) // 1_000_000
    for span, kept in ACTIVITY_KEPT.items():
        seconds = _SPANS[span]
        _add(connection, _ADD_ATTEMPTS, _attempts(rows, seconds))
        _add(connection, _ADD_LATENESS, _lateness(rows, seconds))
        before = oldest - int(kept.total_seconds())
        for table in ("attempt_tally", "lateness_tally"):
            connection.execute(
                f"DELETE FROM {table} WHERE span = ? AND start < ?", (seconds, before)
            )


def _add(connection: sqlite3.Connection, statement: str, counts: Counter[tuple[Any, ...]]) -> None:
    connection.execute(statement, (listed(sorted((*key, n) for key, n in counts.items())),))


def _attempts(rows: Iterable[_Row], span: int) -> Counter[tuple[Any, ...]]:
    """Attempts by span, start, endpoint, outcome, class of status and duration."""
    return Counter(
        (span, _start(started_at, span), endpoint, outcome, (status or 0) // 100, bin_of(int(ms)))
        for _, started_at, ms, status, outcome, endpoint, _, _ in rows
    )


def _lateness(rows: Iterable[_Row], span: int) -> Counter[tuple[Any, ...]]:
    """Reports by span, start, endpoint and lateness."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for _, started_at, ms, _, _, endpoint, reports, received_at in rows:
        if received_at is not None:
            late = int((started_at - received_at) / 1_000 + ms)
            counts[span, _start(started_at, span), endpoint, bin_of(late)] += reports
    return counts


def _start(at: int, span: int) -> int:
    return int(at) // (span * 1_000_000) * span


def _activity(connection: sqlite3.Connection, span: int, since: datetime) -> Activity:
    """What one view of the database says."""
    start = micros(since) // 1_000_000 // span * span
    read_to, tail = _read_on(connection, TAIL_MOST)
    if tail:
        read_to = tail[-1][0]
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM attempt").fetchone()
    attempts = _summed(
        connection.execute(_ATTEMPTS, (span, start)), _since(_attempts(tail, span), start)
    )
    lateness = _summed(
        connection.execute(_LATENESS, (span, start)), _since(_lateness(tail, span), start)
    )
    return Activity(
        attempts=[AttemptCount(*row) for row in attempts],
        lateness=[LatenessCount(*row) for row in lateness],
        lag=max(newest - read_to, 0),
    )


def _summed(*counts: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Rows whose last column is a count: one for each of what stands before it, in its order."""
    sums: Counter[tuple[Any, ...]] = Counter()
    for *key, count in chain(*counts):
        sums[tuple(key)] += count
    return sorted((*key, count) for key, count in sums.items())


def _since(counts: Counter[tuple[Any, ...]], since: int) -> Iterable[tuple[Any, ...]]:
    """Of counts by span and start those that began then or later, without these two."""
    return ((*rest, count) for (_, start, *rest), count in counts.items() if start >= since)
