"""Removing reports and quarantine that are too old, or too many.

Everything goes in batches of a few hundred rows, each a transaction of its own with a pause after
it, so that no callback waits for more than one batch. Ids ascend with time, so that "older than"
and "more than" are both "up to this id", found by a few steps down the primary key.

Only those who read the store know whether a report is still needed: `Needed` asks them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Literal, Protocol

from receiver.store.base import DUPLICATE_DAYS, Pause
from receiver.store.excerpt import excerpt_of
from receiver.store.sqlite.database import MICROS_PER_DAY, Database, micros
from receiver.store.sqlite.followup import BLOCK_BITS, followed_to
from receiver.store.sqlite.rows import BODIES_OF_REPORTS, LISTED, ends_of, ids_of, listed

BATCH = 200
"""Rows in a transaction, for which callbacks wait. Beside a purge the p99 of a commit was 37 ms and
not 18 with 200, 47 with 500 (on a busy machine; README.md)."""

KEY_BATCH = 1_000
"""Keys in a transaction: they are neighbours, and nothing else belongs to them."""

Table = Literal["report", "quarantine", "dispatch", "attempt"]

_INSTANT: dict[Table, str] = {
    "report": "received_at",
    "quarantine": "received_at",
    "dispatch": "created_at",
    "attempt": "started_at",
}


class Needed(Protocol):
    """Which reports somebody still has to read. Asked inside the transaction that removes them."""

    def unread_after(self, connection: sqlite3.Connection) -> int | None:
        """The report after which all are still unread by somebody; None when nobody reads."""

    def carried(self, connection: sqlite3.Connection, first: int, last: int) -> Collection[int]:
        """Of the reports from `first` to `last`, those that are still being brought somewhere."""


class SqliteRetention:
    """Implements StoreRetention (base.py) on a Database."""

    def __init__(self, database: Database, needed: Needed) -> None:
        self._database = database
        self._needed = needed

    async def purge_reports(
        self, *, now: datetime, before: datetime | None, most: int, pause: Pause
    ) -> dict[str, int]:
        last = await self._database.question(lambda c: self._last_report_to_go(c, before, most))
        after, removed = 0, 0
        while ids := await self._database.question(_ids_after("report", after, last)):
            after = ids[-1]
            removed += await self._database.write(self._remove_reports(ids))
            await pause()
        keys = await self._purge_keys(now, pause) if removed else 0
        return {"report": removed, "report_key": keys}

    async def count_reports(self, *, before: datetime | None, most: int) -> dict[str, int]:
        def count(connection: sqlite3.Connection) -> int:
            last = self._last_report_to_go(connection, before, most)
            kept = self._needed.carried(connection, 0, last)
            return _count(connection, "report", last) - len(kept)

        reports = await self._database.question(count)
        return {"report": reports, "report_key": reports}

    async def purge_quarantine(
        self, *, before: datetime | None, most: int, pause: Pause
    ) -> dict[str, int]:
        last = await self._database.question(lambda c: last_to_go(c, "quarantine", before, most))
        after, removed = 0, 0
        while ids := await self._database.question(_ids_after("quarantine", after, last)):
            after = ids[-1]
            removed += await self._database.write(_remove("quarantine", ids))
            await pause()
        return {"quarantine": removed}

    async def count_quarantine(self, *, before: datetime | None, most: int) -> dict[str, int]:
        def count(connection: sqlite3.Connection) -> int:
            return _count(
                connection, "quarantine", last_to_go(connection, "quarantine", before, most)
            )

        return {"quarantine": await self._database.question(count)}

    def _last_report_to_go(
        self, connection: sqlite3.Connection, before: datetime | None, most: int
    ) -> int:
        """What has not been added up yet stays too, for the totals."""
        last = min(last_to_go(connection, "report", before, most), followed_to(connection))
        unread = self._needed.unread_after(connection)
        return last if unread is None else min(last, unread)

    def _remove_reports(self, ids: Sequence[int]) -> Callable[[sqlite3.Connection], int]:
        def remove(connection: sqlite3.Connection) -> int:
            kept = set(self._needed.carried(connection, ids[0], ids[-1]))
            return remove_reports(connection, [number for number in ids if number not in kept])

        return remove

    async def _purge_keys(self, now: datetime, pause: Pause) -> int:
        """Remove the keys of days that have no report any more. Those by which repeats are
        recognised stay, whatever became of their reports."""
        day = await self._database.question(lambda connection: _first_day(connection, now))
        statement = (
            "DELETE FROM report_key WHERE (day, message_key, identity) IN"
            f" (SELECT day, message_key, identity FROM report_key WHERE day < ? LIMIT {KEY_BATCH})"
        )
        removed = 0
        while gone := await self._database.write(lambda c: c.execute(statement, (day,)).rowcount):
            removed += gone
            await pause()
        return removed


def last_to_go(
    connection: sqlite3.Connection, table: Table, before: datetime | None, most: int
) -> int:
    """The id up to which rows are older than `before` or more than the `most` newest (0: as many
    as there are). 0 when none is."""
    lowest, highest = ends_of(connection, table)
    if lowest is None or highest is None:
        return 0
    too_many = max(highest - most, 0) if most else 0
    if before is None:
        return too_many
    return max(too_many, _last_before(connection, table, micros(before), (lowest, highest)))


def _last_before(
    connection: sqlite3.Connection, table: Table, at: int, ids: tuple[int, int]
) -> int:
    """The last id from before `at`, by halving: the instants have no index of their own."""
    statement = f"SELECT id, {_INSTANT[table]} FROM {table} WHERE id >= ? ORDER BY id LIMIT 1"
    low, high = ids[0] - 1, ids[1]  # what is at `low` goes; what comes after `high` stays
    while low < high:
        middle = (low + high + 1) // 2
        found, instant = connection.execute(statement, (middle,)).fetchone()
        if instant < at:
            low = found
        else:
            high = middle - 1
    return low if low >= ids[0] else 0


def _count(connection: sqlite3.Connection, table: Table, last: int) -> int:
    rows = connection.execute(f"SELECT count(*) FROM {table} WHERE id <= ?", (last,))
    return int(rows.fetchone()[0])


def _ids_after(table: Table, after: int, last: int) -> Callable[[sqlite3.Connection], list[int]]:
    statement = f"SELECT id FROM {table} WHERE id > ? AND id <= ? ORDER BY id LIMIT {BATCH}"
    return lambda connection: ids_of(connection, statement, (after, last))


def _remove(table: Table, ids: Collection[int]) -> Callable[[sqlite3.Connection], int]:
    statement = f"DELETE FROM {table} WHERE id IN {LISTED}"
    return lambda connection: connection.execute(statement, (listed(ids),)).rowcount


def remove_reports(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Remove these reports with all that is found or shown by them, but for `report_key`. What
    was added up of them stays."""
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


def _first_day(connection: sqlite3.Connection, now: datetime) -> int:
    """The first day whose keys stay."""
    recognised = micros(now) // MICROS_PER_DAY - DUPLICATE_DAYS + 1
    oldest = connection.execute("SELECT received_at FROM report ORDER BY id LIMIT 1").fetchone()
    return recognised if oldest is None else min(recognised, oldest[0] // MICROS_PER_DAY)
