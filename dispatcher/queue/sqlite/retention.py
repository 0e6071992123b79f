"""What retention removes: dispatches that have ended, whole, with their body and their attempts.

And what the queue still needs of the store: reports that no endpoint may lose by its retention.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from dispatcher.queue.sqlite.members import members_of
from dispatcher.queue.sqlite.replays import first_unfed
from dispatcher.upkeep.base import Rows
from receiver.store.base import Pause
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.retention import SqliteRetention, last_to_go
from receiver.store.sqlite.rows import LISTED, ids_of, listed

BATCH = 200
"""Dispatches in a transaction."""

BATCH_REPORTS = 2_000
"""Reports of these dispatches in a transaction: each is a row of `dispatch_report`."""

_ENDED = "state NOT IN ('waiting', 'leased')"

Ended = tuple[int, int, int, int]
"""Of an ended dispatch: id, first and last report, number of reports."""


class NeededByEndpoints:
    """Implements receiver.store.retention.Needed: what endpoints and replays have not read, and
    what waiting and leased dispatches carry or hold up."""

    def unread_after(self, connection: sqlite3.Connection) -> int | None:
        statement = "SELECT min(read_to) FROM endpoint WHERE removed = 0"
        read_to: int | None = connection.execute(statement).fetchone()[0]
        unfed = first_unfed(connection)
        return min((at for at in (read_to, unfed and unfed - 1) if at is not None), default=None)

    def carried(self, connection: sqlite3.Connection, first: int, last: int) -> Collection[int]:
        statement = (
            "SELECT DISTINCT report FROM dispatch_report JOIN dispatch ON dispatch.id = dispatch"
            " WHERE report BETWEEN ?1 AND ?2 AND state IN ('waiting', 'leased')"
            " UNION SELECT report FROM held_report"
            " WHERE endpoint IN (SELECT name FROM endpoint) AND report BETWEEN ?1 AND ?2"
        )
        return ids_of(connection, statement, (first, last))


class QueueRetention(SqliteRetention):
    """Implements Retention: of what the store holds, and of dispatches."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, NeededByEndpoints())

    async def purge_dispatches(self, *, before: datetime | None, most: int, pause: Pause) -> Rows:
        removed: Counter[str] = Counter(dict.fromkeys(_TABLES, 0))
        for find in (_formed_before(before), _beyond(most)):
            last, batch = await self._database.question(find)
            after = 0
            while True:
                after, ended = await self._database.question(_from(batch, after, last))
                if ended:
                    removed.update(await self._database.write(_remove(ended)))
                if after >= last:
                    break
                await pause()
        return dict(removed)

    async def count_dispatches(self, *, before: datetime | None, most: int) -> Rows:
        return await self._database.question(lambda c: _count(c, before, most))


# Of endpoints that were made for a replay to a URL: each such replay would leave some for ever.
_UNCOUNTED = "DELETE FROM dispatch_count WHERE count = 0 AND endpoint GLOB 'replay-[0-9]*'"

_TABLES = ("dispatch", "dispatch_body", "dispatch_report", "attempt")

_Batch = Callable[[sqlite3.Connection, int, int], tuple[int, list[Ended]]]
"""What follows an id, up to a last one: the id looked at last, and the ended dispatches."""


def _count(connection: sqlite3.Connection, before: datetime | None, most: int) -> Rows:
    formed = last_to_go(connection, "dispatch", before, 0)
    made = last_to_go(connection, "attempt", None, most)
    chosen = (
        f"SELECT id, reports FROM dispatch WHERE {_ENDED} AND (id <= ? OR id IN"
        " (SELECT dispatch FROM attempt WHERE id <= ?))"
    )
    counted = connection.execute(
        f"SELECT count(*), coalesce(sum(reports), 0) FROM ({chosen})", (formed, made)
    ).fetchone()
    attempts = connection.execute(
        f"SELECT count(*) FROM attempt WHERE dispatch IN (SELECT id FROM ({chosen}))",
        (formed, made),
    ).fetchone()
    return dict(zip(_TABLES, (counted[0], counted[0], counted[1], attempts[0]), strict=True))


def _from(
    batch: _Batch, after: int, last: int
) -> Callable[[sqlite3.Connection], tuple[int, list[Ended]]]:
    return lambda connection: batch(connection, after, last)


def _formed_before(before: datetime | None) -> Callable[[sqlite3.Connection], tuple[int, _Batch]]:
    def batch(connection: sqlite3.Connection, after: int, last: int) -> tuple[int, list[Ended]]:
        rows = connection.execute(
            "SELECT id, first_report, last_report, reports, "
            f"{_ENDED} FROM dispatch WHERE id > ? AND id <= ? ORDER BY id LIMIT {BATCH}",
            (after, last),
        )
        return _bounded(rows, last)

    return lambda connection: (last_to_go(connection, "dispatch", before, 0), batch)


def _beyond(most: int) -> Callable[[sqlite3.Connection], tuple[int, _Batch]]:
    def batch(connection: sqlite3.Connection, after: int, last: int) -> tuple[int, list[Ended]]:
        rows = connection.execute(
            f"SELECT id, dispatch FROM attempt WHERE id > ? AND id <= ? ORDER BY id LIMIT {BATCH}",
            (after, last),
        ).fetchall()
        if not rows:
            return last, []
        ended = connection.execute(
            "SELECT id, first_report, last_report, reports FROM dispatch"
            f" WHERE id IN {LISTED} AND {_ENDED}",
            (listed(sorted({dispatch for _, dispatch in rows})),),
        )
        return rows[-1][0], list(ended)

    return lambda connection: (last_to_go(connection, "attempt", None, most), batch)


def _bounded(rows: Iterable[tuple[int, int, int, int, int]], last: int) -> tuple[int, list[Ended]]:
    """As many dispatches as have a bounded number of reports together, but at least one."""
    ended: list[Ended] = []
    reports, looked_at = 0, last
    for number, first, final, size, has_ended in rows:
        if ended and reports + size > BATCH_REPORTS:
            return looked_at, ended
        looked_at = number
        if has_ended:
            ended.append((number, first, final, size))
            reports += size
    return looked_at, ended


def _remove(ended: list[Ended]) -> Callable[[sqlite3.Connection], dict[str, int]]:
    return lambda connection: _removed(connection, ended)


def _removed(connection: sqlite3.Connection, ended: list[Ended]) -> dict[str, int]:
    ids = [(number,) for number, *_ in ended]
    members = members_of(connection, [number for number, *_ in ended])
    for table in ("unrecorded_attempt", "dispatch_members"):
        connection.executemany(f"DELETE FROM {table} WHERE dispatch = ?", ids)
    removed = {
        "dispatch_report": connection.executemany(
            "DELETE FROM dispatch_report WHERE report = ? AND dispatch = ?",
            [(report, dispatch) for dispatch, reports in members.items() for report in reports],
        ).rowcount,
        "dispatch_body": connection.executemany(
            "DELETE FROM dispatch_body WHERE dispatch = ?", ids
        ).rowcount,
        "attempt": connection.executemany("DELETE FROM attempt WHERE dispatch = ?", ids).rowcount,
        "dispatch": connection.executemany("DELETE FROM dispatch WHERE id = ?", ids).rowcount,
    }
    connection.execute(_UNCOUNTED)
    return removed
