"""What a SQLite file and its write-ahead log take of the disk, and who keeps the log large."""

from __future__ import annotations

import asyncio
import shutil
from datetime import datetime
from pathlib import Path

from dispatcher.observe.base import FileSizes, HeldLog
from receiver.store.sqlite.database import LOG_MOST, Database
from receiver.store.sqlite.disk import file_of, log_of, others_with


class SqliteFiles:
    """Implements DatabaseFiles."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._file: Path | None = None

    async def sizes(self) -> FileSizes | None:
        if self._file is None:
            self._file = await file_of(self._database)
        if self._file is None:
            return None
        return FileSizes(_size(self._file), _size(log_of(self._file)), _free(self._file.parent))

    async def keep_room(self, now: datetime) -> None:
        """A file grows by itself."""

    async def held_log(self) -> HeldLog | None:
        if await self.sizes() is None:
            return None
        assert self._file is not None
        size = _size(log_of(self._file))
        if size <= LOG_MOST or not await self._database.log_is_held():
            return None
        return HeldLog(size, await asyncio.to_thread(others_with, log_of(self._file)))


def _size(file: Path) -> int:
    """0 for a file that is not there: the log goes with the last process."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
