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
from receiver.store.instants import micros
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.rows import listed

TAIL_MOST = 2_000
"""Attempts after the cursor that are counted for one answer: 10 ms."""

_SPANS: dict[ActivitySpan, int] = {"minute": 60, "hour": 3_600}

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

_Row = Sequence[Any]
"""As `_AFTER` has it."""


class SqliteActivity:
    """Implements AttemptActivity."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def activity(
        self, span: ActivitySpan, since: datetime, endpoint: str | None = None
    ) -> Activity:
        return await self._database.question(lambda c: _activity(c, _SPANS[span], since, endpoint))

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
    for seconds in _SPANS.values():
        _add(connection, _ADD_ATTEMPTS, _attempts(rows, seconds))
        _add(connection, _ADD_LATENESS, _lateness(rows, seconds))
    _prune(connection, min(row[1] for row in rows) // 1_000_000)


def _prune(connection: sqlite3.Connection, at: int) -> None:
    """Once an hour drop what nobody asks for any more. `at` is the time of the oldest attempt that
    was counted now: after a clock that was ahead for a moment, the newest would drop all."""
    if connection.execute(_PRUNE, (at // 3_600,)).rowcount:
        for span, kept in ACTIVITY_KEPT.items():
            gone = (_SPANS[span], at - int(kept.total_seconds()))
            connection.execute("DELETE FROM attempt_tally WHERE span = ? AND start < ?", gone)
            connection.execute("DELETE FROM lateness_tally WHERE span = ? AND start < ?", gone)


def _add(connection: sqlite3.Connection, statement: str, counts: Counter[tuple[Any, ...]]) -> None:
    connection.execute(statement, (listed(sorted((*key, n) for key, n in counts.items())),))


def _attempts(rows: Iterable[_Row], span: int) -> Counter[tuple[Any, ...]]:
    """Attempts by the key of attempt_tally."""
    return Counter(
        (span, endpoint, outcome, (status or 0) // 100, _bin(int(ms)), _start(started_at, span))
        for _, started_at, ms, status, outcome, endpoint, _, _ in rows
    )


def _lateness(rows: Iterable[_Row], span: int) -> Counter[tuple[Any, ...]]:
    """Reports by the key of lateness_tally."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for _, started_at, ms, _, _, endpoint, reports, received_at in rows:
        if received_at is not None:
            late = int((started_at - received_at) / 1_000 + ms)
            counts[span, endpoint, _bin(late), _start(started_at, span)] += reports
    return counts


def _bin(milliseconds: int) -> int:
    """The bin of a duration that is rounded to four binary digits: so a fourth of the rows."""
    shift = max(milliseconds.bit_length() - 4, 0)
    return bin_of((milliseconds >> shift << shift) + (1 << shift >> 1))


def _start(at: int, span: int) -> int:
    return int(at) // (span * 1_000_000) * span


def _activity(
    connection: sqlite3.Connection, span: int, since: datetime, endpoint: str | None
) -> Activity:
    """What one view of the database says."""
    start = micros(since) // 1_000_000 // span * span
    read_to, tail = _read_on(connection, TAIL_MOST)
    if tail:
        read_to = tail[-1][0]
    if endpoint is not None:
        tail = [row for row in tail if row[5] == endpoint]
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM attempt").fetchone()
    return Activity(
        attempts=[
            AttemptCount(*row)
            for row in _summed(
                _stored(connection, _ATTEMPTS, span, start, endpoint),
                _since(_attempts(tail, span), start),
            )
        ],
        lateness=[
            LatenessCount(*row)
            for row in _summed(
                _stored(connection, _LATENESS, span, start, endpoint),
                _since(_lateness(tail, span), start),
            )
        ],
        lag=max(newest - read_to, 0),
    )


def _stored(
    connection: sqlite3.Connection, statement: str, span: int, since: int, endpoint: str | None
) -> Sequence[_Row]:
    if endpoint is None:
        return connection.execute(statement.format(of="true"), (span, since)).fetchall()
    of_one = statement.format(of="endpoint = ?")
    return connection.execute(of_one, (span, endpoint, since)).fetchall()


def _summed(stored: Sequence[_Row], tail: Sequence[_Row]) -> Sequence[_Row]:
    """Rows whose last column is a count: one for each of what stands before it, in its order, as
    `stored` are."""
    if not tail:
        return stored
    sums = Counter({tuple(row[:-1]): row[-1] for row in stored})
    for *key, count in tail:
        sums[tuple(key)] += count
    return sorted((*key, count) for key, count in sums.items())


def _since(counts: Counter[tuple[Any, ...]], since: int) -> Sequence[_Row]:
    """Of counts by the key of a table those that began then or later, without span and start."""
    return [(*rest, count) for (_, *rest, start), count in counts.items() if start >= since]
