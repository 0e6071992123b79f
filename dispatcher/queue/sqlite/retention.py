"""What retention asks of SQLite (dispatcher/upkeep/removal.py): of dispatches, and
which reports the queue still needs."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime

from dispatcher.endpoints.base import NOBODY_KNOWN, Readers
from dispatcher.queue.sqlite.members import members_of
from dispatcher.queue.sqlite.replays import pieces_from, running
from dispatcher.replay.unfed import Unfed
from dispatcher.upkeep.base import Rows
from dispatcher.upkeep.removal import (
    TABLES,
    DispatchRemoval,
    Ended,
    Formed,
    holders_of,
    last_beyond,
    unread_of,
)
from receiver.store.instants import micros_or_null
from receiver.store.removal import Holders, Place
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.retention import SqliteRetention
from receiver.store.sqlite.rows import COLUMNS, LISTED, ends_of, listed, stored_report

_ENDED = "state NOT IN ('waiting', 'leased')"


class NeededByEndpoints:
    """Implements receiver.store.retention.Needed: what endpoints and replays will still take of
    what they have not read, and what waiting and leased dispatches carry or hold up."""

    def __init__(self, readers: Readers = NOBODY_KNOWN) -> None:
        self._readers = readers
        self._unfed = Unfed()

    def holders(self, connection: sqlite3.Connection, reports: Sequence[int]) -> Holders:
        readers = connection.execute(_READERS).fetchall()
        unread = unread_of(readers, reports, self._readers.gone)
        ids = listed(sorted(set().union(*unread.values())))
        stored = [stored_report(row) for row in connection.execute(_REPORTS, (ids,))]
        unfed = self._unfed.among(
            reports, running(connection), functools.partial(pieces_from, connection)
        )
        carried = [
            row
            for statement in (_CARRIED, _HELD)
            for row in connection.execute(statement, (listed(reports),))
        ]
        return holders_of(self._readers, unread, stored, unfed, carried)


_REPORTS = f"SELECT {COLUMNS} FROM report WHERE id IN {LISTED}"
_READERS = "SELECT name, read_to FROM endpoint WHERE removed = 0"
# The bytes of a dispatch whose bytes are not kept are made of its reports, whoever takes it over.
_CARRIED = f"""
    SELECT endpoint, report,
        NOT EXISTS (SELECT 1 FROM dispatch_body WHERE dispatch_body.dispatch = dispatch.id)
    FROM dispatch_report JOIN dispatch ON dispatch.id = dispatch
    WHERE report IN {LISTED} AND state IN ('waiting', 'leased')
"""
_HELD = f"""
    SELECT endpoint, report, 0 FROM held_report
    WHERE endpoint IN (SELECT name FROM endpoint) AND report IN {LISTED}
"""


class QueueRetention(DispatchRemoval, SqliteRetention):
    """Implements Retention: of what the store holds, and of dispatches."""

    def __init__(self, database: Database, readers: Readers = NOBODY_KNOWN) -> None:
        super().__init__(database, NeededByEndpoints(readers))
        self._readers = readers

    def reading(self, readers: Readers) -> QueueRetention:
        return QueueRetention(self._database, readers)

    async def count_dispatches(self, *, before: datetime | None, most: int) -> Rows:
        gone = self._readers.gone
        return await self._database.question(lambda c: _count(c, before, most, gone))

    async def _waiting_between(
        self, after: Place, end: Place, endpoints: Collection[str], most: int
    ) -> Sequence[tuple[int, int, bool]]:
        values = (listed(endpoints), *after, *end, most)
        return await self._database.question(lambda c: c.execute(_WAITING, values).fetchall())

    async def _cancel(self, dispatches: Sequence[int]) -> None:
        ids = (listed(dispatches),)
        await self._database.write(lambda c: c.execute(_CANCEL, ids).close())

    async def _formed_between(self, after: Place, end: Place, most: int) -> Sequence[Formed]:
        values = (*after, *end, most)
        return await self._database.question(lambda c: c.execute(_FORMED, values).fetchall())

    async def _last_attempt_to_go(self, most: int) -> int:
        return await self._database.question(lambda c: _last_attempt_to_go(c, most))

    async def _attempts_between(
        self, after: int, last: int, most: int
    ) -> Sequence[tuple[int, int]]:
        values = (after, last, most)
        return await self._database.question(lambda c: c.execute(_ATTEMPTS, values).fetchall())

    async def _ended_among(self, dispatches: Sequence[int]) -> list[Ended]:
        ids = (listed(dispatches),)
        return await self._database.question(lambda c: c.execute(_ENDED_AMONG, ids).fetchall())

    async def _remove(self, ended: Sequence[Ended]) -> Rows:
        return await self._database.write(lambda c: _remove(c, ended))


_WAITING = f"""
    SELECT created_at, id, state = 'waiting' AND endpoint IN {LISTED}
    FROM dispatch WHERE (created_at, id) > (?, ?) AND (created_at, id) < (?, ?)
    ORDER BY created_at, id LIMIT ?
"""
_CANCEL = f"""
    UPDATE dispatch SET state = 'cancelled', due_at = NULL
    WHERE id IN {LISTED} AND state = 'waiting'
"""
_FORMED = f"""
    SELECT created_at, id, first_report, last_report, reports, {_ENDED} FROM dispatch
    WHERE (created_at, id) > (?, ?) AND (created_at, id) < (?, ?)
    ORDER BY created_at, id LIMIT ?
"""
_ATTEMPTS = "SELECT id, dispatch FROM attempt WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
_ENDED_AMONG = f"""
    SELECT id, first_report, last_report, reports FROM dispatch
    WHERE id IN {LISTED} AND {_ENDED}
"""


def _count(
    connection: sqlite3.Connection, before: datetime | None, most: int, gone: Collection[str]
) -> Rows:
    chosen = (
        "SELECT id, reports FROM dispatch WHERE"
        f" (({_ENDED} OR state = 'waiting' AND endpoint IN {LISTED}) AND created_at < ?)"
        f" OR ({_ENDED} AND id IN (SELECT dispatch FROM attempt WHERE id <= ?))"
    )
    values = (listed(gone), micros_or_null(before), _last_attempt_to_go(connection, most))
    counted = connection.execute(
        f"SELECT count(*), coalesce(sum(reports), 0) FROM ({chosen})", values
    ).fetchone()
    bodies, attempts = (
        connection.execute(
            f"SELECT count(*) FROM {table} WHERE dispatch IN (SELECT id FROM ({chosen}))", values
        ).fetchone()[0]
        for table in ("dispatch_body", "attempt")
    )
    return dict(zip(TABLES, (counted[0], bodies, counted[1], attempts), strict=True))


def _last_attempt_to_go(connection: sqlite3.Connection, most: int) -> int:
    _, highest = ends_of(connection, "attempt")
    return last_beyond([] if highest is None else [(1, highest)], most)


# Of endpoints that were made for a replay to a URL: each such replay would leave some for ever.
_UNCOUNTED = "DELETE FROM dispatch_count WHERE count = 0 AND endpoint GLOB 'replay-[0-9]*'"


def _remove(connection: sqlite3.Connection, ended: Sequence[Ended]) -> dict[str, int]:
    ids = [(number,) for number, *_ in ended]
    members = members_of(connection, [number for number, *_ in ended])
    for table in ("unrecorded_attempt", "dispatch_members", "event_message"):
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
