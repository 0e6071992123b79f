"""Removing reports and quarantine that are too old, or too many.

Everything goes in batches of a few hundred rows, each a transaction of its own with a pause after
it, so that no callback waits for more than one batch. Instants decide what is oldest, and not ids:
a quarantine entry that was read again is an old report with a new id. Rows are found in the order
of an index, so that a purge looks at what goes and at what is kept back, and at nothing else.

Only those who read the store know whether a report is still needed: `Needed` asks them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from receiver.store.base import DUPLICATE_DAYS, Pause
from receiver.store.excerpt import excerpt_of
from receiver.store.instants import MICROS_PER_DAY, instant, micros
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import BLOCK_BITS, followed_to
from receiver.store.sqlite.rows import BODIES_OF_REPORTS, LISTED, days_of_keys, listed

BATCH = 200
"""Rows in a transaction, for which callbacks wait. Beside a purge the p99 of a commit was 37 ms and
not 18 with 200, 47 with 500 (on a busy machine; README.md)."""

LOOK = 1_000
"""Rows that are looked at between two pauses. Nobody waits for that."""

KEY_BATCH = 1_000
"""Keys in a transaction: they are neighbours, and nothing else belongs to them."""

Table = Literal["report", "quarantine"]

Place = tuple[int, int]
"""An instant and an id. In this order rows are old."""

FIRST: Place = (-(2**63), 0)
AFTER_ALL: Place = (2**63 - 1, 2**63 - 1)

Rows = Mapping[str, int]
"""How many rows of each table."""


class Needed(Protocol):
    """Which reports somebody still has to read. Asked inside the transaction that removes them."""

    def holders(
        self, connection: sqlite3.Connection, reports: Sequence[int]
    ) -> Mapping[str, Collection[int]]:
        """Of these reports, those that somebody has not read, or still brings somewhere: by who
        that is."""


class SqliteRetention:
    """Implements StoreRetention (base.py) on a Database."""

    def __init__(self, database: Database, needed: Needed) -> None:
        self._database = database
        self._needed = needed

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
        removed = 0
        async for places in self._to_go(before, most, held):
            for batch in _cut([id for _, id in places], BATCH):
                removed += await self._database.write(self._remove_reports(batch))
                await pause()
            if not places:
                await pause()
        keys = await self._purge_keys(now, pause) if removed else 0
        return {"report": removed, "report_key": keys}

    async def count_reports(
        self,
        *,
        now: datetime,
        before: datetime | None,
        most: int,
        held: Counter[str] | None = None,
    ) -> Rows:
        going: Counter[int] = Counter()  # by day
        async for places in self._to_go(before, most, held):
            going.update(at // MICROS_PER_DAY for at, _ in places)
        keys = await self._database.question(lambda c: _count_keys(c, now, going)) if going else 0
        return {"report": going.total(), "report_key": keys}

    async def purge_quarantine(self, *, before: datetime | None, most: int, pause: Pause) -> Rows:
        end = await self._database.question(lambda c: _end_of_quarantine(c, before, most))
        after, removed = FIRST, 0
        while rows := await self._database.question(rows_after("quarantine", after, end, BATCH)):
            after = rows[-1]
            removed += await self._database.write(_remove("quarantine", [id for _, id in rows]))
            await pause()
        return {"quarantine": removed}

    async def count_quarantine(self, *, before: datetime | None, most: int) -> Rows:
        def count(connection: sqlite3.Connection) -> int:
            end = _end_of_quarantine(connection, before, most)
            statement = f"SELECT count(*) FROM quarantine WHERE {_BEFORE_END}"
            return int(connection.execute(statement, end).fetchone()[0])

        return {"quarantine": await self._database.question(count)}

    async def _to_go(
        self, before: datetime | None, most: int, held: Counter[str] | None
    ) -> AsyncIterator[list[Place]]:
        """The reports that are too old or too many and that nobody needs, the oldest first; a piece
        may be empty. What has not been added up yet stays too, for the totals."""

        def end_of_old(connection: sqlite3.Connection) -> tuple[Place, int]:
            there, followed = _reports(connection), followed_to(connection)
            return end_of(connection, "report", before, there - most if most else 0), followed

        end, followed = await self._database.question(end_of_old)
        after = FIRST
        while rows := await self._database.question(rows_after("report", after, end, LOOK)):
            after = rows[-1]
            added_up = [(at, id) for at, id in rows if id <= followed]
            holders = await self._database.question(self._holders([id for _, id in added_up]))
            if held is not None:
                held.update({name: len(kept) for name, kept in holders.items() if kept})
            kept = set().union(*holders.values())
            yield [(at, id) for at, id in added_up if id not in kept]

    def _holders(
        self, ids: Sequence[int]
    ) -> Callable[[sqlite3.Connection], Mapping[str, Collection[int]]]:
        return lambda connection: self._needed.holders(connection, ids)

    def _remove_reports(self, ids: Sequence[int]) -> Callable[[sqlite3.Connection], int]:
        def remove(connection: sqlite3.Connection) -> int:
            kept = set().union(*self._needed.holders(connection, ids).values())
            return remove_reports(connection, [number for number in ids if number not in kept])

        return remove

    async def _purge_keys(self, now: datetime, pause: Pause) -> int:
        """Remove the keys of days that have no report any more. Those by which repeats are
        recognised stay, whatever became of their reports."""
        removed = 0
        for day in await self._database.question(lambda c: _days_without_reports(c, now)):
            while gone := await self._database.write(_remove_keys(day)):
                removed += gone
                await pause()
        return removed


# --- what is old -------------------------------------------------------------------------------


def end_of(
    connection: sqlite3.Connection, table: Table, before: datetime | None, too_many: int
) -> Place:
    """The first place that stays: rows before it are older than `before`, or among the `too_many`
    oldest. FIRST when none goes."""
    end = FIRST if before is None else (micros(before), 0)
    if too_many <= 0:
        return end
    row = connection.execute(
        f"SELECT received_at, id FROM {table} ORDER BY received_at, id LIMIT 1 OFFSET ?",
        (too_many,),
    ).fetchone()
    return AFTER_ALL if row is None else max(end, (row[0], row[1]))


def rows_after(
    table: Table, after: Place, end: Place, most: int
) -> Callable[[sqlite3.Connection], list[Place]]:
    """At most `most` rows between two places, the oldest first."""
    statement = (
        f"SELECT received_at, id FROM {table} WHERE (received_at, id) > (?, ?) AND {_BEFORE_END}"
        f" ORDER BY received_at, id LIMIT {most}"
    )
    return lambda connection: connection.execute(statement, (*after, *end)).fetchall()


_BEFORE_END = "(received_at, id) < (?, ?)"


def _end_of_quarantine(connection: sqlite3.Connection, before: datetime | None, most: int) -> Place:
    there = connection.execute("SELECT count(*) FROM quarantine").fetchone()[0] if most else 0
    return end_of(connection, "quarantine", before, there - most)


def _reports(connection: sqlite3.Connection) -> int:
    """How many reports there are."""
    statement = (
        "SELECT reports + (SELECT count(*) FROM report WHERE id > followed.report) FROM followed"
    )
    return int(connection.execute(statement).fetchone()[0])


_OF_DAY = "FROM report WHERE received_at >= ? AND received_at < ?"
_HAS_REPORT = f"EXISTS (SELECT 1 {_OF_DAY})"


def _instants_of(day: int) -> tuple[int, int]:
    return day * MICROS_PER_DAY, (day + 1) * MICROS_PER_DAY


def _days_without_reports(connection: sqlite3.Connection, now: datetime) -> list[int]:
    """The days that have keys and no report, except those by which repeats are recognised."""
    has_report = f"SELECT {_HAS_REPORT}"
    return [
        day
        for day in _forgotten_days(connection, now)
        if not connection.execute(has_report, _instants_of(day)).fetchone()[0]
    ]


def _forgotten_days(connection: sqlite3.Connection, now: datetime) -> list[int]:
    """The days that have keys by which no repeat has to be recognised any more."""
    recognised = micros(now) // MICROS_PER_DAY - DUPLICATE_DAYS + 1
    return [day for day in days_of_keys(connection) if day < recognised]


def _count_keys(connection: sqlite3.Connection, now: datetime, going: Counter[int]) -> int:
    """The keys of the days that lose all their reports when so many of each day go."""
    keys = 0
    for day in _forgotten_days(connection, now):
        there = connection.execute(f"SELECT count(*) {_OF_DAY}", _instants_of(day)).fetchone()[0]
        if there == going[day]:
            of_day = connection.execute("SELECT count(*) FROM report_key WHERE day = ?", (day,))
            keys += int(of_day.fetchone()[0])
    return keys


def _remove_keys(day: int) -> Callable[[sqlite3.Connection], int]:
    """Some of the keys of a day, unless it has got a report meanwhile."""
    statement = (
        "DELETE FROM report_key WHERE (day, message_key, source, identity) IN"
        f" (SELECT day, message_key, source, identity FROM report_key WHERE day = ?"
        f" LIMIT {KEY_BATCH})"
        f" AND NOT {_HAS_REPORT}"
    )
    return lambda connection: connection.execute(statement, (day, *_instants_of(day))).rowcount


def _cut(ids: Sequence[int], size: int) -> list[Sequence[int]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


# --- removing ----------------------------------------------------------------------------------


def _remove(table: Table, ids: Collection[int]) -> Callable[[sqlite3.Connection], int]:
    statement = f"DELETE FROM {table} WHERE id IN {LISTED}"
    return lambda connection: connection.execute(statement, (listed(ids),)).rowcount


def remove_reports(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Remove these reports with all that is found or shown by them, except `report_key`. Their
    totals stay."""
    if not ids:
        return 0
    connection.executemany(
        "DELETE FROM search_key WHERE block = ? AND field = ? AND key = ? AND report = ?",
        _search_keys(connection, ids),
    )
    removed = _remove("report", ids)(connection)
    connection.execute(
        f"DELETE FROM received_body WHERE first_report IN {BODIES_OF_REPORTS} AND NOT EXISTS"
        " (SELECT 1 FROM report WHERE id BETWEEN first_report AND last_report)",
        (listed(ids),),
    )
    return removed


def _search_keys(
    connection: sqlite3.Connection, ids: Sequence[int]
) -> list[tuple[int, int, str, int]]:
    rows = connection.execute(
        f"SELECT id, item, generation FROM report WHERE id IN {LISTED}", (listed(ids),)
    )
    return [
        (number >> BLOCK_BITS, field, key, number)
        for number, item, generation in rows
        for field, key in excerpt_of(item, generation).keys()  # noqa: SIM118
    ]
