"""What a PostgreSQL database needs of its server."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from dispatcher.observe.base import FileSizes, HeldLog
from receiver.store.postgres.database import Connection, Database, row_of
from receiver.store.postgres.partitions import keep_partitions

LOOK_SECONDS = 60.0
"""How long a size is good for: the server looks at each file of the database to tell it."""


class PostgresFiles:
    """Implements DatabaseFiles. Log and disk are the server's, and watched there."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._looked_at = -LOOK_SECONDS
        self._size = 0

    async def sizes(self) -> FileSizes | None:
        now = self._monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._size = await self._database.question(_size)
            self._looked_at = now
        return FileSizes(self._size, None, None)

    async def keep_room(self, now: datetime) -> None:
        await keep_partitions(self._database, now)

    async def held_log(self) -> HeldLog | None:
        return None


def _size(connection: Connection) -> int:
    return int(row_of(connection.execute("SELECT pg_database_size(current_database())"))[0])
