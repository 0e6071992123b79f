"""What was changed by hand, in the SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from receiver.store.audit import AuditQuery, BegunChange, Change, ChangeOutcome
from receiver.store.instants import instant, micros, micros_or_null
from receiver.store.sqlite.database import Database

_INSERT = "INSERT INTO audit (at, who, origin, what, subject) VALUES (?, ?, ?, ?, ?)"

_END = "UPDATE audit SET outcome = ?, subject = ?, details = ? WHERE id = ?"

_CHANGES = """
    SELECT id, at, who, origin, what, subject, outcome, details FROM audit
    WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR who = ?2) AND (?3 IS NULL OR what = ?3)
        AND (?4 IS NULL OR subject = ?4) AND (?5 IS NULL OR at >= ?5) AND (?6 IS NULL OR at < ?6)
    ORDER BY id DESC LIMIT ?7
"""


class SqliteAudit:
    """Implements AuditLog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, change: BegunChange) -> int:
        row = (micros(change.at), change.who, change.origin, change.what, change.subject)

        def insert(connection: sqlite3.Connection) -> int:
            number = connection.execute(_INSERT, row).lastrowid
            assert number is not None
            return number

        return await self._database.write(insert)

    async def end(
        self, change: int, outcome: ChangeOutcome, subject: str | None, details: Mapping[str, Any]
    ) -> None:
        row = (outcome, subject, msgspec.json.encode(details).decode(), change)
        await self._database.write_unflushed(lambda c: c.execute(_END, row).close())

    async def changes(self, query: AuditQuery) -> Sequence[Change]:
        wanted = (
            query.before,
            query.who,
            query.what,
            query.subject,
            micros_or_null(query.since),
            micros_or_null(query.until),
            query.limit,
        )
        return await self._database.read(
            lambda c: [_change(*row) for row in c.execute(_CHANGES, wanted)]
        )


def _change(
    number: int,
    at: int,
    who: str | None,
    origin: str,
    what: str,
    subject: str | None,
    outcome: ChangeOutcome | None,
    details: str,
) -> Change:
    return Change(
        id=number,
        at=instant(at),
        who=who,
        origin=origin,
        what=what,
        subject=subject,
        outcome=outcome,
        details=msgspec.json.decode(details, type=dict[str, Any]),
    )
