"""The read model: search keys and totals, which are made after the reports are stored.

The transaction that stores reports writes none of it, since each index would halve its rate. A
`Follower` takes the reports after its cursor, some at a time, and writes what follows from them in
one transaction with the new cursor: whenever it is killed, each report has been counted once or not
yet. A reader takes the model up to the cursor, and the reports after the cursor themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from msgspec.structs import replace

from receiver.store.base import TURN
from receiver.store.excerpt import (
    EXACT,
    OTHER_OUTCOMES,
    ReportOutcome,
    Summary,
    outcome_text,
    summary_of_item,
)
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.parts import write_part_prices, write_parts
from receiver.store.sqlite.rows import listed
from receiver.store.tally import MINUTE, MINUTES_KEPT, CountedReport, Sums, Tally

BLOCK_BITS = 18

OUTCOMES_MOST = 10_000
"""Combinations of status and error that are counted each: hostile ones must not fill the totals."""

Key = tuple[int, int, str, int]
"""Block, field, text and report: a row of search_key."""


FRESH_MOST = 5 * TURN
"""Reports that are kept for the follower: about 500 bytes each."""


class FreshReports:
    """What was stored in this process of late, so that the follower need not read it again.

    Nothing depends on it: what is missing here is read from the database. It is kept while a
    follower keeps up: one that lags too far has to read anyway.
    """

    def __init__(self) -> None:
        self._wanted = False
        self._reports: list[Followed] = []

    def begin(self) -> None:
        """Somebody has followed all that there is."""
        self._wanted = True

    def add(self, stored: Sequence[tuple[CountedReport, Summary | None]]) -> None:
        """Take what a transaction has stored, in the order of ids."""
        if not self._wanted or not stored:
            return
        if len(self._reports) + len(stored) > FRESH_MOST:
            self._wanted = False
            self._reports = []
            return
        told = [(row, summary) for row, summary in stored if summary is not None]
        if self._reports and self._reports[-1][0].id + 1 != stored[0][0].id:
            self._reports = []  # another process has stored some between
        if len(told) == len(stored):
            self._reports += told
        else:
            self._reports = []

    def after(self, report: int, most: int) -> list[Followed]:
        """At most `most` of the reports that follow this one without a gap; they are kept no
        longer. Nothing if the next one is not here."""
        start = 0 if not self._reports else report + 1 - self._reports[0][0].id
        if start < 0:
            return []
        found = self._reports[start : start + most]
        del self._reports[: start + most]
        return found


class Follower:
    """Implements ReadModel (base.py). One process has one. `fresh` is what its store has added."""

    def __init__(self, database: Database, fresh: FreshReports | None = None) -> None:
        self._database = database
        self._fresh = fresh or FreshReports()
        self._read_to: int | None = None
        self._caught_up = False

    async def turn(self, most: int = TURN) -> int:
        batch = self._in_hand(most)
        if batch is None or not await self._write(batch):
            batch = await self._database.question(lambda c: read_batch(c, most))
            if batch.followed:
                await self._write(batch)
            if batch.followed < most:
                self._fresh.begin()
        self._read_to = batch.read_to
        return batch.followed or await self._older(most)

    def _in_hand(self, most: int) -> Batch | None:
        if self._read_to is None:
            return None
        rows = self._fresh.after(self._read_to, most)
        return _batch(self._read_to, rows[-1][0].id, rows) if rows else None

    async def _older(self, most: int) -> int:
        """Catch up with what the reports of an older schema have not been added up by: first parts
        (parts.py), then costs."""
        if self._caught_up:
            return 0
        for read, write in ((read_older, write_older), (read_costs, write_costs)):
            batch = await self._database.question(partial(read, most=most))
            if batch.read_to > batch.read_from:
                await self._database.write(partial(write, batch=batch))
            if batch.followed:
                return batch.followed
        self._caught_up = True  # once, because only a new schema leaves older ones
        return 0

    async def _write(self, batch: Batch) -> bool:
        """False when another follower has moved the cursor."""
        return await self._database.write(lambda connection: write_batch(connection, batch))

    async def catch_up(self) -> int:
        followed = 0
        while count := await self.turn():
            followed += count
        return followed


_COLUMNS = "id, received_at, source, generation, final, status_group, item"


@dataclass(frozen=True, slots=True)
class Batch:
    """What follows from the reports after `read_from` up to `read_to`."""

    read_from: int
    read_to: int
    followed: int
    keys: Sequence[Key]
    sums: Sums


def followed_to(connection: sqlite3.Connection) -> int:
    """The report up to which the read model is complete."""
    (report,) = connection.execute("SELECT report FROM followed").fetchone()
    return int(report)


Followed = tuple[CountedReport, Summary]
"""A report as the read model takes it."""


def rows_after(connection: sqlite3.Connection, report: int, most: int) -> Iterable[Followed]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM report WHERE id > ? ORDER BY id LIMIT ?", (report, most)
    )
    for id, received_at, source, generation, final, status_group, item in rows:
        counted = CountedReport(id, received_at, source, bool(final), status_group)
        yield counted, summary_of_item(item, generation)


def read_batch(connection: sqlite3.Connection, most: int) -> Batch:
    """Read on from the cursor and work out what follows. Changes nothing."""
    read_from = followed_to(connection)
    rows = list(rows_after(connection, read_from, most))
    return _batch(read_from, rows[-1][0].id if rows else read_from, rows)


def _batch(read_from: int, read_to: int, rows: Sequence[Followed]) -> Batch:
    keys: list[Key] = []
    tally = Tally()
    for row, summary in rows:
        block = row.id >> BLOCK_BITS
        keys += [(block, field, text, row.id) for field, text in summary.keys()]  # noqa: SIM118
        tally.add(row, summary)
    keys.sort()  # inserts that are neighbours touch few pages
    return Batch(read_from, read_to, len(rows), keys, tally.sums())


def _count(connection: sqlite3.Connection, after: int, last: int) -> int:
    rows = connection.execute("SELECT count(*) FROM report WHERE id > ? AND id <= ?", (after, last))
    return int(rows.fetchone()[0])


def write_batch(connection: sqlite3.Connection, batch: Batch) -> bool:
    """Write a batch and move the cursor. False, and nothing is written, when another follower has
    moved it meanwhile."""
    moved = connection.execute(
        "UPDATE followed SET report = ? WHERE report = ?", (batch.read_to, batch.read_from)
    )
    if moved.rowcount != 1:
        return False
    there = _count(connection, batch.read_from, batch.read_to)
    if there != batch.followed:
        # Some were erased since: their keys must not come after them.
        rows = list(rows_after(connection, batch.read_from, there))
        batch = _batch(batch.read_from, batch.read_to, rows)
    connection.execute("UPDATE followed SET reports = reports + ?", (batch.followed,))
    connection.execute(_ADD_KEYS, (listed(batch.keys),))
    _write_outcomes(connection, batch.sums)
    _write_prices(connection, batch.sums)
    _write_durations(connection, batch.sums)
    write_parts(connection, batch.sums.parts, _outcome_number)
    _drop_minutes(connection, batch.sums)
    return True


_MOVE_OLDER = "UPDATE {cursor} SET report = ? WHERE report = ?"


def read_older(connection: sqlite3.Connection, most: int) -> Batch:
    """What follows for parts from reports that were followed before there were parts. They cost the
    price of one part here: the rest is added with the costs, whose turn comes afterwards."""
    read_from, read_to, rows = _old_rows(connection, "parts_followed", most)
    return _batch(
        read_from, read_to, [(row, replace(said, message_count=None)) for row, said in rows]
    )


def read_costs(connection: sqlite3.Connection, most: int) -> Batch:
    """What the parts after the first cost, of reports that were followed at the price of one."""
    read_from, read_to, rows = _old_rows(connection, "cost_followed", most)
    tally = Tally()
    for row, said in rows:
        if said.message_count is not None and said.message_count > 1:
            tally.add(row, replace(said, message_count=said.message_count - 1))
    return Batch(read_from, read_to, len(rows), [], tally.sums())


def _old_rows(
    connection: sqlite3.Connection, cursor: str, most: int
) -> tuple[int, int, Sequence[Followed]]:
    """From and up to which report this cursor moves next, and the reports between."""
    read_from, last = connection.execute(f"SELECT report, last FROM {cursor}").fetchone()
    if read_from >= last:
        return read_from, read_from, []
    rows = [each for each in rows_after(connection, read_from, most) if each[0].id <= last]
    return read_from, rows[-1][0].id if len(rows) == most else last, rows


def write_older(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write the parts of a batch, unless another follower has meanwhile."""
    if _moved(connection, "parts_followed", batch):
        write_parts(connection, batch.sums.parts, _outcome_number)


def write_costs(connection: sqlite3.Connection, batch: Batch) -> None:
    """Add the costs of a batch to reports that are counted already, unless another follower has.
    Minutes that are dropped stay dropped."""
    if _moved(connection, "cost_followed", batch):
        for key, amount in batch.sums.prices.items():
            before = connection.execute(_FIND_PRICE, key).fetchone()
            if before is not None:
                sum = EXACT.add(Decimal(before[0]), amount.sum)
                connection.execute(_ADD_PRICE, (*key, 0, f"{sum:f}"))
        for amount in batch.sums.parts.prices.values():
            amount.reports = 0
        write_part_prices(connection, batch.sums.parts)


def _moved(connection: sqlite3.Connection, cursor: str, batch: Batch) -> bool:
    """False when another follower has moved the cursor."""
    move = _MOVE_OLDER.format(cursor=cursor)
    return connection.execute(move, (batch.read_to, batch.read_from)).rowcount == 1


def _drop_minutes(connection: sqlite3.Connection, sums: Sums) -> None:
    """Drop the minutes that are too old beside those that were counted now. Not beside the newest:
    after a clock that was ahead for a moment, that would drop all there are."""
    minutes = [start for span, start, *_ in sums.outcomes if span == MINUTE]
    if minutes:
        gone = (MINUTE, min(minutes) - MINUTES_KEPT)
        for statement in _DROP:
            connection.execute(statement, gone)


# One statement for all of them: with one for each, the thread would ask for the interpreter 3,000
# times in the middle of the transaction, while the event loop is busy and callbacks wait for both.
_ADD_KEYS = """
    INSERT INTO search_key
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)
"""
_DROP = [
    f"DELETE FROM {table} WHERE span = ? AND start < ?"
    for table in ("total", "price_total", "duration_total")
]
_ADD_OUTCOME = """
    INSERT INTO total VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET reports = reports + excluded.reports,
        first_report = min(first_report, excluded.first_report),
        last_report = max(last_report, excluded.last_report)
"""
_ADD_PRICE = """
    INSERT INTO price_total VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET reports = reports + excluded.reports, sum = excluded.sum
"""
_FIND_PRICE = """
    SELECT sum FROM price_total
    WHERE span = ? AND start = ? AND source = ? AND final = ? AND currency = ?
"""
_ADD_DURATIONS = """
    INSERT INTO duration_total
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
    FROM json_each(?) WHERE true
    ON CONFLICT DO UPDATE SET reports = reports + excluded.reports
"""


def _write_outcomes(connection: sqlite3.Connection, sums: Sums) -> None:
    numbers = {
        outcome: _outcome_number(connection, outcome)
        for outcome in dict.fromkeys(key[3] for key in sums.outcomes)
    }
    connection.executemany(
        _ADD_OUTCOME,
        [
            (span, start, source, numbers[outcome], cell.reports, cell.first, cell.last)
            for (span, start, source, outcome), cell in sums.outcomes.items()
        ],
    )


def _outcome_number(connection: sqlite3.Connection, outcome: ReportOutcome) -> int:
    said = outcome_text(outcome)
    known = connection.execute("SELECT id FROM outcome WHERE said = ?", (said,)).fetchone()
    if known is not None:
        return int(known[0])
    (highest,) = connection.execute("SELECT coalesce(max(id), 0) FROM outcome").fetchone()
    if highest >= OUTCOMES_MOST:
        return OTHER_OUTCOMES
    connection.execute("INSERT INTO outcome VALUES (?, ?)", (highest + 1, said))
    return int(highest) + 1


def _write_prices(connection: sqlite3.Connection, sums: Sums) -> None:
    rows = []
    for key, amount in sums.prices.items():
        before = connection.execute(_FIND_PRICE, key).fetchone()
        sum = amount.sum if before is None else EXACT.add(Decimal(before[0]), amount.sum)
        rows.append((*key, amount.reports, f"{sum:f}"))
    connection.executemany(_ADD_PRICE, rows)


def _write_durations(connection: sqlite3.Connection, sums: Sums) -> None:
    rows = sorted((*key, count) for key, count in sums.durations.items())
    connection.execute(_ADD_DURATIONS, (listed(rows),))
