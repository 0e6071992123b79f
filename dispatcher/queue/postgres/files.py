"""What a PostgreSQL database takes of its server's disk."""

from __future__ import annotations

from dispatcher.observe.base import FileSizes, HeldLog
from receiver.store.postgres.database import Database, row_of


class PostgresFiles:
    """Implements DatabaseFiles. The log is of all databases of the server, and not counted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sizes(self) -> FileSizes | None:
        size = "SELECT pg_database_size(current_database())"
        return FileSizes(await self._database.question(lambda c: row_of(c.execute(size))[0]), 0)

    async def held_log(self) -> HeldLog | None:
        return None
