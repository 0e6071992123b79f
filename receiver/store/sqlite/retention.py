"""Removing reports and quarantine from the SQLite file (store/removal.py).

Only those who read the store know whether a report is still needed: `Needed` asks them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from receiver.store.following import keys_of
from receiver.store.instants import instant
from receiver.store.removal import (
    AFTER_ALL,
    BATCH,
    FIRST,
    KEY_BATCH,
    Holders,
    Place,
    Removal,
    Table,
    all_of,
    instants_of,
    place_of_age,
)
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import followed_to
from receiver.store.sqlite.rows import BODIES_OF_REPORTS, LISTED, days_of_keys, listed

__all__ = ["BATCH", "FIRST", "Needed", "Place", "SqliteRetention", "remove_reports"]


class Needed(Protocol):
    """Which reports somebody still has to read. Asked inside the transaction that removes them."""

    def holders(
        self, connection: sqlite3.Connection, reports: Sequence[int]
    ) -> Mapping[str, Collection[int]]:
        """Of these reports, those that somebody has not read, or still brings somewhere: by who
        that is."""


class SqliteRetention(Removal):
    """Implements StoreRetention (base.py) on a Database."""

    def __init__(self, database: Database, needed: Needed) -> None:
        self._database = database
        self._needed = needed

    async def last_stored_at(self) -> datetime | None:
        statement = "SELECT received_at FROM report ORDER BY id DESC LIMIT 1"
        row = await self._database.question(lambda c: c.execute(statement).fetchone())
        return None if row is None else instant(row[0])

    async def _end_of_reports(self, before: datetime | None, most: int) -> tuple[Place, int]:
        def end(connection: sqlite3.Connection) -> tuple[Place, int]:
            there = _reports(connection)
            too_many = there - most if most else 0
            return _end_of(connection, "report", before, too_many), followed_to(connection)

        return await self._database.question(end)

    async def _end_of_quarantine(self, before: datetime | None, most: int) -> Place:
        return await self._database.question(lambda c: _end_of_quarantine(c, before, most))

    async def _rows_after(self, table: Table, after: Place, end: Place, most: int) -> list[Place]:
        return await self._database.question(_rows_after(table, after, end, most))

    async def _holders(self, reports: Sequence[int]) -> Holders:
        return await self._database.question(lambda c: self._needed.holders(c, reports))

    async def _remove_reports(self, reports: Sequence[int]) -> int:
        def remove(connection: sqlite3.Connection) -> int:
            kept = all_of(self._needed.holders(connection, reports))
            return remove_reports(connection, [number for number in reports if number not in kept])

        return await self._database.write(remove)

    async def _remove_quarantine(self, entries: Sequence[int]) -> int:
        return await self._database.write(_remove("quarantine", entries))

    async def _count_quarantine(self, before: datetime | None, most: int) -> int:
        def count(connection: sqlite3.Connection) -> int:
            end = _end_of_quarantine(connection, before, most)
            statement = f"SELECT count(*) FROM quarantine WHERE {_BEFORE_END}"
            return int(connection.execute(statement, end).fetchone()[0])

        return await self._database.question(count)

    async def _days_without_reports(self, recognised: int) -> list[int]:
        return await self._database.question(lambda c: _days_without_reports(c, recognised))

    async def _remove_keys(self, day: int) -> int:
        return await self._database.write(_remove_keys(day))

    async def _count_keys(self, recognised: int, going: Counter[int]) -> int:
        return await self._database.question(lambda c: _count_keys(c, recognised, going))


# --- what is old -------------------------------------------------------------------------------


def _end_of(
    connection: sqlite3.Connection, table: Table, before: datetime | None, too_many: int
) -> Place:
    """The first place that stays: rows before it are older than `before`, or among the `too_many`
    oldest. FIRST when none goes."""
    end = place_of_age(before)
    if too_many <= 0:
        return end
    row = connection.execute(
        f"SELECT received_at, id FROM {table} ORDER BY received_at, id LIMIT 1 OFFSET ?",
        (too_many,),
    ).fetchone()
    return AFTER_ALL if row is None else max(end, (row[0], row[1]))


def _rows_after(
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
    return _end_of(connection, "quarantine", before, there - most)


def _reports(connection: sqlite3.Connection) -> int:
    """How many reports there are."""
    statement = (
        "SELECT reports + (SELECT count(*) FROM report WHERE id > followed.report) FROM followed"
    )
    return int(connection.execute(statement).fetchone()[0])


_OF_DAY = "FROM report WHERE received_at >= ? AND received_at < ?"
_HAS_REPORT = f"EXISTS (SELECT 1 {_OF_DAY})"


def _days_without_reports(connection: sqlite3.Connection, recognised: int) -> list[int]:
    """The days that have keys and no report, except those by which repeats are recognised."""
    has_report = f"SELECT {_HAS_REPORT}"
    return [
        day
        for day in _forgotten_days(connection, recognised)
        if not connection.execute(has_report, instants_of(day)).fetchone()[0]
    ]


def _forgotten_days(connection: sqlite3.Connection, recognised: int) -> list[int]:
    """The days that have keys by which no repeat has to be recognised any more."""
    return [day for day in days_of_keys(connection) if day < recognised]


def _count_keys(connection: sqlite3.Connection, recognised: int, going: Counter[int]) -> int:
    """The keys of the days that lose all their reports when so many of each day go."""
    keys = 0
    for day in _forgotten_days(connection, recognised):
        there = connection.execute(f"SELECT count(*) {_OF_DAY}", instants_of(day)).fetchone()[0]
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
    return lambda connection: connection.execute(statement, (day, *instants_of(day))).rowcount


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
        keys_of(
            connection.execute(
                f"SELECT id, item, generation FROM report WHERE id IN {LISTED}", (listed(ids),)
            )
        ),
    )
    removed = _remove("report", ids)(connection)
    connection.execute(
        f"DELETE FROM received_body WHERE first_report IN {BODIES_OF_REPORTS} AND NOT EXISTS"
        " (SELECT 1 FROM report WHERE id BETWEEN first_report AND last_report)",
        (listed(ids),),
    )
    return removed
