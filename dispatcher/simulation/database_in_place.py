"""A database in memory that works where it is asked, for a simulation that has nothing else to do.

The way to aiosqlite's thread and back takes longer than most transactions, and in which order
threads come back is not ours to say. Nor is anything committed: what is in memory ends with the
process, and a transaction for each attempt would cost a fifth of the whole. So nothing is rolled
back either: after an error the simulation is over.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TypeVar

from receiver.store.sqlite.claims import Claims
from receiver.store.sqlite.database import Database, Work, add_functions

T = TypeVar("T")


class DatabaseInPlace(Database):
    """Implements Database without threads, transactions and disk."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._claims = Claims(None)
        self.first: Work[object] | None = None
        """What is done before anything else that is asked or written."""
        add_functions(self._connection)
        self._connection.execute("BEGIN")  # else each statement would be a transaction

    async def write(self, work: Work[T], *, brief: bool = False) -> T:  # noqa: ARG002 - all are
        return work(self._caught_up())

    async def write_unflushed(self, work: Work[T]) -> T:
        return work(self._caught_up())

    async def read(self, work: Work[T]) -> T:
        return work(self._caught_up())

    async def look(self, work: Work[T]) -> T:
        return work(self._caught_up())

    async def question(self, work: Work[T]) -> T:
        return work(self._caught_up())

    def aside(self, work: Work[T]) -> T:
        """Do this at once, though `first` may have something to do that does not matter to it."""
        return work(self._connection)

    def _caught_up(self) -> sqlite3.Connection:
        if self.first is not None:
            self.first(self._connection)
        return self._connection

    async def prove(self, small: Work[object], large: Sequence[Work[object]]) -> None:
        """Nothing is written: there is no disk that could be full."""

    async def log_is_held(self) -> bool:
        return False  # there is no log

    async def checkpoint(self) -> bool:
        return True  # there is no log

    async def close(self) -> None:
        self._connection.close()
