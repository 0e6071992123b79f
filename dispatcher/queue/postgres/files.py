"""What a PostgreSQL database needs of its server."""

from __future__ import annotations

from datetime import datetime

from dispatcher.observe.base import FileSizes, HeldLog
from receiver.store.postgres.database import Database
from receiver.store.postgres.partitions import keep_partitions


class PostgresFiles:
    """Implements DatabaseFiles. Files and disk are the server's, and watched there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sizes(self) -> FileSizes | None:
        return None

    async def keep_room(self, now: datetime) -> None:
        await keep_partitions(self._database, now)

    async def held_log(self) -> HeldLog | None:
        return None
