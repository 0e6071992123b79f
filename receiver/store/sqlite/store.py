"""The store of reports in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from receiver.dlr.identity import key_of_message
from receiver.store.base import (
    Counts,
    FoundReports,
    PartTotals,
    QuarantineEntry,
    ReportQuery,
    StoredReport,
    Totals,
    TotalsQuery,
)
from receiver.store.callback import Callback
from receiver.store.excerpt import Dimension
from receiver.store.fresh import FreshReports
from receiver.store.instants import instant, micros
from receiver.store.migrations import migrations_of
from receiver.store.searching import all_found
from receiver.store.sqlite import received, search
from receiver.store.sqlite.adding import add, resolve
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.part_totals import part_totals
from receiver.store.sqlite.probes import clear, fill, touch
from receiver.store.sqlite.rows import (
    COLUMNS,
    LISTED,
    days_of_keys,
    ids_of,
    last_id,
    listed,
    stored_report,
)
from receiver.store.sqlite.totals import totals

MIGRATIONS = migrations_of("receiver.store.sqlite", part="receiver.store")

_BRIEF_MOST = 128
"""Reports that are added within a millisecond or so."""


class SqliteStore:
    """Implements ReportStore (base.py) on a Database. `fresh` is told what was stored."""

    def __init__(self, database: Database, *, fresh: FreshReports | None = None) -> None:
        self._database = database
        self._fresh = fresh or FreshReports()

    async def add(self, callbacks: Sequence[Callback]) -> list[Counts]:
        reports = sum(len(callback.verdict.entries) for callback in callbacks)
        counts, stored = await self._database.write(
            lambda c: add(c, callbacks), brief=reports <= _BRIEF_MOST
        )
        self._fresh.add(stored)
        return counts

    async def check_writable(self) -> None:
        await self._database.prove(touch, (fill, clear))

    async def reports(self, query: ReportQuery) -> list[StoredReport]:
        return await all_found(self.find, query)

    async def find(self, query: ReportQuery) -> FoundReports:
        def find(connection: sqlite3.Connection) -> FoundReports:
            message = None
            if query.message_id is not None:
                message = _ids_of_message_id(connection, query.message_id, query.source)
            return search.find(connection, query, message)

        return await self._database.question(find)

    async def totals(self, query: TotalsQuery) -> Totals:
        return await self._database.question(lambda c: totals(c, query))

    async def part_totals(self, query: TotalsQuery, dimension: Dimension) -> PartTotals:
        return await self._database.question(lambda c: part_totals(c, query, dimension))

    async def as_received(self, reports: Sequence[StoredReport]) -> dict[int, bytes]:
        return await self._database.question(lambda c: received.as_received(c, reports))

    async def resolve(self, entry_id: int, callback: Callback) -> Counts | None:
        return await self._database.write(lambda c: resolve(c, entry_id, callback))

    async def dismiss(self, entry_id: int) -> bool:
        gone = "DELETE FROM quarantine WHERE id = ?"
        return await self._database.write(lambda c: c.execute(gone, (entry_id,)).rowcount == 1)

    async def reports_by_id(self, report_ids: Sequence[int]) -> list[StoredReport]:
        return await self._select(f"WHERE id IN {LISTED} ORDER BY id", (listed(report_ids),))

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]:
        return await self._select("WHERE id > ? ORDER BY id LIMIT ?", (report_id, limit))

    async def newest_report(self) -> int:
        return await self._database.read(lambda c: last_id(c, "report"))

    async def reports_of(self, message_id: str, source: str | None = None) -> list[StoredReport]:
        return await self._database.question(lambda c: _reports_of(c, message_id, source))

    async def newest_of_messages(self, before: int | None, limit: int) -> list[StoredReport]:
        return await self._database.question(lambda c: _newest_of_messages(c, before, limit))

    async def quarantine(
        self,
        before: int | None,
        limit: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[QuarantineEntry]:
        return await self._database.question(lambda c: _quarantine(c, before, limit, since, until))

    async def quarantined(self, entry_id: int) -> tuple[QuarantineEntry, bytes] | None:
        return await self._database.question(lambda connection: _quarantined(connection, entry_id))

    async def _select(self, rest: str, values: Sequence[Any]) -> list[StoredReport]:
        statement = f"SELECT {COLUMNS} FROM report {rest}"
        return await self._database.question(
            lambda connection: [stored_report(row) for row in connection.execute(statement, values)]
        )


# Not "? IS NULL OR id < ?": that goes through all that is newer than the cursor.
_BEFORE = f"id <= coalesce(? - 1, {2**63 - 1})"


def _ids_of(
    connection: sqlite3.Connection, key: int, source: str | None, days: Iterable[int]
) -> list[int]:
    """The reports of a message; without a source those of each source's."""
    statement = "SELECT report FROM report_key WHERE day = ? AND message_key = ?"
    of: tuple[Any, ...] = (key,)
    if source is not None:
        statement, of = f"{statement} AND source = ?", (key, source)
    return sorted(id for day in days for id in ids_of(connection, statement, (day, *of)))


def _ids_of_message_id(
    connection: sqlite3.Connection, message_id: str, source: str | None
) -> list[int]:
    return _ids_of(connection, key_of_message(message_id), source, days_of_keys(connection))


def _reports_of(
    connection: sqlite3.Connection, message_id: str, source: str | None
) -> list[StoredReport]:
    ids = _ids_of_message_id(connection, message_id, source)
    marks = ", ".join("?" * len(ids))
    rows = connection.execute(f"SELECT {COLUMNS} FROM report WHERE id IN ({marks})", ids)
    return sorted((stored_report(row) for row in rows), key=lambda report: report.id)


def _newest_of_messages(
    connection: sqlite3.Connection, before: int | None, limit: int
) -> list[StoredReport]:
    days = days_of_keys(connection)
    found: list[StoredReport] = []
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM report WHERE {_BEFORE} ORDER BY id DESC", (before,)
    )
    for row in rows:
        report = stored_report(row)
        ids = _ids_of(connection, report.message_key, report.source, days)
        if ids[-1:] in ([report.id], []):
            found.append(report)
            if len(found) == limit:
                break
    return found


_QUARANTINE = "SELECT id, received_at, source, content_type, length(body), reason, place, repeats"


def _quarantine_entry(row: Sequence[Any]) -> QuarantineEntry:
    number, received_at, *rest = row
    return QuarantineEntry(number, instant(received_at), *rest)


def _quarantine(
    connection: sqlite3.Connection,
    before: int | None,
    limit: int,
    since: datetime | None,
    until: datetime | None,
) -> list[QuarantineEntry]:
    rows = connection.execute(
        f"{_QUARANTINE} FROM quarantine WHERE {_BEFORE}"
        " AND +received_at >= ? AND +received_at < ? ORDER BY id DESC LIMIT ?",
        (
            before,
            -(2**63) if since is None else micros(since),
            2**63 - 1 if until is None else micros(until),
            limit,
        ),
    )
    return [_quarantine_entry(row) for row in rows]


def _quarantined(
    connection: sqlite3.Connection, entry_id: int
) -> tuple[QuarantineEntry, bytes] | None:
    rows = connection.execute(f"{_QUARANTINE}, body FROM quarantine WHERE id = ?", (entry_id,))
    row = rows.fetchone()
    return (_quarantine_entry(row[:-1]), row[-1]) if row else None
