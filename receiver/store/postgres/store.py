"""The store of reports in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
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
from receiver.store.instants import instant, micros_or_null
from receiver.store.postgres import received, search
from receiver.store.postgres.adding import add, resolve
from receiver.store.postgres.database import Connection, Database
from receiver.store.postgres.part_totals import part_totals
from receiver.store.postgres.probes import clear, fill, touch
from receiver.store.postgres.rows import REPORT_ID, ids_of, numbers, reports_in
from receiver.store.postgres.totals import totals
from receiver.store.searching import all_found


class PostgresStore:
    """Implements ReportStore (base.py) on a Database. `fresh` is told what was stored."""

    def __init__(self, database: Database, *, fresh: FreshReports | None = None) -> None:
        self._database = database
        self._fresh = fresh or FreshReports()

    async def add(self, callbacks: Sequence[Callback]) -> list[Counts]:
        counts, stored = await self._database.write(lambda c: add(c, callbacks))
        if stored:
            self._database.written()
        self._fresh.add(stored)
        return counts

    async def check_writable(self) -> None:
        await self._database.prove(touch, (fill, clear))

    async def reports(self, query: ReportQuery) -> list[StoredReport]:
        return await all_found(self.find, query)

    async def find(self, query: ReportQuery) -> FoundReports:
        def find(connection: Connection) -> FoundReports:
            message = None
            if query.message_id is not None:
                message = _ids_of(connection, query.message_id, query.source)
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
        gone = "DELETE FROM quarantine WHERE id = %s"
        return await self._database.write(lambda c: c.execute(gone, (entry_id,)).rowcount == 1)

    async def reports_by_id(self, report_ids: Sequence[int]) -> list[StoredReport]:
        wanted = "WHERE id = ANY(%s::bigint[]) ORDER BY id"
        return await self._database.read(lambda c: reports_in(c, wanted, (numbers(report_ids),)))

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]:
        following = "WHERE id > %s AND id <= %s ORDER BY id LIMIT %s"
        return await self._database.read_settled(
            REPORT_ID, lambda c, settled: reports_in(c, following, (report_id, settled, limit))
        )

    async def newest_report(self) -> int:
        return await self._database.read_settled(REPORT_ID, lambda _, settled: settled)

    async def reports_of(self, message_id: str, source: str | None = None) -> list[StoredReport]:
        return await self._database.read(lambda c: _reports_of(c, message_id, source))

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
        wanted = (before, micros_or_null(since), micros_or_null(until), limit)
        return await self._database.read(lambda c: _quarantine(c, wanted))

    async def quarantined(self, entry_id: int) -> tuple[QuarantineEntry, bytes] | None:
        return await self._database.read(lambda c: _quarantined(c, entry_id))


# Not "%s IS NULL OR id < %s": that goes through all that is newer than the cursor.
_BEFORE = f"id <= coalesce(%s::bigint - 1, {2**63 - 1})"

_IDS_OF = """
    SELECT DISTINCT report FROM report_key
    WHERE message_key = %(key)s AND (%(source)s::text IS NULL OR source = %(source)s)
    ORDER BY report
"""


def _ids_of(connection: Connection, message_id: str, source: str | None) -> list[int]:
    """The reports of a message; without a source those of each source's."""
    wanted = {"key": key_of_message(message_id), "source": source}
    return ids_of(connection, _IDS_OF, wanted)


def _reports_of(connection: Connection, message_id: str, source: str | None) -> list[StoredReport]:
    ids = numbers(_ids_of(connection, message_id, source))
    return reports_in(connection, "WHERE id = ANY(%s::bigint[]) ORDER BY id", (ids,))


# --- messages -----------------------------------------------------------------------------------

PIECE = 1_000
"""Reports that are read at a time, to find the newest of each message."""

_NEWEST_OF_MESSAGE = """
    SELECT message_key, source, max(report) FROM report_key
    WHERE message_key = ANY(%s::bigint[]) GROUP BY message_key, source
"""


def _newest_of_messages(
    connection: Connection, before: int | None, limit: int
) -> list[StoredReport]:
    found: list[StoredReport] = []
    piece = max(1, min(PIECE, 2 * limit))
    while len(found) < limit:
        reports = reports_in(
            connection, f"WHERE {_BEFORE} ORDER BY id DESC LIMIT %s", (before, piece)
        )
        if not reports:
            break
        keys = numbers({report.message_key for report in reports})
        newest = {
            (source, key): report
            for key, source, report in connection.execute(_NEWEST_OF_MESSAGE, (keys,))
        }
        found += [each for each in reports if newest.get(each.message, each.id) == each.id]
        before, piece = reports[-1].id, PIECE
    return found[:limit]


# --- quarantine ---------------------------------------------------------------------------------

_ENTRIES = "SELECT id, received_at, source, content_type, length(body), reason, place, repeats"


def _quarantine_entry(row: Sequence[Any]) -> QuarantineEntry:
    number, received_at, *rest = row
    return QuarantineEntry(number, instant(received_at), *rest)


_QUARANTINE = f"""
    {_ENTRIES} FROM quarantine WHERE {_BEFORE}
        AND received_at >= coalesce(%s::bigint, {-(2**63)})
        AND received_at < coalesce(%s::bigint, {2**63 - 1})
    ORDER BY id DESC LIMIT %s
"""


def _quarantine(connection: Connection, wanted: Sequence[int | None]) -> list[QuarantineEntry]:
    return [_quarantine_entry(row) for row in connection.execute(_QUARANTINE, wanted)]


def _quarantined(connection: Connection, entry_id: int) -> tuple[QuarantineEntry, bytes] | None:
    found = connection.execute(f"{_ENTRIES}, body FROM quarantine WHERE id = %s", (entry_id,))
    row = found.fetchone()
    return (_quarantine_entry(row[:-1]), row[-1]) if row else None
