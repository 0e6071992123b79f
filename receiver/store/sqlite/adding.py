"""How reports are added: one transaction for a group of callbacks.

`add` goes through the callbacks, tells the new reports from the repeats, and writes each table in
one go. What cannot be read goes to quarantine, which counts repeats, too. `resolve` adds what an
entry of quarantine has become.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from msgspec import structs

from receiver.store.base import DUPLICATE_DAYS, Counts
from receiver.store.callback import Callback, Entry
from receiver.store.fresh import Stored
from receiver.store.instants import MICROS_PER_DAY, micros
from receiver.store.sqlite.many_rows import insert_rows
from receiver.store.sqlite.rows import COLUMNS, LISTED, days_of_keys, last_id, listed
from receiver.store.tally import CountedReport

# All reports of a transaction are looked for at once: one by one costs a third of a large body.
_FIND = (
    "SELECT source, message_key, identity, report FROM report_key"
    f" WHERE day IN {LISTED} AND message_key IN {LISTED}"
)
_ANY_SOURCE = ""
"""The source in a key whose report had gone before keys had one (0005_sources_are_tenants.sql)."""

Key = tuple[str, int, int]
"""Which report: its source, its message's key, its identity."""

_INTO_REPORT = f"INSERT INTO report ({COLUMNS})"


def add(
    connection: sqlite3.Connection, callbacks: Sequence[Callback]
) -> tuple[list[Counts], Sequence[Stored]]:
    """As `SqliteStore.add`, as a part of a transaction. Returns what was stored, too."""
    addition = _Addition(connection, callbacks)
    counts = []
    for callback in callbacks:
        verdict, received_at = callback.verdict, micros(callback.received_at)
        first = addition.next_id
        stored = addition.add(callback, received_at)
        if stored and verdict.received is not None:
            addition.bodies.append((first, addition.next_id - 1, verdict.received))
        quarantined = len(verdict.quarantined)
        counts.append(Counts(stored, len(verdict.entries) - stored, quarantined))
        if quarantined:
            _add_quarantined(connection, callback, received_at)
    addition.write()
    return counts, addition.stored


class _Addition:
    """The rows that one transaction adds, gathered so that each table is written in one go."""

    def __init__(self, connection: sqlite3.Connection, callbacks: Sequence[Callback]) -> None:
        self._connection = connection
        self.next_id = 1 + last_id(connection, "report")
        self._earlier = _earlier(connection, callbacks)
        self._fresh: dict[Key, int] = {}  # to index in reports
        self._repeats: dict[int, int] = {}  # id of a report stored before to how often again
        self.reports: list[list[Any]] = []
        self.keys: list[tuple[int, int, str, int, int]] = []
        self.bodies: list[tuple[int, int, bytes]] = []
        self.stored: list[Stored] = []

    def add(self, callback: Callback, received_at: int) -> int:
        """Take the reports of a callback. Returns how many are no duplicates."""
        source, day, first = callback.source, received_at // MICROS_PER_DAY, self.next_id
        for entry in callback.verdict.entries:
            key = (source, entry.message_key, entry.identity)
            if (index := self._fresh.get(key)) is not None:
                self.reports[index][7] += 1
                continue
            if self._earlier and (earlier := self._stored_before(key)) is not None:
                self._repeats[earlier] = self._repeats.get(earlier, 0) + 1
                continue
            number = self.next_id
            self.next_id += 1
            self._fresh[key] = len(self.reports)
            self.reports.append(_row(number, callback, entry, received_at))
            self.keys.append((day, entry.message_key, source, entry.identity, number))
            counted = CountedReport(number, received_at, source, entry.final, entry.status_group)
            self.stored.append((counted, entry.summary))
        return self.next_id - first

    def _stored_before(self, key: Key) -> int | None:
        _, message_key, identity = key
        return self._earlier.get(key, self._earlier.get((_ANY_SOURCE, message_key, identity)))

    def write(self) -> None:
        connection = self._connection
        insert_rows(connection, _INTO_REPORT, self.reports)
        insert_rows(connection, "INSERT INTO report_key", self.keys)
        insert_rows(connection, "INSERT INTO received_body", self.bodies)
        connection.executemany(
            "UPDATE report SET duplicates = duplicates + ? WHERE id = ?",
            [(count, report) for report, count in self._repeats.items()],
        )


def _earlier(connection: sqlite3.Connection, callbacks: Sequence[Callback]) -> dict[Key, int]:
    """The reports of these callbacks that are stored already, to their ids."""
    keys = [entry.message_key for callback in callbacks for entry in callback.verdict.entries]
    if not keys:
        return {}
    first = micros(min(callback.received_at for callback in callbacks)) // MICROS_PER_DAY
    # Those after today are of a clock that has been ahead.
    days = days_of_keys(connection, after=first - DUPLICATE_DAYS)
    found = connection.execute(_FIND, (listed(days), listed(keys)))
    return {(source, key, told): report for source, key, told, report in found}


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


# --- quarantine --------------------------------------------------------------------------------

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


def resolve(connection: sqlite3.Connection, entry_id: int, callback: Callback) -> Counts | None:
    """As `SqliteStore.resolve`, as a part of a transaction."""
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
    (counts,), _ = add(connection, [rest])
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
