"""Totals by the parts of reports: networks and senders (followup.py writes them in its turns)."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from receiver.store import following
from receiver.store.excerpt import EXACT, ReportOutcome
from receiver.store.following import OTHER_PART
from receiver.store.sqlite.rows import listed
from receiver.store.tally import Part, PartSums

_FIND = "SELECT id FROM part WHERE dimension = ? AND value = ?"
_ADD = "INSERT INTO part (dimension, value) VALUES (?, ?)"
_ADD_OUTCOMES = """
    INSERT INTO part_total
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
        value ->> 6
    FROM json_each(?) WHERE true
    ON CONFLICT DO UPDATE SET reports = reports + excluded.reports
"""
_ADD_DURATIONS = """
    INSERT INTO part_duration_total
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
        value ->> 6, value ->> 7
    FROM json_each(?) WHERE true
    ON CONFLICT DO UPDATE SET reports = reports + excluded.reports
"""
_FIND_PRICE = """
    SELECT sum FROM part_price_total WHERE dimension = ? AND span = ? AND start = ? AND part = ?
        AND source = ? AND final = ? AND currency = ?
"""
_ADD_PRICE = """
    INSERT INTO part_price_total VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET reports = reports + excluded.reports, sum = excluded.sum
"""


def write_parts(
    connection: sqlite3.Connection,
    sums: PartSums,
    outcome_number: Callable[[sqlite3.Connection, ReportOutcome], int],
) -> None:
    """Add these sums, as a part of a transaction."""
    # Whatever has a price or a duration has an outcome, too.
    ids = _numbers(connection, (key[0] for key in sums.outcomes))
    outcomes = {
        outcome: outcome_number(connection, outcome)
        for outcome in dict.fromkeys(key[4] for key in sums.outcomes)
    }
    counts: Counter[tuple[Any, ...]] = Counter()
    for (part, span, start, source, outcome), count in sums.outcomes.items():
        counts[part[0], span, start, ids[part], source, outcomes[outcome]] += count
    connection.execute(_ADD_OUTCOMES, (_listed(counts),))
    bins: Counter[tuple[Any, ...]] = Counter()
    for (part, span, start, source, final, bin), count in sums.durations.items():
        bins[part[0], span, start, ids[part], source, final, bin] += count
    connection.execute(_ADD_DURATIONS, (_listed(bins),))
    write_part_prices(connection, sums)


def write_part_prices(connection: sqlite3.Connection, sums: PartSums) -> None:
    """Add the prices of these sums alone."""
    ids = _numbers(connection, (key[0] for key in sums.prices))
    for (part, span, start, source, final, currency), amount in sums.prices.items():
        key = (part[0], span, start, ids[part], source, final, currency)
        before = connection.execute(_FIND_PRICE, key).fetchone()
        sum = amount.sum if before is None else EXACT.add(Decimal(before[0]), amount.sum)
        connection.execute(_ADD_PRICE, (*key, amount.reports, f"{sum:f}"))


def _listed(counts: Counter[tuple[Any, ...]]) -> str:
    return listed(sorted((*key, count) for key, count in counts.items()))


def _numbers(connection: sqlite3.Connection, parts: Iterable[Part]) -> dict[Part, int]:
    return {part: _number(connection, part) for part in dict.fromkeys(parts)}


def _number(connection: sqlite3.Connection, part: Part) -> int:
    """The id of a part; that of OTHER when there are too many."""
    dimension, value = part
    known = connection.execute(_FIND, (dimension, value)).fetchone()
    if known is not None:
        return int(known[0])
    counted = "SELECT count(*) FROM part WHERE dimension = ?"
    if (
        connection.execute(counted, (dimension,)).fetchone()[0] >= following.PARTS_MOST
        and value != OTHER_PART
    ):
        return _number(connection, (dimension, OTHER_PART))
    return int(connection.execute(_ADD, (dimension, value)).lastrowid or 0)
