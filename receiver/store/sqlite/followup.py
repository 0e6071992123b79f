"""The read model: search keys and totals, which follow behind the stored reports.

The transaction that stores reports writes none of it, since each index would halve its rate. A
`Follower` takes the reports behind its cursor, some at a time, and writes what follows from them in
one transaction with the new cursor: whenever it is killed, each report has been counted once or not
yet. Whoever asks reads the model up to the cursor, and the reports behind the cursor themselves.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Context, Decimal, Inexact
from typing import Any

import msgspec
from msgspec import Struct

from receiver.dlr.instants import parse_instant
from receiver.store.excerpt import (
    OTHER_OUTCOMES,
    Excerpt,
    Outcome,
    excerpt_of,
    outcome_of,
    outcome_text,
)
from receiver.store.histogram import bin_of
from receiver.store.sqlite.database import Database

TURN = 1_000
"""Reports that are followed in one transaction: it keeps intake waiting for 6 ms (measured)."""

BLOCK_BITS = 18

HOUR, DAY = 3_600, 86_400
SPANS = (HOUR, DAY)

OUTCOMES_MOST = 10_000
"""Combinations of status and error that are told apart: hostile ones must not fill the totals."""

EXACT = Context(prec=250, traps=[Inexact])
"""Sums of prices are exact, or not at all: 80 digits of a price leave room for any count."""

_HOUR_MICROS = HOUR * 1_000_000
_MILLISECOND = timedelta(milliseconds=1)
_CURRENCY = re.compile("[A-Z0-9]{1,8}")


Key = tuple[int, int, str, int]
"""Block, field, text and report: a row of search_key."""


class Follower:
    """Brings the read model of a database up to its reports. One process has one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def turn(self, most: int = TURN) -> int:
        """Follow at most `most` reports; returns how many there were to follow.

        Raises StoreUnavailable; then nothing is changed, and the next turn begins at the same one.
        """
        batch = await self._database.question(lambda connection: read_batch(connection, most))
        if batch.followed:
            await self._database.write(lambda connection: write_batch(connection, batch))
        return batch.followed

    async def catch_up(self) -> int:
        """Take turns until there is nothing to follow. Returns how many reports were followed."""
        followed = 0
        while count := await self.turn():
            followed += count
        return followed


class Cell(Struct):
    """A count, and between which reports they are."""

    reports: int
    first: int
    last: int


class Amount(Struct):
    """A sum of prices."""

    reports: int
    sum: Decimal


@dataclass(slots=True)
class Totals:
    """What was added up, by span, start and source; `outcomes` by outcome, the others by final."""

    outcomes: dict[tuple[int, int, str, Outcome], Cell] = field(default_factory=dict)
    prices: dict[tuple[int, int, str, bool, str], Amount] = field(default_factory=dict)
    durations: Counter[tuple[int, int, str, bool, int]] = field(default_factory=Counter)

    def count(self, key: tuple[int, int, str, Outcome], cell: Cell) -> None:
        before = self.outcomes.get(key)
        if before is None:
            self.outcomes[key] = cell
        else:
            before.reports += cell.reports
            before.first = min(before.first, cell.first)
            before.last = max(before.last, cell.last)

    def pay(self, key: tuple[int, int, str, bool, str], price: Decimal, reports: int) -> None:
        amount = self.prices.setdefault(key, Amount(0, Decimal(0)))
        amount.reports += reports
        amount.sum = EXACT.add(amount.sum, EXACT.multiply(price, reports))


class Tally:
    """Adds reports up as they come, one look-up each, and makes totals of it at the end.

    A turn's reports say few different things, and are of one hour or two: what is worked out for
    each of them takes the interpreter away from the callbacks.
    """

    def __init__(self) -> None:
        self._cells: dict[tuple[Any, ...], list[int]] = {}
        self._prices: Counter[tuple[int, str, bool, str | None, Decimal]] = Counter()
        self._durations: Counter[tuple[int, str, bool, int]] = Counter()

    def add(self, row: FollowedRow, excerpt: Excerpt) -> None:
        hour = row.received_at // _HOUR_MICROS * HOUR
        said = (hour, row.source, row.final, row.status_group, *excerpt.outcome_key())
        cell = self._cells.get(said)
        if cell is None:
            self._cells[said] = [1, row.id, row.id]
        else:
            cell[0] += 1
            cell[2] = row.id
        price = excerpt.price
        if price is not None and price.per_message is not None:
            self._prices[hour, row.source, row.final, price.currency, price.per_message] += 1
        if (milliseconds := duration_of(excerpt)) is not None:
            self._durations[hour, row.source, row.final, bin_of(milliseconds)] += 1

    def totals(self) -> Totals:
        totals = Totals()
        for (hour, source, final, group, *said), (count, first, last) in self._cells.items():
            outcome = outcome_of(final, group, *said)
            for span in SPANS:
                start = hour // span * span
                totals.count((span, start, source, outcome), Cell(count, first, last))
        for (hour, source, final, currency, price), count in self._prices.items():
            for span in SPANS:
                key = (span, hour // span * span, source, final, currency_of(currency))
                totals.pay(key, price, count)
        for (hour, source, final, bin), count in self._durations.items():
            for span in SPANS:
                totals.durations[span, hour // span * span, source, final, bin] += count
        return totals


class FollowedRow(Struct, frozen=True):
    """What is read of a report to follow it."""

    id: int
    received_at: int
    source: str
    generation: Any
    final: bool
    status_group: int | None
    item: str


FOLLOWED_COLUMNS = "id, received_at, source, generation, final, status_group, item"


@dataclass(frozen=True, slots=True)
class Batch:
    """What follows from the reports after `read_from` up to `read_to`."""

    read_from: int
    read_to: int
    followed: int
    keys: Sequence[Key]
    totals: Totals


def followed_to(connection: sqlite3.Connection) -> int:
    """The report up to which the read model is complete."""
    (report,) = connection.execute("SELECT report FROM followed").fetchone()
    return int(report)


def rows_after(connection: sqlite3.Connection, report: int, most: int) -> Iterable[FollowedRow]:
    rows = connection.execute(
        f"SELECT {FOLLOWED_COLUMNS} FROM report WHERE id > ? ORDER BY id LIMIT ?", (report, most)
    )
    for id, received_at, source, generation, final, status_group, item in rows:
        yield FollowedRow(id, received_at, source, generation, bool(final), status_group, item)


def read_batch(connection: sqlite3.Connection, most: int) -> Batch:
    """Read on from the cursor and work out what follows. Changes nothing."""
    read_from = followed_to(connection)
    rows = list(rows_after(connection, read_from, most))
    return _batch(read_from, rows[-1].id if rows else read_from, rows)


def _batch(read_from: int, read_to: int, rows: Sequence[FollowedRow]) -> Batch:
    keys: list[Key] = []
    tally = Tally()
    for row in rows:
        excerpt = excerpt_of(row.item, row.generation)
        keys += keys_of(row.id, excerpt)
        tally.add(row, excerpt)
    keys.sort()  # inserts that are neighbours touch few pages
    return Batch(read_from, read_to, len(rows), keys, tally.totals())


def keys_of(report: int, excerpt: Excerpt) -> list[Key]:
    """The rows of search_key of one report."""
    block = report >> BLOCK_BITS
    return [(block, field, text, report) for field, text in excerpt.keys()]  # noqa: SIM118


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
    if _count(connection, batch.read_from, batch.read_to) != batch.followed:
        # Some were erased since: their keys must not come after them.
        rows = rows_after(connection, batch.read_from, batch.followed)
        left = [row for row in rows if row.id <= batch.read_to]
        batch = _batch(batch.read_from, batch.read_to, left)
    connection.execute(_ADD_KEYS, (msgspec.json.encode(batch.keys).decode(),))
    _write_outcomes(connection, batch.totals)
    _write_prices(connection, batch.totals)
    _write_durations(connection, batch.totals)
    return True


def currency_of(text: str | None) -> str:
    """The currency under which a price is added up: `?` for what is none of up to eight letters,
    empty when it is missing."""
    currency = (text or "").strip().upper()
    return "?" if currency and not _CURRENCY.fullmatch(currency) else currency


def duration_of(excerpt: Excerpt) -> int | None:
    """Milliseconds from sentAt to doneAt, cut off; `None` when one of them did not come."""
    if excerpt.sent_at is None or excerpt.done_at is None:
        return None
    with suppress(ValueError, OverflowError):
        return (parse_instant(excerpt.done_at) - parse_instant(excerpt.sent_at)) // _MILLISECOND
    return None


# One statement for all of them: with one for each, the thread would ask for the interpreter 3,000
# times in the middle of the transaction, while the event loop is busy and callbacks wait for both.
_ADD_KEYS = """
    INSERT INTO search_key
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)
"""
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


def _write_outcomes(connection: sqlite3.Connection, totals: Totals) -> None:
    numbers = {
        outcome: _outcome_number(connection, outcome)
        for outcome in dict.fromkeys(key[3] for key in totals.outcomes)
    }
    connection.executemany(
        _ADD_OUTCOME,
        [
            (span, start, source, numbers[outcome], cell.reports, cell.first, cell.last)
            for (span, start, source, outcome), cell in totals.outcomes.items()
        ],
    )


def _outcome_number(connection: sqlite3.Connection, outcome: Outcome) -> int:
    said = outcome_text(outcome)
    known = connection.execute("SELECT id FROM outcome WHERE said = ?", (said,)).fetchone()
    if known is not None:
        return int(known[0])
    (highest,) = connection.execute("SELECT coalesce(max(id), 0) FROM outcome").fetchone()
    if highest >= OUTCOMES_MOST:
        return OTHER_OUTCOMES
    connection.execute("INSERT INTO outcome VALUES (?, ?)", (highest + 1, said))
    return int(highest) + 1


def _write_prices(connection: sqlite3.Connection, totals: Totals) -> None:
    rows = []
    for key, amount in totals.prices.items():
        before = connection.execute(_FIND_PRICE, key).fetchone()
        sum = amount.sum if before is None else EXACT.add(Decimal(before[0]), amount.sum)
        rows.append((*key, amount.reports, f"{sum:f}"))
    connection.executemany(_ADD_PRICE, rows)


def _write_durations(connection: sqlite3.Connection, totals: Totals) -> None:
    rows = sorted((*key, count) for key, count in totals.durations.items())
    connection.execute(_ADD_DURATIONS, (msgspec.json.encode(rows).decode(),))
