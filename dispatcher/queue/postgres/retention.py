"""What retention asks of PostgreSQL (dispatcher/upkeep/removal.py): of dispatches, and
which reports the queue still needs."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from datetime import datetime

from dispatcher.endpoints.base import NOBODY_KNOWN, Readers
from dispatcher.queue.postgres.ended import ENDED, drop_attempts, drop_dispatches
from dispatcher.queue.postgres.members import members_of
from dispatcher.queue.postgres.replays import pieces_from, running
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
from receiver.store.base import Pause
from receiver.store.instants import micros_or_null
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.partitions import all_partitions, first_of
from receiver.store.postgres.retention import PostgresRetention
from receiver.store.postgres.rows import COLUMNS, stored_report
from receiver.store.postgres.whole import NO_IDS, going_whole
from receiver.store.removal import Holders, Place, place_of_age

_ENDED = "state NOT IN ('waiting', 'leased')"


class NeededByEndpoints:
    """Implements receiver.store.retention.Needed: what endpoints and replays will still take of
    what they have not read, and what waiting and leased dispatches carry or hold up."""

    def __init__(self, readers: Readers = NOBODY_KNOWN) -> None:
        self._readers = readers
        self._unfed = Unfed()

    def holders(self, connection: Connection, reports: Sequence[int]) -> Holders:
        readers = connection.execute(_READERS).fetchall()
        unread = unread_of(readers, reports, self._readers.gone)
        ids = sorted(set().union(*unread.values()))
        stored = [stored_report(row) for row in connection.execute(_REPORTS, (ids,))]
        unfed = self._unfed.among(
            reports, running(connection), functools.partial(pieces_from, connection)
        )
        carried = [
            row
            for statement in (_CARRIED, _HELD)
            for row in connection.execute(statement, ([*reports],))
        ]
        return holders_of(self._readers, unread, stored, unfed, carried)

    def needs_any(self, connection: Connection, first: int, last: int) -> bool:
        """By where the readers are: whoever has read past `last` and carries nothing of these needs
        none. An unread report counts whether it goes to the reader or not."""
        gone = sorted(self._readers.gone)
        needs = {"first": first, "last": last, "gone": gone}
        if row_of(connection.execute(_NEEDS_ANY, needs))[0]:
            return True
        return bool(running(connection))


_REPORTS = f"SELECT {COLUMNS} FROM report WHERE id = ANY(%s::bigint[])"
_READERS = "SELECT name, read_to FROM endpoint WHERE NOT removed"
# The bytes of a dispatch whose bytes are not kept are made of its reports, whoever takes it over.
_CARRIED = """
    SELECT endpoint, report,
        NOT EXISTS (SELECT 1 FROM dispatch_body WHERE dispatch_body.dispatch = dispatch.id)
    FROM dispatch_report JOIN dispatch ON dispatch.id = dispatch
    WHERE report = ANY(%s::bigint[]) AND state IN ('waiting', 'leased')
"""
_NEEDS_ANY = """
    SELECT EXISTS (
            SELECT FROM endpoint
            WHERE NOT removed AND read_to < %(last)s AND name <> ALL(%(gone)s::text[])
        ) OR EXISTS (
            SELECT FROM dispatch
            WHERE state IN ('waiting', 'leased')
                AND first_report <= %(last)s AND last_report >= %(first)s
        ) OR EXISTS (SELECT FROM held_report WHERE report BETWEEN %(first)s AND %(last)s)
"""
_HELD = """
    SELECT endpoint, report, false FROM held_report
    WHERE endpoint IN (SELECT name FROM endpoint) AND report = ANY(%s::bigint[])
"""


class QueueRetention(DispatchRemoval, PostgresRetention):
    """Implements Retention: of what the store holds, and of dispatches."""

    def __init__(self, database: Database, readers: Readers = NOBODY_KNOWN) -> None:
        super().__init__(database, NeededByEndpoints(readers))
        self._readers = readers

        self._spared = NO_IDS

    def reading(self, readers: Readers) -> QueueRetention:
        return QueueRetention(self._database, readers)

    async def purge_dispatches(self, *, before: datetime | None, most: int, pause: Pause) -> Rows:
        """Whole partitions first (ended.py). Of the others, one dispatch after the other."""
        end = place_of_age(before)
        whole, busy = await drop_dispatches(self._database, end, pause)
        if busy:  # the next purge drops it
            return {table: whole[table] for table in TABLES}
        self._spared = await self._database.question(lambda c: going_whole(c, ENDED, end))
        rows = await super().purge_dispatches(before=before, most=most, pause=pause)
        await drop_attempts(self._database)
        return {table: whole[table] + rows[table] for table in TABLES}

    async def count_dispatches(self, *, before: datetime | None, most: int) -> Rows:
        gone = self._readers.gone
        return await self._database.question(lambda c: _count(c, before, most, gone))

    async def _waiting_between(
        self, after: Place, end: Place, endpoints: Collection[str], most: int
    ) -> Sequence[tuple[int, int, bool]]:
        values = (sorted(endpoints), *after, *end, most)
        return await self._database.question(lambda c: c.execute(_WAITING, values).fetchall())

    async def _cancel(self, dispatches: Sequence[int]) -> None:
        ids = ([*dispatches],)
        await self._database.write(lambda c: c.execute(_CANCEL, ids).close())

    async def _formed_between(self, after: Place, end: Place, most: int) -> Sequence[Formed]:
        values = (*after, *end, *self._spared, most)
        return await self._database.question(lambda c: c.execute(_FORMED, values).fetchall())

    async def _last_attempt_to_go(self, most: int) -> int:
        return await self._database.question(lambda c: _last_attempt_to_go(c, most))

    async def _attempts_between(
        self, after: int, last: int, most: int
    ) -> Sequence[tuple[int, int]]:
        values = (after, last, most)
        return await self._database.question(lambda c: c.execute(_ATTEMPTS, values).fetchall())

    async def _ended_among(self, dispatches: Sequence[int]) -> list[Ended]:
        ids = ([*dispatches],)
        return await self._database.question(lambda c: c.execute(_ENDED_AMONG, ids).fetchall())

    async def _remove(self, ended: Sequence[Ended]) -> Rows:
        return await self._database.write(lambda c: _remove(c, ended))


_WAITING = """
    SELECT created_at, id, endpoint = ANY(%s::text[])
    FROM dispatch
    WHERE state = 'waiting' AND (created_at, id) > (%s, %s) AND (created_at, id) < (%s, %s)
    ORDER BY created_at, id LIMIT %s
"""
_CANCEL = """
    UPDATE dispatch SET state = 'cancelled', due_at = NULL
    WHERE id = ANY(%s::bigint[]) AND state = 'waiting'
"""
_FORMED = f"""
    SELECT created_at, id, first_report, last_report, reports, {_ENDED} FROM dispatch
    WHERE (created_at, id) > (%s, %s) AND (created_at, id) < (%s, %s) AND (id < %s OR id > %s)
    ORDER BY created_at, id LIMIT %s
"""
_ATTEMPTS = "SELECT id, dispatch FROM attempt WHERE id > %s AND id <= %s ORDER BY id LIMIT %s"
_HIGHEST = "SELECT max(id) FROM attempt WHERE id >= %s AND id < %s"
_ENDED_AMONG = f"""
    SELECT id, first_report, last_report, reports FROM dispatch
    WHERE id = ANY(%s::bigint[]) AND {_ENDED}
"""


def _count(
    connection: Connection, before: datetime | None, most: int, gone: Collection[str]
) -> Rows:
    chosen = (
        "SELECT id, reports FROM dispatch WHERE"
        f" (({_ENDED} OR state = 'waiting' AND endpoint = ANY(%s::text[])) AND created_at < %s"
        " AND (id < %s OR id > %s))"
        f" OR ({_ENDED} AND id IN (SELECT dispatch FROM attempt WHERE id <= %s))"
    )
    go_whole = going_whole(connection, ENDED, place_of_age(before))
    last = _last_attempt_to_go(connection, most)
    values = (sorted(gone), micros_or_null(before), *go_whole, last)
    counted = row_of(
        connection.execute(
            f"SELECT count(*), coalesce(sum(reports), 0)::bigint FROM ({chosen}) AS chosen", values
        )
    )
    bodies, attempts = (
        row_of(
            connection.execute(
                f"SELECT count(*) FROM {table}"
                f" WHERE dispatch IN (SELECT id FROM ({chosen}) AS chosen)",
                values,
            )
        )[0]
        for table in ("dispatch_body", "attempt")
    )
    return dict(zip(TABLES, (counted[0], bodies, counted[1], attempts), strict=True))


def _last_attempt_to_go(connection: Connection, most: int) -> int:
    parts = []
    for number in reversed(all_partitions(connection, "attempt")):
        ids = (first_of(number), first_of(number + 1))
        (highest,) = row_of(connection.execute(_HIGHEST, ids))
        if highest is not None:
            parts.append((max(ids[0], 1), highest))
    return last_beyond(parts, most)


def _remove(connection: Connection, ended: Sequence[Ended]) -> dict[str, int]:
    ids = [number for number, *_ in ended]
    pairs = [
        (dispatch, report)
        for dispatch, reports in members_of(connection, ids).items()
        for report in reports
    ]
    for table in ("unrecorded_attempt", "dispatch_members", "event_message"):
        connection.execute(f"DELETE FROM {table} WHERE dispatch = ANY(%s::bigint[])", (ids,))
    members = ([dispatch for dispatch, _ in pairs], [report for _, report in pairs])
    removed = {"dispatch_report": connection.execute(_REMOVE_MEMBERS, members).rowcount}
    for table, key in (("dispatch_body", "dispatch"), ("attempt", "dispatch"), ("dispatch", "id")):
        statement = f"DELETE FROM {table} WHERE {key} = ANY(%s::bigint[])"
        removed[table] = connection.execute(statement, (ids,)).rowcount
    return removed


_REMOVE_MEMBERS = """
    DELETE FROM dispatch_report USING unnest(%s::bigint[], %s::bigint[]) AS gone (dispatch, report)
    WHERE dispatch_report.dispatch = gone.dispatch AND dispatch_report.report = gone.report
"""
