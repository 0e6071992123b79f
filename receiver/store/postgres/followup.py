"""The read model in PostgreSQL (store/following.py).

Whoever moves the cursor has its row locked until the batch is written, so that of several followers
one writes at a time. Whoever removes reports shares a lock of that row (retention.py): otherwise a
key could be written after its report was erased.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from receiver.store import following
from receiver.store.excerpt import OTHER_OUTCOMES, ReportOutcome, outcome_text, summary_of_item
from receiver.store.following import Batch, Following, minutes_gone_before
from receiver.store.fresh import Followed, FreshReports
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.parts import write_parts
from receiver.store.postgres.rows import REPORT_ID, numbers, texts
from receiver.store.tally import MINUTE, CountedReport, Sums


class PostgresFollower(Following):
    """Implements ReadModel (base.py) on a Database."""

    def __init__(self, database: Database, fresh: FreshReports | None = None) -> None:
        super().__init__(fresh)
        self._database = database

    async def _read(self, most: int) -> Batch:
        return await self._database.read_settled(
            REPORT_ID, lambda c, settled: read_batch(c, most, settled)
        )

    async def _write(self, batch: Batch) -> bool:
        return await self._database.write(lambda c: write_batch(c, batch))


_FOLLOWING = """
    SELECT id, received_at, source, generation, final, status_group, item FROM report
    WHERE id > %s AND id <= %s ORDER BY id LIMIT %s
"""


def followed_to(connection: Connection) -> int:
    """The report up to which the read model is complete."""
    return int(row_of(connection.execute("SELECT report FROM followed"))[0])


def rows_after(
    connection: Connection, report: int, most: int, last: int = 2**63 - 1
) -> Iterator[Followed]:
    for row in connection.execute(_FOLLOWING, (report, last, most)):
        id, received_at, source, generation, final, status_group, item = row
        counted = CountedReport(id, received_at, source, final, status_group)
        yield counted, summary_of_item(item, generation)


def read_batch(connection: Connection, most: int, settled: int) -> Batch:
    """Read on from the cursor and work out what follows. Changes nothing."""
    read_from = followed_to(connection)
    rows = list(rows_after(connection, read_from, most, settled))
    return Batch.of(read_from, rows[-1][0].id if rows else read_from, rows)


def write_batch(connection: Connection, batch: Batch) -> bool:
    """Write a batch and move the cursor. False, and nothing is written, when another follower has
    moved it meanwhile."""
    moved = connection.execute(
        "UPDATE followed SET report = %s WHERE report = %s", (batch.read_to, batch.read_from)
    )
    if moved.rowcount != 1:
        return False
    ends = (batch.read_from, batch.read_to)
    counted = "SELECT count(*) FROM report WHERE id > %s AND id <= %s"
    (there,) = row_of(connection.execute(counted, ends))
    if there != batch.followed:
        # Some were erased since: their keys must not come after them.
        rows = list(rows_after(connection, batch.read_from, there, batch.read_to))
        batch = Batch.of(*ends, rows)
    connection.execute("UPDATE followed SET reports = reports + %s", (batch.followed,))
    if batch.keys:
        blocks, fields, keys, reports = zip(*batch.keys, strict=True)
        lists = (numbers(blocks), numbers(fields), texts(keys), numbers(reports))
        connection.execute(_ADD_KEYS, lists)
    numbers_of = _outcome_numbers(connection, batch.sums)
    _write_outcomes(connection, batch.sums, numbers_of)
    _write_prices(connection, batch.sums)
    _write_durations(connection, batch.sums)
    write_parts(connection, batch.sums.parts, numbers_of)
    _drop_minutes(connection, batch.sums)
    return True


_ADD_KEYS = """
    INSERT INTO search_key (block, field, key, report)
    SELECT * FROM ROWS FROM (unnest(%s::bigint[]), unnest(%s::integer[]),
        jsonb_array_elements_text(%s::jsonb), unnest(%s::bigint[]))
"""
_DROP = [
    f"DELETE FROM {table} WHERE span = %s AND start < %s"
    for table in ("total", "price_total", "duration_total")
]
_FIND_OUTCOMES = "SELECT said, id FROM outcome WHERE said = ANY(%s::text[])"
_ADD_OUTCOME = "INSERT INTO outcome VALUES (%s, %s)"
_ADD_TOTALS = """
    INSERT INTO total
    SELECT * FROM unnest(%s::integer[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[],
        %s::bigint[], %s::bigint[])
    ON CONFLICT (span, start, source, outcome) DO UPDATE
        SET reports = total.reports + excluded.reports,
            first_report = least(total.first_report, excluded.first_report),
            last_report = greatest(total.last_report, excluded.last_report)
"""
_ADD_PRICES = """
    INSERT INTO price_total
    SELECT * FROM unnest(%s::integer[], %s::bigint[], %s::text[], %s::boolean[], %s::text[],
        %s::bigint[], %s::numeric[])
    ON CONFLICT (span, start, source, final, currency) DO UPDATE
        SET reports = price_total.reports + excluded.reports,
            sum = price_total.sum + excluded.sum
"""
_ADD_DURATIONS = """
    INSERT INTO duration_total
    SELECT * FROM unnest(%s::integer[], %s::bigint[], %s::text[], %s::boolean[], %s::integer[],
        %s::bigint[])
    ON CONFLICT (span, start, source, final, bin) DO UPDATE
        SET reports = duration_total.reports + excluded.reports
"""


def _add(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Rows as a list for each column."""
    if columns := [list(each) for each in zip(*rows, strict=True)]:
        connection.execute(statement, columns)


def _outcome_numbers(connection: Connection, sums: Sums) -> dict[ReportOutcome, int]:
    """The numbers of what was said, new ones for what is new, OTHER_OUTCOMES where there are too
    many."""
    said = {key[3]: outcome_text(key[3]) for key in sums.outcomes}
    known = dict(connection.execute(_FIND_OUTCOMES, (list(said.values()),)).fetchall())
    highest = 0
    if any(text not in known for text in said.values()):
        (highest,) = row_of(connection.execute("SELECT coalesce(max(id), 0) FROM outcome"))
    for text in said.values():
        if text not in known:
            if highest >= following.OUTCOMES_MOST:
                known[text] = OTHER_OUTCOMES
                continue
            highest += 1
            known[text] = highest
            connection.execute(_ADD_OUTCOME, (highest, text))
    return {outcome: known[text] for outcome, text in said.items()}


def _write_outcomes(
    connection: Connection, sums: Sums, numbers_of: dict[ReportOutcome, int]
) -> None:
    cells: dict[tuple[int, int, str, int], list[int]] = {}
    for (span, start, source, outcome), cell in sums.outcomes.items():
        key = (span, start, source, numbers_of[outcome])
        before = cells.setdefault(key, [0, cell.first, cell.last])
        before[0] += cell.reports
        before[1] = min(before[1], cell.first)
        before[2] = max(before[2], cell.last)
    _add(connection, _ADD_TOTALS, ((*key, *cell) for key, cell in cells.items()))


def _write_prices(connection: Connection, sums: Sums) -> None:
    _add(
        connection,
        _ADD_PRICES,
        ((*key, amount.reports, amount.sum) for key, amount in sums.prices.items()),
    )


def _write_durations(connection: Connection, sums: Sums) -> None:
    _add(connection, _ADD_DURATIONS, ((*key, n) for key, n in sums.durations.items()))


def _drop_minutes(connection: Connection, sums: Sums) -> None:
    if (first := minutes_gone_before(sums)) is not None:
        for statement in _DROP:
            connection.execute(statement, (MINUTE, first))
