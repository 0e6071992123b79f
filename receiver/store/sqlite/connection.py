"""One SQLite connection with a thread of its own, on which a function runs as a whole.

aiosqlite has no public way to run a function of one's own on a connection's thread. What is used of
its private parts stands in this class and nowhere else; the version is pinned for it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import aiosqlite

T = TypeVar("T")


class Connection:
    """An open connection. Functions run on it one after the other."""

    def __init__(self, opened: aiosqlite.Connection) -> None:
        self._opened = opened

    @classmethod
    async def open(cls, path: str | Path, *, busy_seconds: float) -> Connection:
        """Open the file at `path`; a statement waits so long for another writer.

        Raises sqlite3.Error, and leaves no thread running then.
        """
        # Its lines at level debug tell of each function.
        logging.getLogger("aiosqlite").setLevel(logging.WARNING)
        connecting = aiosqlite.connect(path, isolation_level=None, timeout=busy_seconds)
        # The thread must not keep the process alive when somebody forgets to close.
        connecting._thread.daemon = True
        try:
            return cls(await connecting)
        except sqlite3.Error:
            # Its thread still reports to this loop, which must not be closed before.
            await asyncio.to_thread(connecting._thread.join)
            raise

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns or raises on the connection's thread."""
        # `_execute` is what each public method of aiosqlite is made of.
        execute: Any = self._opened._execute
        return cast(T, await execute(work, self._opened._conn))

    async def close(self) -> None:
        """Finish what is running and close."""
        await self._opened.close()
