"""Finds the reports that every endpoint has read past and none took, newest first, in steps."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from dispatcher.api.base import UnroutedReports
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.rows import COLUMNS, LISTED, last_id, listed, stored_report

STEP = 20_000
"""Reports that one step looks at."""

_NOT_TAKEN = """
    FROM report WHERE id BETWEEN ? AND ?
    AND NOT EXISTS (SELECT 1 FROM dispatch_report WHERE report = report.id)
    AND NOT EXISTS (
        SELECT 1 FROM held_report
        WHERE endpoint IN (SELECT name FROM endpoint) AND held_report.report = report.id
    )
"""
_UNTAKEN = f"SELECT {COLUMNS} {_NOT_TAKEN} ORDER BY id DESC LIMIT ?"
_COUNTED = f"SELECT count(*), coalesce(sum(final), 0) {_NOT_TAKEN}"


class SqliteUnrouted:
    """Implements UnroutedStore. One step looks at `step` reports."""

    def __init__(self, database: Database, step: int = STEP) -> None:
        self._database = database
        self._step = step

    async def unrouted(
        self, endpoints: Collection[str], before: int | None, limit: int
    ) -> UnroutedReports:
        return await self._database.question(
            lambda c: _unrouted(c, endpoints, before, limit, self._step)
        )


def _unrouted(
    connection: sqlite3.Connection,
    endpoints: Collection[str],
    before: int | None,
    limit: int,
    step: int,
) -> UnroutedReports:
    read_to = _read_to(connection, endpoints)
    forgotten = _forgotten(connection)
    first: int = connection.execute("SELECT min(id) FROM report").fetchone()[0] or 1
    lowest = max(first, forgotten + 1)
    high = read_to if before is None else min(read_to, before - 1)
    low = max(lowest, high - step + 1)
    rows = connection.execute(_UNTAKEN, (low, high, limit + 1)).fetchall()
    reports = [stored_report(row) for row in rows[:limit]]
    following: int | None = low if low > lowest else None
    if len(rows) > limit:
        following = reports[-1].id
    return UnroutedReports(reports, following, read_to, forgotten)


def count_unrouted(
    connection: sqlite3.Connection, endpoints: Collection[str], most: int
) -> tuple[int, int]:
    """Of the `most` newest reports that all of these endpoints have read, those that none took, and
    those of them that are final."""
    high = _read_to(connection, endpoints)
    low = max(high - most, _forgotten(connection)) + 1
    found: tuple[int, int] = connection.execute(_COUNTED, (low, high)).fetchone()
    return found


def _forgotten(connection: sqlite3.Connection) -> int:
    report: int = connection.execute("SELECT report FROM taken_forgotten").fetchone()[0]
    return report


def _read_to(connection: sqlite3.Connection, endpoints: Collection[str]) -> int:
    """How far all of them have read. One that nobody has made known yet reads from the next report
    on, unless it is among the first of the database."""
    highest = last_id(connection, "report")
    known = connection.execute("SELECT 1 FROM endpoint LIMIT 1").fetchone()
    if endpoints and not known:
        return 0
    read_to: int | None = connection.execute(
        f"SELECT min(read_to) FROM endpoint WHERE name IN {LISTED}", (listed(endpoints),)
    ).fetchone()[0]
    return highest if read_to is None else min(read_to, highest)
