"""What was changed by hand, in PostgreSQL."""

from __future__ import annotations

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
from receiver.store.postgres.database import Connection, Database, row_of

_INSERT = """
    INSERT INTO audit (at, who, origin, what, subject) VALUES (%s, %s, %s, %s, %s) RETURNING id
"""
_END = "UPDATE audit SET outcome = %s, subject = %s, details = %s WHERE id = %s"

_CHANGES = """
    SELECT id, at, who, origin, what, subject, outcome, details FROM audit
    WHERE (%(before)s::bigint IS NULL OR id < %(before)s)
        AND (%(who)s::text IS NULL OR who = %(who)s)
        AND (%(what)s::text IS NULL OR what = %(what)s)
        AND (%(subject)s::text IS NULL OR subject = %(subject)s)
        AND (%(since)s::bigint IS NULL OR at >= %(since)s)
        AND (%(until)s::bigint IS NULL OR at < %(until)s)
    ORDER BY id DESC LIMIT %(limit)s
"""


class PostgresAudit:
    """Implements AuditLog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, change: BegunChange) -> int:
        row = begun_row(change)

        def insert(connection: Connection) -> int:
            return int(row_of(connection.execute(_INSERT, row))[0])

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
