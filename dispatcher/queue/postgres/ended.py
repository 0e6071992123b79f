"""Ended dispatches and attempts that leave with their partition (receiver/store/postgres/whole.py).

What waits or is leased lies in another table than what has ended, so nothing that stays is in an
old partition of ended dispatches, and a dispatch that waits for long keeps no others. If it ends
after its partition was dropped, it goes to `dispatch_ended_other`, and from there row by row.

A partition of dispatches is detached first: from then on nobody finds its dispatches, and nothing
is added to it. Then its dispatches are counted, and their rows in other tables are deleted: bodies,
if they were not acknowledged at once, and lists of reports that are far apart. Then it is dropped.
If a dispatcher is stopped in between, it goes on from there later, or another one does.
Bodies have no partitions, because each claim would look into all of them for the body of a
dispatch: measured, 1.3 times the time of a claim with 30 partitions, and 1.9 times with 90.

A partition of attempts is dropped once no ended dispatch has attempts in it. The attempts of those
that are open are moved to `attempt_other`. Attempts that came days after their dispatch was formed
outlive it until their own partition goes; nobody finds them without their dispatch.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from psycopg import Rollback
from psycopg.errors import LockNotAvailable

from dispatcher.queue.postgres.arrays import columns_of
from receiver.store.base import Pause
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.partitions import (
    ATTEMPTS,
    DISPATCHES,
    all_partitions,
    alone,
    briefly,
    detached_partitions,
    exists,
    first_of,
    old_partitions,
)
from receiver.store.postgres.whole import Dated, youngest
from receiver.store.removal import Place

ENDED = Dated(DISPATCHES[0], "dispatch_ended", "created_at")

COUNTED = 1_000_000
"""Dispatches that are counted in one statement."""

DELETED = 5_000
"""Rows about dispatches that are deleted in one transaction."""

MOVED = 50_000
"""A partition of attempts is kept while open dispatches have more attempts in it than this, because
nobody can record an attempt while they are moved."""

OWN = ("dispatch_body", "dispatch_members", "event_message", "unrecorded_attempt")
"""The other tables with rows about a dispatch, by its id."""


async def drop_dispatches(
    database: Database, end: Place, pause: Pause
) -> tuple[Counter[str], bool]:
    """Drop the partitions whose dispatches were all formed before `end`. Returns how many rows of
    each table are gone, and whether some partitions are left because the tables were in use."""
    gone = Counter[str]()
    for number in await database.question(lambda c: detached_partitions(c, ENDED.table)):
        if not await _finish(database, number, pause, gone):
            return gone, True
    for number in await database.question(lambda c: old_partitions(c, ENDED.sequence, ENDED.table)):
        if await database.question(partial(_has_younger, number=number, end=end)):
            continue
        if not await database.write(partial(_detach, number=number, end=end)):
            return gone, True
        if not await _finish(database, number, pause, gone):
            return gone, True
    return gone, False


def _has_younger(connection: Connection, *, number: int, end: Place) -> bool:
    place = youngest(connection, ENDED, number)
    return place is not None and place >= end


def _detach(connection: Connection, *, number: int, end: Place) -> bool:
    """Detach a partition. Returns whether it is detached now, perhaps by another dispatcher.
    Changes nothing and returns False if the tables are in use or a younger dispatch has ended
    meanwhile."""
    alone(connection)
    if number not in all_partitions(connection, ENDED.table):
        return True
    is_done = False
    try:
        with connection.transaction():
            briefly(connection)
            table = f"{ENDED.table}_{number}"
            connection.execute(f"ALTER TABLE {ENDED.table} DETACH PARTITION {table}")
            younger = f"SELECT EXISTS (SELECT FROM {table} WHERE (created_at, id) >= (%s, %s))"
            if row_of(connection.execute(younger, end))[0]:
                raise Rollback
            is_done = True
    except LockNotAvailable:
        return False
    return is_done


async def _finish(database: Database, number: int, pause: Pause, gone: Counter[str]) -> bool:
    """Drop a detached partition, with the rows of its dispatches in other tables. Returns False if
    it is being read. Adds the rows of each table to `gone`."""
    counts, after = list[_Counted](), 0
    while piece := await database.question(partial(_count, number=number, after=after)):
        counts += piece
        after = max(each.last for each in piece)
        await pause()
    own = Counter[str]()
    for table in OWN:
        last: int | None = first_of(number) - 1
        while last is not None:
            some = partial(_delete_own, table=table, number=number, after=last)
            deleted, last = await database.write(some)
            own[table] += deleted
            await pause()
    is_gone = await database.write(partial(_drop, number=number, counts=counts))
    if is_gone:
        gone["dispatch"] += sum(each.dispatches for each in counts)
        gone["dispatch_report"] += sum(each.reports for each in counts)
        gone["attempt"] += sum(each.attempts for each in counts)
        gone["dispatch_body"] += own["dispatch_body"]
    return is_gone


class _Counted(NamedTuple):
    """Dispatches of an endpoint and a state: how many, with how many reports and attempts; their
    last report, and the last of them."""

    endpoint: str
    state: str
    dispatches: int
    reports: int
    attempts: int
    last_report: int
    last: int


_COUNT = """
    SELECT endpoint, state, count(*), sum(reports)::bigint, sum(attempts)::bigint,
        max(last_report), max(id)
    FROM (
        SELECT endpoint, state, reports, attempts, last_report, id FROM {table}
        WHERE id > %s ORDER BY id LIMIT %s
    ) AS piece GROUP BY endpoint, state
"""
# The numbers bound what is looked through, and leave out every partition but those where an open
# dispatch, or one that ended late, may be.
_DELETE_OWN = """
    WITH piece AS MATERIALIZED (
        SELECT dispatch FROM {table} WHERE dispatch > %(after)s AND dispatch <= %(last)s
        ORDER BY dispatch LIMIT %(most)s
    ),
    gone AS (
        DELETE FROM {table} AS own USING piece WHERE own.dispatch = piece.dispatch
            AND NOT EXISTS (
                SELECT FROM dispatch
                WHERE id = piece.dispatch AND id > %(after)s AND id <= %(last)s
            )
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone), (SELECT max(dispatch) FROM piece)
"""
_FORGET_TAKEN = "UPDATE taken_forgotten SET report = %(last)s WHERE report < %(last)s"


def _count(connection: Connection, *, number: int, after: int) -> list[_Counted]:
    """Some of the dispatches of a detached partition, by endpoint and state; nothing when there are
    no more, or another dispatcher has dropped it."""
    table = f"{ENDED.table}_{number}"
    if not exists(connection, table):
        return []
    rows = connection.execute(_COUNT.format(table=table), (after, COUNTED)).fetchall()
    return [_Counted(*row) for row in rows]


def _delete_own(
    connection: Connection, *, table: str, number: int, after: int
) -> tuple[int, int | None]:
    """Delete some rows about dispatches of a detached partition. Returns how many were deleted, and
    the last dispatch that was looked at, or None if there are no more."""
    bounds = {"after": after, "last": first_of(number + 1) - 1, "most": DELETED}
    deleted, last = row_of(connection.execute(_DELETE_OWN.format(table=table), bounds))
    return deleted, last


def _drop(connection: Connection, *, number: int, counts: list[_Counted]) -> bool:
    """What follows from a deletion (retrying/consequences.py) follows here too. Nothing is done
    when another dispatcher has done it."""
    alone(connection)
    table = f"{ENDED.table}_{number}"
    if not exists(connection, table):
        return False
    try:
        with connection.transaction():
            briefly(connection)
            connection.execute(f"DROP TABLE {table}")
    except LockNotAvailable:
        return False
    changes = [(each.endpoint, each.state, -each.dispatches) for each in counts]
    connection.execute(
        "INSERT INTO dispatch_count SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[])",
        columns_of(changes, 3),
    )
    if counts:
        last = max(each.last_report for each in counts)
        connection.execute(_FORGET_TAKEN, {"last": last})
    return True


# --- attempts -----------------------------------------------------------------------------------


async def drop_attempts(database: Database) -> None:
    """Drop the partitions of attempts in which no ended dispatch has any."""
    for number in await database.question(lambda c: old_partitions(c, ATTEMPTS[0], "attempt")):
        if await database.question(partial(_go, number=number)):
            await database.write(partial(_drop_attempts, number=number))


_STAYING = """
    SELECT attempt.* FROM dispatch JOIN {table} AS attempt ON attempt.dispatch = dispatch.id
    WHERE dispatch.id <= %s
"""


def _go(connection: Connection, *, number: int) -> bool:
    """Whether a partition can be dropped: no ended dispatch has attempts in it, and open dispatches
    have at most MOVED."""
    table = f"attempt_{number}"
    last = _last_tried(connection, table)
    if last is None:
        return True
    lowest = min(all_partitions(connection, ENDED.table), default=0)
    first = "SELECT min(id) FROM dispatch_ended WHERE id >= %s"
    (ended,) = row_of(connection.execute(first, (first_of(lowest),)))
    if ended is not None and ended <= last:
        return False
    many = f"SELECT count(*) FROM ({_STAYING.format(table=table)} LIMIT %s) AS staying"
    return int(row_of(connection.execute(many, (last, MOVED + 1)))[0]) <= MOVED


def _last_tried(connection: Connection, table: str) -> int | None:
    """The last dispatch that has an attempt in a partition."""
    last: int | None
    (last,) = row_of(connection.execute(f"SELECT max(dispatch) FROM {table}"))
    return last


def _drop_attempts(connection: Connection, *, number: int) -> None:
    alone(connection)
    table = f"attempt_{number}"
    if not exists(connection, table):  # another dispatcher has dropped it
        return
    with suppress(LockNotAvailable), connection.transaction():
        briefly(connection)
        connection.execute(f"ALTER TABLE attempt DETACH PARTITION {table}")
        if not _go(connection, number=number):
            raise Rollback
        last = _last_tried(connection, table)
        connection.execute(f"INSERT INTO attempt {_STAYING.format(table=table)}", (last,))
        connection.execute(f"DROP TABLE {table}")
