"""The read model in the SQLite file (store/following.py)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial
from itertools import chain

from msgspec.structs import replace

from receiver.store import following
from receiver.store.base import TURN
from receiver.store.excerpt import (
    EXACT,
    OTHER_OUTCOMES,
    ReportOutcome,
    outcome_text,
    summary_of_item,
)
from receiver.store.following import Batch, Following, Key, minutes_gone_before
from receiver.store.fresh import Followed, FreshReports
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.parts import write_part_prices, write_parts
from receiver.store.sqlite.rows import listed
from receiver.store.tally import MINUTE, CountedReport, Sums, Tally


class Follower(Following):
    """Implements ReadModel (base.py) on a Database."""

    def __init__(self, database: Database, fresh: FreshReports | None = None) -> None:
        super().__init__(fresh)
        self._database = database
        self._caught_up = False

    async def turn(self, most: int = TURN) -> int:
        return await super().turn(most) or await self._older(most)

    async def _read(self, most: int) -> Batch:
        return await self._database.question(lambda c: read_batch(c, most))

    async def _write(self, batch: Batch) -> bool:
        return await self._database.write(lambda c: write_batch(c, batch))

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


_COLUMNS = "id, received_at, source, generation, final, status_group, item"


def followed_to(connection: sqlite3.Connection) -> int:
    """The report up to which the read model is complete."""
    (report,) = connection.execute("SELECT report FROM followed").fetchone()
    return int(report)


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
    return Batch.of(read_from, rows[-1][0].id if rows else read_from, rows)


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
        batch = Batch.of(batch.read_from, batch.read_to, rows)
    connection.execute("UPDATE followed SET reports = reports + ?", (batch.followed,))
    _write_keys(connection, batch.keys)
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
    return Batch.of(
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
    if (first := minutes_gone_before(sums)) is not None:
        for statement in _DROP:
            connection.execute(statement, (MINUTE, first))


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


_KEYS_AT_ONCE = 500


def _write_keys(connection: sqlite3.Connection, keys: Sequence[Key]) -> None:
    # Many a statement: with one for each, the thread would ask for the interpreter 3,000 times in
    # the middle of the transaction, while the event loop is busy and callbacks wait for both.
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        rows = ", ".join(["(?, ?, ?, ?)"] * len(some))
        connection.execute(f"INSERT INTO search_key VALUES {rows}", [*chain.from_iterable(some)])


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
    if highest >= following.OUTCOMES_MOST:
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
