"""The store of reports in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from msgspec import structs

from receiver.dlr.identity import key_of_message
from receiver.store.base import (
    DUPLICATE_DAYS,
    Counts,
    FoundReports,
    QuarantineEntry,
    ReportQuery,
    StoredReport,
    Totals,
    TotalsQuery,
)
from receiver.store.callback import Callback, Entry
from receiver.store.sqlite import received, search
from receiver.store.sqlite.database import MICROS_PER_DAY, Database, instant, micros, migrations_of
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

# All reports of a transaction are looked for at once: one by one costs a third of a large body.
_FIND = (
    "SELECT source, message_key, identity, report FROM report_key"
    f" WHERE day IN {LISTED} AND message_key IN {LISTED}"
)
_ANY_SOURCE = ""
"""Of a key whose report had gone before keys had a source (0005_sources_are_tenants.sql)."""

Key = tuple[str, int, int]
"""Which report: its source, its message's key, its identity."""

_INSERT = f"INSERT INTO report ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class SqliteStore:
    """Implements ReportStore (base.py) on a Database.

    With `for_pushes` its short questions go where nothing takes long: of a dispatcher, whose pushes
    wait for them. Those of whoever else asks must not be in its way, however many there are.
    """

    def __init__(self, database: Database, *, for_pushes: bool = False) -> None:
        self._database = database
        self._ask = database.read if for_pushes else database.question

    async def add(self, callbacks: Sequence[Callback]) -> list[Counts]:
        return await self._database.write(lambda connection: add(connection, callbacks))

    async def check_writable(self) -> None:
        await self._database.prove(_touch, (_fill, _clear))

    async def reports(self, query: ReportQuery) -> list[StoredReport]:
        reports: list[StoredReport] = []
        before = query.before
        while len(reports) < query.limit:
            rest = query.limit - len(reports)
            found = await self.find(replace(query, before=before, limit=rest))
            reports += found.reports
            if (before := found.next) is None:
                break
        return reports

    async def find(self, query: ReportQuery) -> FoundReports:
        def find(connection: sqlite3.Connection) -> FoundReports:
            message = None
            if query.message_id is not None:
                message = _ids_of_message_id(connection, query.message_id, query.source)
            return search.find(connection, query, message)

        return await self._database.question(find)

    async def totals(self, query: TotalsQuery) -> Totals:
        return await self._database.question(lambda c: totals(c, query))

    async def as_received(self, reports: Sequence[StoredReport]) -> dict[int, bytes]:
        return await self._database.question(lambda c: received.as_received(c, reports))

    async def resolve(self, entry_id: int, callback: Callback) -> Counts | None:
        return await self._database.write(lambda c: _resolve(c, entry_id, callback))

    async def reports_by_id(self, report_ids: Sequence[int]) -> list[StoredReport]:
        return await self._select(f"WHERE id IN {LISTED} ORDER BY id", (listed(report_ids),))

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]:
        return await self._select("WHERE id > ? ORDER BY id LIMIT ?", (report_id, limit))

    async def newest_report(self) -> int:
        return await self._database.read(lambda c: last_id(c, "report"))

    async def reports_of(self, message_id: str, source: str | None = None) -> list[StoredReport]:
        return await self._ask(lambda c: _reports_of(c, message_id, source))

    async def newest_of_messages(self, before: int | None, limit: int) -> list[StoredReport]:
        return await self._ask(lambda c: _newest_of_messages(c, before, limit))

    async def quarantine(self, before: int | None, limit: int) -> list[QuarantineEntry]:
        return await self._ask(lambda c: _quarantine(c, before, limit))

    async def quarantined(self, entry_id: int) -> tuple[QuarantineEntry, bytes] | None:
        return await self._ask(lambda connection: _quarantined(connection, entry_id))

    async def _select(self, rest: str, values: Sequence[Any]) -> list[StoredReport]:
        statement = f"SELECT {COLUMNS} FROM report {rest}"
        return await self._ask(
            lambda connection: [stored_report(row) for row in connection.execute(statement, values)]
        )


class _Addition:
    """The rows that one transaction adds, gathered so that each table is written in one go."""

    def __init__(self, connection: sqlite3.Connection, callbacks: Sequence[Callback]) -> None:
        self._cursor = connection.cursor()
        self.next_id = 1 + last_id(connection, "report")
        self._earlier = _earlier(connection, callbacks)
        self._fresh: dict[Key, int] = {}  # to index in reports
        self._repeats: dict[int, int] = {}  # id of a report stored before to how often again
        self.reports: list[list[Any]] = []
        self.keys: list[tuple[int, int, str, int, int]] = []
        self.bodies: list[tuple[int, int, bytes]] = []

    def add(self, callback: Callback, entry: Entry, received_at: int) -> bool:
        """Take one report. False when it is a duplicate."""
        key = (callback.source, entry.message_key, entry.identity)
        if (index := self._fresh.get(key)) is not None:
            self.reports[index][7] += 1
            return False
        if self._earlier and (earlier := self._stored_before(key)) is not None:
            self._repeats[earlier] = self._repeats.get(earlier, 0) + 1
            return False
        self._fresh[key] = len(self.reports)
        self.reports.append(_row(self.next_id, callback, entry, received_at))
        day = received_at // MICROS_PER_DAY
        self.keys.append((day, entry.message_key, callback.source, entry.identity, self.next_id))
        self.next_id += 1
        return True

    def _stored_before(self, key: Key) -> int | None:
        _, message_key, identity = key
        return self._earlier.get(key, self._earlier.get((_ANY_SOURCE, message_key, identity)))

    def write(self) -> None:
        cursor = self._cursor
        cursor.executemany(_INSERT, self.reports)
        cursor.executemany("INSERT INTO report_key VALUES (?, ?, ?, ?, ?)", self.keys)
        if self.bodies:
            cursor.executemany("INSERT INTO received_body VALUES (?, ?, ?)", self.bodies)
        cursor.executemany(
            "UPDATE report SET duplicates = duplicates + ? WHERE id = ?",
            [(count, report) for report, count in self._repeats.items()],
        )


def add(connection: sqlite3.Connection, callbacks: Sequence[Callback]) -> list[Counts]:
    """As `SqliteStore.add`, as a part of a transaction."""
    addition = _Addition(connection, callbacks)
    counts = []
    for callback in callbacks:
        verdict, received_at = callback.verdict, micros(callback.received_at)
        first = addition.next_id
        stored = sum(addition.add(callback, entry, received_at) for entry in verdict.entries)
        if stored and verdict.received is not None:
            addition.bodies.append((first, addition.next_id - 1, verdict.received))
        quarantined = len(verdict.quarantined)
        counts.append(Counts(stored, len(verdict.entries) - stored, quarantined))
        if quarantined:
            _add_quarantined(connection, callback, received_at)
    addition.write()
    return counts


def _earlier(connection: sqlite3.Connection, callbacks: Sequence[Callback]) -> dict[Key, int]:
    """The reports of these callbacks that are stored already, to their ids."""
    keys = [entry.message_key for callback in callbacks for entry in callback.verdict.entries]
    if not keys:
        return {}
    received = {micros(callback.received_at) // MICROS_PER_DAY for callback in callbacks}
    days = list(range(min(received) - DUPLICATE_DAYS + 1, max(received) + 1))
    days += days_of_keys(connection, after=days[-1])  # of a clock that has been ahead
    found = connection.execute(_FIND, (listed(days), listed(keys)))
    return {(source, key, told): report for source, key, told, report in found}


def _resolve(connection: sqlite3.Connection, entry_id: int, callback: Callback) -> Counts | None:
    if connection.execute("DELETE FROM quarantine WHERE id = ?", (entry_id,)).rowcount != 1:
        return None
    verdict = callback.verdict
    repeats = [_stored_as(connection, callback.source, entry) for entry in verdict.entries]
    fresh = [e for e, stored in zip(verdict.entries, repeats, strict=True) if stored is None]
    connection.executemany(
        "UPDATE report SET duplicates = duplicates + 1 WHERE id = ?",
        [(stored,) for stored in repeats if stored is not None],
    )
    rest = structs.replace(callback, verdict=structs.replace(verdict, entries=fresh))
    (counts,) = add(connection, [rest])
    repeated = len(repeats) - len(fresh)
    return Counts(counts.stored, counts.duplicates + repeated, counts.quarantined)


def _stored_as(connection: sqlite3.Connection, source: str, entry: Entry) -> int | None:
    """The report that an entry is a repeat of, however long ago it was stored."""
    statement = (
        "SELECT report FROM report_key"
        " WHERE day = ? AND message_key = ? AND source IN (?, ?) AND identity = ?"
    )
    told = (entry.message_key, source, _ANY_SOURCE, entry.identity)
    for day in days_of_keys(connection):
        row = connection.execute(statement, (day, *told)).fetchone()
        if row is not None:
            return int(row[0])
    return None


ROOM = 256 * 1024
"""Bytes that must find room after a write has failed: more than most callbacks take."""

_FILL = f"INSERT OR REPLACE INTO room VALUES (1, zeroblob({ROOM}))"


def _touch(connection: sqlite3.Connection) -> None:
    """Write one page. Setting the version to what it is does: a full or read-only disk shows
    itself. And find room for more, without writing it: a quota of the database shows itself."""
    connection.execute("SAVEPOINT room")
    connection.execute(_FILL)
    connection.execute("ROLLBACK TO room")
    connection.execute("RELEASE room")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.execute(f"PRAGMA user_version = {version:d}")


def _fill(connection: sqlite3.Connection) -> None:
    connection.execute(_FILL)


def _clear(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM room")


# Not "? IS NULL OR id < ?": that goes through all that is newer than the cursor.
_BEFORE = f"id <= coalesce(? - 1, {2**63 - 1})"

_NOWHERE = (None, None)


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
        *(_NOWHERE if entry.notify_to is None else (entry.notify_to.url, entry.notify_to.format)),
    ]


_REPEATED = (
    "UPDATE quarantine SET repeats = repeats + 1 WHERE id ="
    " (SELECT id FROM quarantine WHERE digest = ? AND source = ? AND content_type IS ?"
    " AND body = ? LIMIT 1)"
)
_KEEP = (
    "INSERT INTO quarantine (received_at, source, content_type, reason, place, body, digest)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def _add_quarantined(connection: sqlite3.Connection, callback: Callback, received_at: int) -> None:
    """The same bytes from the same sender are kept once, and counted after that."""
    of = (callback.source, callback.content_type)
    for bad in callback.verdict.quarantined:
        digest = _digest(*of, bad.raw)
        if not connection.execute(_REPEATED, (digest, *of, bad.raw)).rowcount:
            row = (received_at, *of, bad.reason, bad.place, bad.raw, digest)
            connection.execute(_KEEP, row)


def _digest(source: str, content_type: str | None, raw: bytes) -> int:
    told = blake2b(f"{source}\n{content_type}\n".encode(), digest_size=8)
    told.update(raw)
    return int.from_bytes(told.digest(), signed=True)


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
    connection: sqlite3.Connection, before: int | None, limit: int
) -> list[QuarantineEntry]:
    rows = connection.execute(
        f"{_QUARANTINE} FROM quarantine WHERE {_BEFORE} ORDER BY id DESC LIMIT ?",
        (before, limit),
    )
    return [_quarantine_entry(row) for row in rows]


def _quarantined(
    connection: sqlite3.Connection, entry_id: int
) -> tuple[QuarantineEntry, bytes] | None:
    rows = connection.execute(f"{_QUARANTINE}, body FROM quarantine WHERE id = ?", (entry_id,))
    row = rows.fetchone()
    return (_quarantine_entry(row[:-1]), row[-1]) if row else None
