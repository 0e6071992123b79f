"""Removing reports and quarantine from PostgreSQL (store/removal.py).

Reports go with their partition, which holds those of a day (whole.py). Row by row go the reports of
partitions that span more time or get more reports, and of those in which somebody still needs one.
Only those who read the store know whether a report is still needed: `Needed` asks them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from receiver.store.base import Pause
from receiver.store.following import keys_of
from receiver.store.instants import instant
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.followup import followed_to
from receiver.store.postgres.partitions import (
    REPORTS,
    alone,
    drop,
    exists,
    first_of,
    keys_of_day,
    old_partitions,
)
from receiver.store.postgres.rows import REPORT_ID, ids_of, numbers, texts
from receiver.store.postgres.whole import NO_IDS, Dated, Ids, going_whole, youngest
from receiver.store.removal import (
    AFTER_ALL,
    KEY_BATCH,
    Holders,
    Place,
    Removal,
    Rows,
    Table,
    all_of,
    instants_of,
    place_of_age,
)

DATED = Dated(REPORT_ID, "report", "received_at")

COUNTED = 1_000_000
"""Ids whose reports are counted in one statement."""


class Needed(Protocol):
    """Which reports somebody still has to read. Asked inside the transaction that removes them."""

    def holders(
        self, connection: Connection, reports: Sequence[int]
    ) -> Mapping[str, Collection[int]]:
        """Of these reports, those that somebody has not read, or still brings somewhere: by who
        that is."""

    def needs_any(self, connection: Connection, first: int, last: int) -> bool:
        """Whether somebody may still need a report of these ids, both included."""


class PostgresRetention(Removal):
    """Implements StoreRetention (base.py) on a Database."""

    def __init__(self, database: Database, needed: Needed) -> None:
        self._database = database
        self._needed = needed
        self._go_whole = NO_IDS

    async def last_stored_at(self) -> datetime | None:
        statement = "SELECT received_at FROM report ORDER BY id DESC LIMIT 1"
        row = await self._database.question(lambda c: c.execute(statement).fetchone())
        return None if row is None else instant(row[0])

    async def purge_reports(
        self,
        *,
        now: datetime,
        before: datetime | None,
        most: int,
        pause: Pause,
        held: Counter[str] | None = None,
    ) -> Rows:
        whole, busy = await self._drop_partitions(before, most, pause)
        if busy:  # the next purge drops it
            return {"report": whole, "report_key": 0}
        rows = await super().purge_reports(
            now=now, before=before, most=most, pause=pause, held=held
        )
        keys = rows["report_key"]
        if whole and not rows["report"]:
            keys += await self._purge_keys(now, pause)
        return {"report": whole + rows["report"], "report_key": keys}

    async def _drop_partitions(
        self, before: datetime | None, most: int, pause: Pause
    ) -> tuple[int, bool]:
        """Drop the partitions of which every report goes. Returns how many reports that are, and
        whether somebody was just reading the table, so that it could not be done."""
        dropped = 0
        for number in await self._database.question(
            lambda c: old_partitions(c, REPORT_ID, "report")
        ):
            end, followed = await self._end_of_reports(before, most)
            first, last = first_of(number), first_of(number + 1) - 1
            if last > followed or not await self._all_go(number, end):
                continue
            reports = await self._count(first, last)
            if not await self._database.write(partial(_drop, number=number, reports=reports)):
                return dropped, True
            dropped += reports
            await pause()
        return dropped, False

    async def _all_go(self, number: int, end: Place) -> bool:
        def all_go(connection: Connection) -> bool:
            place = youngest(connection, DATED, number)
            first, last = first_of(number), first_of(number + 1) - 1
            return (place is None or place < end) and not self._needed.needs_any(
                connection, first, last
            )

        return await self._database.question(all_go)

    async def _count(self, first: int, last: int) -> int:
        """How many reports there are, some ids at a time."""
        counted = 0
        while first <= last:
            piece = partial(_count_piece, first=first, last=last)
            number, highest = await self._database.question(piece)
            if not number:
                break
            counted += number
            first = highest + 1
        return counted

    async def _end_of_reports(self, before: datetime | None, most: int) -> tuple[Place, int]:
        def end(connection: Connection) -> tuple[Place, int, Ids]:
            too_many = _reports(connection) - most if most else 0
            end = _end_of(connection, "report", before, too_many)
            too_old = before is not None and end == place_of_age(before)
            whole = going_whole(connection, DATED, end) if too_old else NO_IDS
            return end, followed_to(connection), whole

        place, followed, self._go_whole = await self._database.question(end)
        return place, followed

    async def _end_of_quarantine(self, before: datetime | None, most: int) -> Place:
        return await self._database.question(lambda c: _end_of_quarantine(c, before, most))

    async def _rows_after(self, table: Table, after: Place, end: Place, most: int) -> list[Place]:
        statement = (
            f"SELECT received_at, id FROM {table} WHERE (received_at, id) > (%s, %s)"
            f" AND {_BEFORE_END} AND (id < %s OR id > %s) ORDER BY received_at, id LIMIT %s"
        )
        spared = self._go_whole if table == "report" else NO_IDS
        values = (*after, *end, *spared, most)
        return await self._database.question(
            lambda c: [(at, id) for at, id in c.execute(statement, values)]
        )

    async def _holders(self, reports: Sequence[int]) -> Holders:
        return await self._database.question(lambda c: self._needed.holders(c, reports))

    async def _remove_reports(self, reports: Sequence[int]) -> int:
        def remove(connection: Connection) -> int:
            kept = all_of(self._needed.holders(connection, reports))
            return remove_reports(connection, [number for number in reports if number not in kept])

        return await self._database.write(remove)

    async def _remove_quarantine(self, entries: Sequence[int]) -> int:
        return await self._database.write(lambda c: remove_quarantine(c, entries))

    async def _count_quarantine(self, before: datetime | None, most: int) -> int:
        def count(connection: Connection) -> int:
            end = _end_of_quarantine(connection, before, most)
            statement = f"SELECT count(*) FROM quarantine WHERE {_BEFORE_END}"
            return int(row_of(connection.execute(statement, end))[0])

        return await self._database.question(count)

    async def _days_without_reports(self, recognised: int) -> list[int]:
        def days(connection: Connection) -> list[int]:
            return [
                day
                for day in _days_of_keys(connection, recognised)
                if not row_of(connection.execute(f"SELECT {_HAS_REPORT}", instants_of(day)))[0]
            ]

        return await self._database.question(days)

    async def _remove_keys(self, day: int) -> int:
        return await self._database.write(lambda c: _remove_keys(c, day))

    async def _count_keys(self, recognised: int, going: Counter[int]) -> int:
        return await self._database.question(lambda c: _count_keys(c, recognised, going))


# --- whole partitions ---------------------------------------------------------------------------

_PIECE = """
    SELECT count(*), max(id) FROM
        (SELECT id FROM report WHERE id >= %s AND id <= %s ORDER BY id LIMIT %s) AS piece
"""


def _count_piece(connection: Connection, *, first: int, last: int) -> tuple[int, int]:
    """Some of the reports of these ids: how many, and the last of them."""
    number, highest = row_of(connection.execute(_PIECE, (first, last, COUNTED)))
    return number, highest


def _drop(connection: Connection, *, number: int, reports: int) -> bool:
    """Drop a partition of so many reports, unless somebody is just reading the table. False also
    when another process has dropped it."""
    connection.execute(_LOCK)
    if not exists(connection, f"report_{number}") or not drop(connection, REPORTS[1], number):
        return False
    connection.execute("UPDATE followed SET reports = reports - %s", (reports,))
    return True


# --- what is old --------------------------------------------------------------------------------

_BEFORE_END = "(received_at, id) < (%s, %s)"


def _end_of(connection: Connection, table: Table, before: datetime | None, too_many: int) -> Place:
    """The first place that stays: rows before it are older than `before`, or among the `too_many`
    oldest. FIRST when none goes."""
    end = place_of_age(before)
    if too_many <= 0:
        return end
    row = connection.execute(
        f"SELECT received_at, id FROM {table} ORDER BY received_at, id LIMIT 1 OFFSET %s",
        (too_many,),
    ).fetchone()
    return AFTER_ALL if row is None else max(end, (row[0], row[1]))


def _end_of_quarantine(connection: Connection, before: datetime | None, most: int) -> Place:
    there = row_of(connection.execute("SELECT count(*) FROM quarantine"))[0] if most else 0
    return _end_of(connection, "quarantine", before, there - most)


def _reports(connection: Connection) -> int:
    """How many reports there are."""
    statement = (
        "SELECT reports + (SELECT count(*) FROM report WHERE id > followed.report) FROM followed"
    )
    return int(row_of(connection.execute(statement))[0])


_OF_DAY = "FROM report WHERE received_at >= %s AND received_at < %s"
_HAS_REPORT = f"EXISTS (SELECT 1 {_OF_DAY})"

_DAYS_OF_KEYS = """
    WITH RECURSIVE days (day) AS (
        SELECT min(day) FROM report_key WHERE day < %(end)s
        UNION ALL
        SELECT (SELECT min(day) FROM report_key WHERE day > days.day AND day < %(end)s)
        FROM days WHERE day IS NOT NULL
    )
    SELECT day FROM days WHERE day IS NOT NULL
"""


def _days_of_keys(connection: Connection, end: int) -> list[int]:
    """The days before `end` that have keys."""
    return ids_of(connection, _DAYS_OF_KEYS, {"end": end})


def _count_keys(connection: Connection, recognised: int, going: Counter[int]) -> int:
    """The keys of the days that lose all their reports when so many of each day go."""
    keys = 0
    for day in _days_of_keys(connection, recognised):
        there = row_of(connection.execute(f"SELECT count(*) {_OF_DAY}", instants_of(day)))[0]
        if there == going[day]:
            of_day = "SELECT count(*) FROM report_key WHERE day = %s"
            keys += int(row_of(connection.execute(of_day, (day,)))[0])
    return keys


_REMOVE_KEYS = f"""
    DELETE FROM report_key WHERE (message_key, source, identity, day) IN
        (SELECT message_key, source, identity, day FROM report_key WHERE day = %s
        ORDER BY message_key, source, identity LIMIT {KEY_BATCH} FOR UPDATE)
    AND NOT {_HAS_REPORT}
"""


def _remove_keys(connection: Connection, day: int) -> int:
    """Some of the keys of a day, unless it has got a report meanwhile; all, where they have a
    partition of their own."""
    alone(connection)
    if not exists(connection, keys_of_day(day)):
        return connection.execute(_REMOVE_KEYS, (day, *instants_of(day))).rowcount
    if row_of(connection.execute(f"SELECT {_HAS_REPORT}", instants_of(day)))[0]:
        return 0
    (keys,) = row_of(connection.execute(f"SELECT count(*) FROM {keys_of_day(day)}"))
    return int(keys) if drop(connection, ("report_key",), day) else 0


# --- removing -----------------------------------------------------------------------------------

# First, so that no search key is written for a report that goes, and removers do not wait for each
# other crosswise: each deletion counts here (report_uncounted).
_LOCK = "SELECT FROM followed FOR UPDATE"

_GOING = """
    SELECT id, item, generation, body FROM report WHERE id = ANY(%s::bigint[])
    ORDER BY id FOR UPDATE
"""
_REMOVE_SEARCH_KEYS = """
    DELETE FROM search_key USING
        ROWS FROM (unnest(%s::bigint[]), unnest(%s::integer[]),
            jsonb_array_elements_text(%s::jsonb), unnest(%s::bigint[]))
            AS gone (block, field, key, report)
    WHERE search_key.block = gone.block AND search_key.field = gone.field
        AND search_key.key = gone.key AND search_key.report = gone.report
"""
_REMOVE_BODIES = """
    DELETE FROM received_body WHERE id = ANY(%s::bigint[])
        AND NOT EXISTS (SELECT 1 FROM report WHERE report.body = received_body.id)
"""


def remove_reports(connection: Connection, ids: Sequence[int]) -> int:
    """Remove these reports with all that is found or shown by them, except `report_key`. Their
    totals stay."""
    if not ids:
        return 0
    connection.execute(_LOCK)
    going = connection.execute(_GOING, (numbers(ids),)).fetchall()
    if keys := keys_of((id, item, generation) for id, item, generation, _ in going):
        blocks, fields, said, reports = zip(*sorted(keys), strict=True)
        lists = (numbers(blocks), numbers(fields), texts(said), numbers(reports))
        connection.execute(_REMOVE_SEARCH_KEYS, lists)
    gone = "DELETE FROM report WHERE id = ANY(%s::bigint[])"
    removed = connection.execute(gone, (numbers(row[0] for row in going),)).rowcount
    if bodies := {body for *_, body in going if body is not None}:
        connection.execute(_REMOVE_BODIES, (numbers(bodies),))
    return removed


def remove_quarantine(connection: Connection, entries: Sequence[int]) -> int:
    gone = "DELETE FROM quarantine WHERE id = ANY(%s::bigint[])"
    return connection.execute(gone, (numbers(entries),)).rowcount
