"""What retention removes: dispatches that have ended, whole, with their body and their attempts.

And what the queue still needs of the store: reports that no endpoint may lose by its retention.
"""

from __future__ import annotations

import functools
import sqlite3
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from dispatcher.endpoints.base import NOBODY_KNOWN, Readers
from dispatcher.forming.routing import ReportReader, goes_to
from dispatcher.queue.sqlite.members import members_of
from dispatcher.queue.sqlite.replays import Unfed
from dispatcher.upkeep.base import Rows
from receiver.store.base import Pause
from receiver.store.instants import micros, micros_or_null
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.retention import FIRST, Place, SqliteRetention
from receiver.store.sqlite.rows import COLUMNS, LISTED, ends_of, listed, stored_report

BATCH = 200
"""Dispatches in a transaction."""

BATCH_REPORTS = 2_000
"""Reports of these dispatches in a transaction: each is a row of `dispatch_report`."""

_ENDED = "state NOT IN ('waiting', 'leased')"

Ended = tuple[int, int, int, int]
"""An ended dispatch: its id, first and last report, number of reports."""


class NeededByEndpoints:
    """Implements receiver.store.retention.Needed: what endpoints and replays will still take of
    what they have not read, and what waiting and leased dispatches carry or hold up."""

    def __init__(self, readers: Readers = NOBODY_KNOWN) -> None:
        self._readers = readers
        self._unfed = Unfed()

    def holders(
        self, connection: sqlite3.Connection, reports: Sequence[int]
    ) -> Mapping[str, Collection[int]]:
        held: defaultdict[str, set[int]] = defaultdict(set)
        unread = _unread(connection, reports, self._readers.gone)
        rows = connection.execute(_REPORTS, (listed(set().union(*unread.values())),))
        stored = [stored_report(row) for row in rows]
        read = ReportReader()
        for name, ids in unread.items():
            rules = self._readers.rules.get(name)
            held[name].update(
                report.id
                for report in stored
                if report.id in ids and (rules is None or goes_to(report, rules, read))
            )
        for replay, unfed in self._unfed.among(connection, reports):
            held[f"replay {replay}"] |= unfed
        for statement in (_CARRIED, _HELD):
            for name, report, needed in connection.execute(statement, (listed(reports),)):
                if needed or name not in self._readers.gone:
                    held[name].add(report)
        return {name: kept for name, kept in held.items() if kept}


def _unread(
    connection: sqlite3.Connection, reports: Sequence[int], gone: Collection[str]
) -> dict[str, set[int]]:
    """The reports among these that each endpoint has not read, whether they go to it or not."""
    readers = connection.execute(_READERS).fetchall()
    unread = {
        name: {report for report in reports if report > read_to}
        for name, read_to in readers
        if name not in gone
    }
    return {name: ids for name, ids in unread.items() if ids}


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


class QueueRetention(SqliteRetention):
    """Implements Retention: of what the store holds, and of dispatches."""

    def __init__(self, database: Database, readers: Readers = NOBODY_KNOWN) -> None:
        super().__init__(database, NeededByEndpoints(readers))
        self._readers = readers

    def reading(self, readers: Readers) -> QueueRetention:
        return QueueRetention(self._database, readers)

    async def purge_dispatches(self, *, before: datetime | None, most: int, pause: Pause) -> Rows:
        removed: Counter[str] = Counter(dict.fromkeys(_TABLES, 0))
        await self._give_up_for_the_gone(before, pause)
        async for ended in self._formed_before(before):
            removed.update(await self._removed(ended))
            await pause()
        async for ended in self._beyond(most):
            removed.update(await self._removed(ended))
            await pause()
        return dict(removed)

    async def count_dispatches(self, *, before: datetime | None, most: int) -> Rows:
        gone = self._readers.gone
        return await self._database.question(lambda c: _count(c, before, most, gone))

    async def _give_up_for_the_gone(self, before: datetime | None, pause: Pause) -> None:
        """Cancel what has waited too long for endpoints that nobody works for."""
        if before is None or not self._readers.gone:
            return
        after, end = FIRST, (micros(before), 0)
        look = functools.partial(_waiting_between, gone=self._readers.gone)
        while found := await self._database.question(look(after, end)):
            after, old = found
            if old:
                await self._database.write(_cancel(old))
                await pause()

    async def _formed_before(self, before: datetime | None) -> AsyncIterator[list[Ended]]:
        """The ended dispatches that are too old, the oldest first. A piece may be empty."""
        if before is None:
            return
        after, end = FIRST, (micros(before), 0)
        while found := await self._database.question(_formed_between(after, end)):
            after, ended = found
            yield ended

    async def _beyond(self, most: int) -> AsyncIterator[list[Ended]]:
        """The ended dispatches of attempts that are too many. A piece may be empty."""
        last = await self._database.question(lambda c: _last_attempt_to_go(c, most))
        after = 0
        while found := await self._database.question(_of_attempts(after, last)):
            after, ended = found
            yield ended

    async def _removed(self, ended: list[Ended]) -> Rows:
        return await self._database.write(lambda c: _remove(c, ended)) if ended else {}


# Of endpoints that were made for a replay to a URL: each such replay would leave some for ever.
_UNCOUNTED = "DELETE FROM dispatch_count WHERE count = 0 AND endpoint GLOB 'replay-[0-9]*'"

_TABLES = ("dispatch", "dispatch_body", "dispatch_report", "attempt")


def _waiting_between(
    after: Place, end: Place, gone: Collection[str]
) -> Callable[[sqlite3.Connection], tuple[Place, list[int]] | None]:
    """The place looked at last, and what waits for the gone up to there; None when nothing is left.

    All that is as old is looked at: retention removes most of it next."""
    statement = (
        f"SELECT created_at, id, state = 'waiting' AND endpoint IN {LISTED} FROM dispatch"
        " WHERE (created_at, id) > (?, ?) AND (created_at, id) < (?, ?)"
        f" ORDER BY created_at, id LIMIT {BATCH}"
    )
    values = (listed(gone), *after, *end)

    def find(connection: sqlite3.Connection) -> tuple[Place, list[int]] | None:
        rows = connection.execute(statement, values).fetchall()
        return (rows[-1][:2], [number for _, number, old in rows if old]) if rows else None

    return find


def _cancel(waiting: Sequence[int]) -> Callable[[sqlite3.Connection], object]:
    """Those that still wait."""
    statement = (
        "UPDATE dispatch SET state = 'cancelled', due_at = NULL"
        f" WHERE id IN {LISTED} AND state = 'waiting'"
    )
    return lambda connection: connection.execute(statement, (listed(waiting),))


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
    return dict(zip(_TABLES, (counted[0], bodies, counted[1], attempts), strict=True))


def _last_attempt_to_go(connection: sqlite3.Connection, most: int) -> int:
    """The attempt up to which they are more than the `most` newest (0: as many as there are)."""
    _, highest = ends_of(connection, "attempt")
    return max(highest - most, 0) if most and highest is not None else 0


def _formed_between(
    after: Place, end: Place
) -> Callable[[sqlite3.Connection], tuple[Place, list[Ended]] | None]:
    """The place looked at last, and the ended dispatches up to there; None when nothing is left."""
    statement = (
        f"SELECT created_at, id, first_report, last_report, reports, {_ENDED} FROM dispatch"
        " WHERE (created_at, id) > (?, ?) AND (created_at, id) < (?, ?)"
        f" ORDER BY created_at, id LIMIT {BATCH}"
    )
    return lambda connection: _bounded(connection.execute(statement, (*after, *end)))


def _of_attempts(
    after: int, last: int
) -> Callable[[sqlite3.Connection], tuple[int, list[Ended]] | None]:
    """The attempt looked at last, and the ended dispatches of those up to there; None when nothing
    is left."""

    def find(connection: sqlite3.Connection) -> tuple[int, list[Ended]] | None:
        rows = connection.execute(
            f"SELECT id, dispatch FROM attempt WHERE id > ? AND id <= ? ORDER BY id LIMIT {BATCH}",
            (after, last),
        ).fetchall()
        if not rows:
            return None
        ended = connection.execute(
            "SELECT id, first_report, last_report, reports FROM dispatch"
            f" WHERE id IN {LISTED} AND {_ENDED}",
            (listed(sorted({dispatch for _, dispatch in rows})),),
        )
        return rows[-1][0], list(ended)

    return find


def _bounded(
    rows: Iterable[tuple[int, int, int, int, int, int]],
) -> tuple[Place, list[Ended]] | None:
    """As many dispatches as have a bounded number of reports together, but at least one."""
    ended: list[Ended] = []
    reports, looked_at = 0, None
    for formed_at, number, first, final, size, has_ended in rows:
        if ended and reports + size > BATCH_REPORTS:
            break
        looked_at = formed_at, number
        if has_ended:
            ended.append((number, first, final, size))
            reports += size
    return None if looked_at is None else (looked_at, ended)


def _remove(connection: sqlite3.Connection, ended: list[Ended]) -> dict[str, int]:
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
