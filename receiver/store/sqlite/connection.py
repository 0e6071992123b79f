"""One SQLite connection with a thread of its own, on which a function runs as a whole.

aiosqlite has no public way to run a function of one's own on a connection's thread. What is used of
its private parts stands in this class and nowhere else; the version is pinned for it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from _thread import LockType, allocate_lock
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiosqlite

T = TypeVar("T")

STATEMENTS_KEPT = 256
"""Statements that stay compiled: an insert of many rows is another one for each number of rows."""

HOLD_SECONDS = 0.002
"""How long the event loop stands still for a function at most.

The interpreter runs one thread at a time. A loop that goes on beside a function wakes its thread
twice for each request that it reads, nearly always in vain. With 64 callbacks at a time that took a
sixth of the rate. If the loop stands still, the statements of such a group take half a millisecond.
"""

FREE_SECONDS = 0.1
"""For how long the loop is not held after HOLD_SECONDS were too short."""


class Connection:
    """An open connection. Functions run on it one after the other."""

    def __init__(self, opened: aiosqlite.Connection) -> None:
        self._opened = opened
        self._running = 0  # functions, those included that wait for the thread
        self._held: LockType | None = None
        self._hold_again_at = 0.0  # by the loop's clock

    @classmethod
    async def open(cls, path: str | Path, *, busy_seconds: float) -> Connection:
        """Open the file at `path`; a statement waits so long for another writer.

        Raises sqlite3.Error, and leaves no thread running then.
        """
        # Its lines at level debug tell of each function.
        logging.getLogger("aiosqlite").setLevel(logging.WARNING)
        connecting = aiosqlite.connect(
            path, isolation_level=None, timeout=busy_seconds, cached_statements=STATEMENTS_KEPT
        )
        # The thread must not keep the process alive when somebody forgets to close.
        connecting._thread.daemon = True
        try:
            return cls(await connecting)
        except sqlite3.Error:
            # Its thread still reports to this loop, which must not be closed before.
            await asyncio.to_thread(connecting._thread.join)
            raise

    async def run(self, work: Callable[[sqlite3.Connection], T], *, hold_loop: bool = False) -> T:
        """What `work` returns or raises on the connection's thread.

        `hold_loop`: unless the thread is busy, the event loop stands still until `work` returns or
        calls `release_loop`, HOLD_SECONDS at most. After that was too short, it is not held for a
        while: another process has the file, or the disk is slow. Raises ValueError after `close`.
        """
        if not self._opened._running:  # nobody would take it from the queue
            raise ValueError("the connection is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        held = None
        if hold_loop and not self._running and loop.time() >= self._hold_again_at:
            held = allocate_lock()
            held.acquire()
        self._running += 1
        # A future and a function are what each public method of aiosqlite puts there.
        self._opened._tx.put_nowait((done, partial(self._run, work, held)))
        if held is not None and not held.acquire(timeout=HOLD_SECONDS):
            self._hold_again_at = loop.time() + FREE_SECONDS
        try:
            return await done
        finally:
            self._running -= 1

    def _run(self, work: Callable[[sqlite3.Connection], T], held: LockType | None) -> T:
        self._held = held
        try:
            return work(self._opened._conn)
        finally:
            self.release_loop()

    def release_loop(self) -> None:
        """Called by a function on the thread that needs the interpreter no more."""
        held, self._held = self._held, None
        if held is not None:
            held.release()

    async def close(self) -> None:
        """Finish what is running and close."""
        await self._opened.close()
