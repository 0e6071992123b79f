"""What was changed by hand, in the SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from receiver.store.audit import (
    AuditQuery,
    BegunChange,
    Change,
    ChangeOutcome,
    asked_of,
    begun_row,
    ended_row,
    stored_change,
)
from receiver.store.sqlite.database import Database

_INSERT = "INSERT INTO audit (at, who, origin, what, subject) VALUES (?, ?, ?, ?, ?)"

_END = "UPDATE audit SET outcome = ?, subject = ?, details = ? WHERE id = ?"

_CHANGES = """
    SELECT id, at, who, origin, what, subject, outcome, details FROM audit
    WHERE (:before IS NULL OR id < :before) AND (:who IS NULL OR who = :who)
        AND (:what IS NULL OR what = :what) AND (:subject IS NULL OR subject = :subject)
        AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until)
    ORDER BY id DESC LIMIT :limit
"""


class SqliteAudit:
    """Implements AuditLog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, change: BegunChange) -> int:
        row = begun_row(change)

        def insert(connection: sqlite3.Connection) -> int:
            number = connection.execute(_INSERT, row).lastrowid
            assert number is not None
            return number

        return await self._database.write(insert)

    async def end(
        self, change: int, outcome: ChangeOutcome, subject: str | None, details: Mapping[str, Any]
    ) -> None:
        row = ended_row(change, outcome, subject, details)
        await self._database.write_unflushed(lambda c: c.execute(_END, row).close())

    async def changes(self, query: AuditQuery) -> Sequence[Change]:
        wanted = asked_of(query)
        return await self._database.read(
            lambda c: [stored_change(row) for row in c.execute(_CHANGES, wanted)]
        )
