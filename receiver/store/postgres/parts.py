"""Totals by the parts of reports: networks and senders (followup.py writes them in its turns)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from receiver.store import following
from receiver.store.excerpt import EXACT, ReportOutcome
from receiver.store.following import OTHER_PART
from receiver.store.postgres.database import Connection, row_of
from receiver.store.postgres.rows import numbers
from receiver.store.tally import Amount, Part, PartSums

_FIND = """
    SELECT dimension, value, id FROM part
    WHERE (dimension, value) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
"""
_ADD = """
    INSERT INTO part SELECT coalesce(max(id), 0) + 1, %s, %s FROM part RETURNING id
"""
_ADD_OUTCOMES = """
    INSERT INTO part_total
    SELECT (%s::text[])[dimension], span, start, part, (%s::text[])[source], outcome, reports
    FROM unnest(%s::integer[], %s::integer[], %s::bigint[], %s::bigint[], %s::integer[],
        %s::bigint[], %s::bigint[])
        AS told (dimension, span, start, part, source, outcome, reports)
    ON CONFLICT (dimension, span, start, part, source, outcome)
        DO UPDATE SET reports = part_total.reports + excluded.reports
"""
_ADD_DURATIONS = """
    INSERT INTO part_duration_total
    SELECT (%s::text[])[dimension], span, start, part, (%s::text[])[source], final = 1, bin, reports
    FROM unnest(%s::integer[], %s::integer[], %s::bigint[], %s::bigint[], %s::integer[],
        %s::integer[], %s::integer[], %s::bigint[])
        AS told (dimension, span, start, part, source, final, bin, reports)
    ON CONFLICT (dimension, span, start, part, source, final, bin)
        DO UPDATE SET reports = part_duration_total.reports + excluded.reports
"""
_ADD_PRICES = """
    INSERT INTO part_price_total
    SELECT * FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::bigint[], %s::text[],
        %s::boolean[], %s::text[], %s::bigint[], %s::numeric[])
    ON CONFLICT (dimension, span, start, part, source, final, currency)
        DO UPDATE SET reports = part_price_total.reports + excluded.reports,
            sum = part_price_total.sum + excluded.sum
"""


def write_parts(
    connection: Connection, sums: PartSums, outcomes: Mapping[ReportOutcome, int]
) -> None:
    """Add these sums, as a part of a transaction. `outcomes`: the numbers of all that occur."""
    # Whatever has a price or a duration has an outcome, too.
    parts = _numbers(connection, list(dict.fromkeys(key[0] for key in sums.outcomes)))
    counts: Counter[tuple[Any, ...]] = Counter()
    for (part, span, start, source, outcome), count in sums.outcomes.items():
        counts[part[0], span, start, parts[part], source, outcomes[outcome]] += count
    _add(connection, _ADD_OUTCOMES, counts)
    bins: Counter[tuple[Any, ...]] = Counter()
    for (part, span, start, source, final, bin), count in sums.durations.items():
        bins[part[0], span, start, parts[part], source, int(final), bin] += count
    _add(connection, _ADD_DURATIONS, bins)
    paid: dict[tuple[Any, ...], Amount] = {}
    for (part, span, start, source, final, currency), amount in sums.prices.items():
        key = (part[0], span, start, parts[part], source, final, currency)
        before = paid.setdefault(key, Amount(0, Decimal(0)))
        before.reports += amount.reports
        before.sum = EXACT.add(before.sum, amount.sum)
    if paid:
        rows = [(*key, amount.reports, amount.sum) for key, amount in sorted(paid.items())]
        connection.execute(_ADD_PRICES, [list(each) for each in zip(*rows, strict=True)])


def _add(connection: Connection, statement: str, counts: Counter[tuple[Any, ...]]) -> None:
    """Counts by dimension, span, start, part, source and so on."""
    if not counts:
        return
    rows = sorted((*key, count) for key, count in counts.items())
    dimensions, *between, sources = list(zip(*rows, strict=True))[:5]
    after = list(zip(*rows, strict=True))[5:]
    dimension_list, dimension = _places(dimensions)
    source_list, source = _places(sources)
    lists = (dimension, *between, source, *after)
    connection.execute(statement, (dimension_list, source_list, *map(numbers, lists)))


def _places(texts: tuple[str, ...]) -> tuple[list[str], list[int]]:
    """Few texts that occur often: each once, and for each occurrence its place, counted from 1."""
    once = list(dict.fromkeys(texts))
    places = {text: place for place, text in enumerate(once, 1)}
    return once, [places[text] for text in texts]


def _numbers(connection: Connection, parts: list[Part]) -> dict[Part, int]:
    """The ids of parts; that of OTHER_PART where there are too many."""
    if not parts:
        return {}
    lists = [list(each) for each in zip(*parts, strict=True)]
    ids: dict[Part, int] = {}
    for dimension, value, id in connection.execute(_FIND, lists):
        ids[dimension, value] = id
    there: Counter[str] = Counter()
    if any(part not in ids for part in parts):
        counted = connection.execute("SELECT dimension, count(*) FROM part GROUP BY dimension")
        there.update(dict(counted.fetchall()))
    for part in parts:
        if part not in ids:
            ids[part] = _number(connection, part, there)
    return ids


def _number(connection: Connection, part: Part, there: Counter[str]) -> int:
    """The id of a part that has none yet."""
    dimension, value = part
    if there[dimension] >= following.PARTS_MOST and value != OTHER_PART:
        other = [[dimension], [OTHER_PART]]
        known = connection.execute(_FIND, other).fetchone()
        return known[2] if known else _number(connection, (dimension, OTHER_PART), there)
    there[dimension] += 1
    return int(row_of(connection.execute(_ADD, (dimension, value)))[0])
