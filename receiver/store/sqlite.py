"""The store of reports in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from receiver.dlr.identity import key_of_message
from receiver.intake import Entry
from receiver.store.base import Callback, Counts, QuarantineEntry, ReportQuery, StoredReport
from receiver.store.database import Database, instant, micros, migrations_of

MIGRATIONS = migrations_of("receiver.store")

DUPLICATE_DAYS = 4
"""Today and the days before in which a repeated report is recognised.

The platform repeats for 41:30 h at most, so three days always lie within.
"""

_MICROS_PER_DAY = 86_400_000_000
_COLUMNS = (
    "id, received_at, source, format, generation, final, status_group, duplicates,"
    " message_key, identity, item"
)
_FIND = (
    "SELECT report FROM report_key WHERE day IN"
    f" ({', '.join('?' * DUPLICATE_DAYS)}) AND message_key = ? AND identity = ?"
)
_INSERT = f"INSERT INTO report ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class SqliteStore:
    """Implements ReportStore (base.py) on a Database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, callbacks: Sequence[Callback]) -> list[Counts]:
        return await self._database.write(lambda connection: _add(connection, callbacks))

    async def check_writable(self) -> None:
        # Setting the version to what it is writes a page: a full or read-only disk shows itself.
        def touch(connection: sqlite3.Connection) -> None:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute(f"PRAGMA user_version = {version:d}")

        await self._database.write(touch)

    async def reports(self, query: ReportQuery) -> list[StoredReport]:
        if query.message_id is not None:
            found = [r for r in await self.reports_of(query.message_id) if _wanted(r, query)]
            return found[::-1][: query.limit]
        where, values = _where(query)
        return await self._select(f"WHERE {where} ORDER BY id DESC LIMIT ?", (*values, query.limit))

    async def reports_by_id(self, report_ids: Sequence[int]) -> list[StoredReport]:
        marks = ", ".join("?" * len(report_ids))
        return await self._select(f"WHERE id IN ({marks}) ORDER BY id", report_ids)

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]:
        return await self._select("WHERE id > ? ORDER BY id LIMIT ?", (report_id, limit))

    async def reports_of(self, message_id: str) -> list[StoredReport]:
        key = key_of_message(message_id)
        return await self._database.read(lambda connection: _reports_of(connection, key))

    async def newest_of_messages(self, before: int | None, limit: int) -> list[StoredReport]:
        return await self._database.read(lambda c: _newest_of_messages(c, before, limit))

    async def quarantine(self, before: int | None, limit: int) -> list[QuarantineEntry]:
        return await self._database.read(lambda c: _quarantine(c, before, limit))

    async def quarantined(self, entry_id: int) -> tuple[QuarantineEntry, bytes] | None:
        return await self._database.read(lambda connection: _quarantined(connection, entry_id))

    async def _select(self, rest: str, values: Sequence[Any]) -> list[StoredReport]:
        statement = f"SELECT {_COLUMNS} FROM report {rest}"
        return await self._database.read(
            lambda connection: [_stored(row) for row in connection.execute(statement, values)]
        )


class _Addition:
    """The rows that one transaction adds, gathered so that each table is written in one go."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._cursor = connection.cursor()
        self._next_id = 1 + _highest_id(connection)
        self._fresh: dict[tuple[int, int], int] = {}  # (message_key, identity) to index in reports
        self._repeats: dict[int, int] = {}  # id of a report stored before to how often again
        self.reports: list[list[Any]] = []
        self.keys: list[tuple[int, int, int, int]] = []

    def add(self, callback: Callback, entry: Entry, received_at: int) -> bool:
        """Take one report. False when it is a duplicate."""
        key = (entry.message_key, entry.identity)
        if (index := self._fresh.get(key)) is not None:
            self.reports[index][7] += 1
            return False
        day = received_at // _MICROS_PER_DAY
        days = range(day, day - DUPLICATE_DAYS, -1)
        if (earlier := self._cursor.execute(_FIND, (*days, *key)).fetchone()) is not None:
            self._repeats[earlier[0]] = self._repeats.get(earlier[0], 0) + 1
            return False
        self._fresh[key] = len(self.reports)
        self.reports.append(_row(self._next_id, callback, entry, received_at))
        self.keys.append((day, *key, self._next_id))
        self._next_id += 1
        return True

    def write(self) -> None:
        cursor = self._cursor
        cursor.executemany(_INSERT, self.reports)
        cursor.executemany("INSERT INTO report_key VALUES (?, ?, ?, ?)", self.keys)
        cursor.executemany(
            "UPDATE report SET duplicates = duplicates + ? WHERE id = ?",
            [(count, report) for report, count in self._repeats.items()],
        )


def _add(connection: sqlite3.Connection, callbacks: Sequence[Callback]) -> list[Counts]:
    addition = _Addition(connection)
    counts = []
    for callback in callbacks:
        received_at = micros(callback.received_at)
        stored = sum(addition.add(callback, entry, received_at) for entry in callback.entries)
        quarantined = len(callback.quarantined)
        counts.append(Counts(stored, len(callback.entries) - stored, quarantined))
        if quarantined:
            _add_quarantined(connection, callback, received_at)
    addition.write()
    return counts


def _highest_id(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'report'").fetchone()
    return row[0] if row else 0


def _row(report_id: int, callback: Callback, entry: Entry, received_at: int) -> list[Any]:
    return [
        report_id,
        received_at,
        callback.source,
        callback.format,
        entry.generation,
        entry.final,
        entry.status_group,
        0,
        entry.message_key,
        entry.identity,
        entry.item.decode(),
    ]


def _add_quarantined(connection: sqlite3.Connection, callback: Callback, received_at: int) -> None:
    connection.executemany(
        "INSERT INTO quarantine (received_at, source, content_type, reason, place, body)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [
            (received_at, callback.source, callback.content_type, bad.reason, bad.place, bad.raw)
            for bad in callback.quarantined
        ],
    )


def _stored(row: Sequence[Any]) -> StoredReport:
    number, received_at, source, form, generation, final, group, duplicates, key, told, item = row
    return StoredReport(
        id=number,
        received_at=instant(received_at),
        source=source,
        format=form,
        generation=generation,
        final=bool(final),
        status_group=group,
        duplicates=duplicates,
        message_key=key,
        identity=told,
        item=item.encode(),
    )


def _where(query: ReportQuery) -> tuple[str, list[Any]]:
    conditions: list[tuple[str, Sequence[Any]]] = [("1", ())]
    if query.before is not None:
        conditions.append(("id < ?", (query.before,)))
    if query.source is not None:
        conditions.append(("source = ?", (query.source,)))
    if query.final is not None:
        conditions.append(("final = ?", (query.final,)))
    if query.status_groups:
        marks = ", ".join("?" * len(query.status_groups))
        conditions.append((f"status_group IN ({marks})", query.status_groups))
    return " AND ".join(text for text, _ in conditions), [v for _, vs in conditions for v in vs]


def _wanted(report: StoredReport, query: ReportQuery) -> bool:
    """The conditions of `_where`, for the few reports of one message."""
    return (
        (query.before is None or report.id < query.before)
        and (query.source is None or report.source == query.source)
        and (query.final is None or report.final == query.final)
        and (not query.status_groups or report.status_group in query.status_groups)
    )


def _days(connection: sqlite3.Connection) -> Iterator[int]:
    """The days that have reports, found by one step down the key each."""
    day = connection.execute("SELECT min(day) FROM report_key").fetchone()[0]
    while day is not None:
        yield day
        following = connection.execute("SELECT min(day) FROM report_key WHERE day > ?", (day,))
        day = following.fetchone()[0]


def _ids_of(connection: sqlite3.Connection, key: int, days: Iterable[int]) -> list[int]:
    statement = "SELECT report FROM report_key WHERE day = ? AND message_key = ?"
    return sorted(row[0] for day in days for row in connection.execute(statement, (day, key)))


def _reports_of(connection: sqlite3.Connection, key: int) -> list[StoredReport]:
    ids = _ids_of(connection, key, list(_days(connection)))
    marks = ", ".join("?" * len(ids))
    rows = connection.execute(f"SELECT {_COLUMNS} FROM report WHERE id IN ({marks})", ids)
    return sorted((_stored(row) for row in rows), key=lambda report: report.id)


def _newest_of_messages(
    connection: sqlite3.Connection, before: int | None, limit: int
) -> list[StoredReport]:
    days = list(_days(connection))
    found: list[StoredReport] = []
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM report WHERE ? IS NULL OR id < ? ORDER BY id DESC",
        (before, before),
    )
    for row in rows:
        report = _stored(row)
        if _ids_of(connection, report.message_key, days)[-1:] in ([report.id], []):
            found.append(report)
            if len(found) == limit:
                break
    return found


_QUARANTINE = "SELECT id, received_at, source, content_type, length(body), reason, place"


def _quarantine_entry(row: Sequence[Any]) -> QuarantineEntry:
    number, received_at, *rest = row
    return QuarantineEntry(number, instant(received_at), *rest)


def _quarantine(
    connection: sqlite3.Connection, before: int | None, limit: int
) -> list[QuarantineEntry]:
    rows = connection.execute(
        f"{_QUARANTINE} FROM quarantine WHERE ? IS NULL OR id < ? ORDER BY id DESC LIMIT ?",
        (before, before, limit),
    )
    return [_quarantine_entry(row) for row in rows]


def _quarantined(
    connection: sqlite3.Connection, entry_id: int
) -> tuple[QuarantineEntry, bytes] | None:
    rows = connection.execute(f"{_QUARANTINE}, body FROM quarantine WHERE id = ?", (entry_id,))
    row = rows.fetchone()
    return (_quarantine_entry(row[:-1]), row[-1]) if row else None
