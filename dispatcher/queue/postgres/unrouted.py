"""Finds the reports that every endpoint has read past and none took, newest first, in steps."""

from __future__ import annotations

from collections.abc import Collection

from dispatcher.api.base import UnroutedReports
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.rows import COLUMNS, last_id, stored_report

STEP = 20_000
"""Reports that one step looks at."""

_NOT_TAKEN = """
    FROM report WHERE id BETWEEN %s AND %s
    AND NOT EXISTS (SELECT FROM dispatch_report WHERE report = report.id)
    AND NOT EXISTS (
        SELECT FROM held_report
        WHERE endpoint IN (SELECT name FROM endpoint) AND held_report.report = report.id
    )
"""
_UNTAKEN = f"SELECT {COLUMNS} {_NOT_TAKEN} ORDER BY id DESC LIMIT %s"
_COUNTED = f"SELECT count(*), count(*) FILTER (WHERE final) {_NOT_TAKEN}"
_FORGOTTEN = "SELECT report FROM taken_forgotten"
_LOWEST_OF_STEP = """
    SELECT coalesce(min(id), 0)
    FROM (SELECT id FROM report WHERE id <= %s ORDER BY id DESC LIMIT %s) AS step
"""
_READ_TO = "SELECT min(read_to) FROM endpoint WHERE name = ANY(%s::text[])"


class PostgresUnrouted:
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
    connection: Connection,
    endpoints: Collection[str],
    before: int | None,
    limit: int,
    step: int,
) -> UnroutedReports:
    read_to = _read_to(connection, endpoints)
    forgotten = int(row_of(connection.execute(_FORGOTTEN))[0])
    first = int(row_of(connection.execute("SELECT coalesce(min(id), 1) FROM report"))[0])
    lowest = max(first, forgotten + 1)
    high = read_to if before is None else min(read_to, before - 1)
    low = max(lowest, row_of(connection.execute(_LOWEST_OF_STEP, (high, step)))[0])
    rows = connection.execute(_UNTAKEN, (low, high, limit + 1)).fetchall()
    reports = [stored_report(row) for row in rows[:limit]]
    following: int | None = low if low > lowest else None
    if len(rows) > limit:
        following = reports[-1].id
    return UnroutedReports(reports, following, read_to, forgotten)


def count_unrouted(
    connection: Connection, endpoints: Collection[str], most: int
) -> tuple[int, int]:
    """Of the `most` newest reports that all of these endpoints have read, those that none took, and
    those of them that are final."""
    high = _read_to(connection, endpoints)
    forgotten = int(row_of(connection.execute(_FORGOTTEN))[0])
    (low,) = row_of(connection.execute(_LOWEST_OF_STEP, (high, most)))
    found = row_of(connection.execute(_COUNTED, (max(low, forgotten + 1), high)))
    return found[0], found[1]


def _read_to(connection: Connection, endpoints: Collection[str]) -> int:
    """How far all of them have read. One that nobody has made known yet reads from the next report
    on, unless it is among the first of the database."""
    highest = last_id(connection, "report_id")
    known = connection.execute("SELECT 1 FROM endpoint LIMIT 1").fetchone()
    if endpoints and not known:
        return 0
    read_to: int | None = row_of(connection.execute(_READ_TO, ([*endpoints],)))[0]
    return highest if read_to is None else min(read_to, highest)
