"""The production database in memory, each of whose calls is a step that faults may befall.

`Database` runs each transaction as one function on a connection's thread. Here the connection runs
it at once, in the event loop, so that the seed alone decides the order. The SQL, the transactions
and their errors are those of production.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from typing import Any, Protocol, TypeVar

from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.store.sqlite.connection import Connection
from receiver.store.sqlite.database import Database, Work
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS

T = TypeVar("T")


class Stepping(Protocol):
    """A process, as its database sees it."""

    async def step(self, name: str, act: Callable[[], Awaitable[T]], *, writes: bool) -> T:
        """Run `act`, unless a fault comes before; its result is lost when one comes after."""

    def claim(self, name: str) -> bool:
        """Whether it holds this lock now, which ends with the process."""

    def flushed(self) -> None:
        """What is written now, and all that was before, outlives a power cut."""

    def unflushed(self) -> None:
        """What is written now may be undone by a power cut."""


class AtOnce(Connection):
    """A connection without a thread: runs what is asked for where it is asked for."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def run(self, work: Work[T], *, hold_loop: bool = False) -> T:  # noqa: ARG002 - no loop
        return work(self._connection)

    def release_loop(self) -> None:
        """There is no loop to wait for it."""


class SteppedDatabase(Database):
    """The database as one process has it open."""

    def __init__(self, connection: sqlite3.Connection, process: Stepping) -> None:
        here = AtOnce(connection)
        super().__init__(here, here)
        self._process = process

    def claim(self, name: str) -> bool:
        return self._process.claim(name)

    async def write(self, work: Work[T], *, brief: bool = False) -> T:
        async def write() -> T:
            self._process.flushed()
            return await super(SteppedDatabase, self).write(work, brief=brief)

        return await self._process.step(_name(work), write, writes=True)

    async def write_unflushed(self, work: Work[T]) -> T:
        async def write() -> T:
            self._process.unflushed()
            return await super(SteppedDatabase, self).write_unflushed(work)

        return await self._process.step(_name(work), write, writes=True)

    async def read(self, work: Work[T]) -> T:
        read = super().read
        return await self._process.step(_name(work), lambda: read(work), writes=False)

    async def look(self, work: Work[T]) -> T:
        look = super().look
        return await self._process.step(_name(work), lambda: look(work), writes=False)

    async def question(self, work: Work[T]) -> T:
        question = super().question
        return await self._process.step(_name(work), lambda: question(work), writes=False)


class Disk:
    """What a power cut leaves of a database: all up to the last transaction that was flushed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._kept = sqlite3.connect(":memory:")
        self._may_undo = False

    def flushed(self) -> None:
        self._may_undo = False

    def unflushed(self) -> None:
        if not self._may_undo:
            self._connection.backup(self._kept)
            self._may_undo = True

    def cut_power(self) -> bool:
        """Whether anything was undone."""
        undone, self._may_undo = self._may_undo, False
        if undone:
            self._kept.backup(self._connection)
        return undone

    def close(self) -> None:
        self._kept.close()
        self._connection.close()


def new_database() -> sqlite3.Connection:
    """A migrated database in memory. Copied: the migrations would take longer than most seeds."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _migrated().backup(connection)
    return connection


@cache
def _migrated() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    here = AtOnce(connection)
    migrating = Database(here, here).migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
    with suppress(StopIteration):  # it waits for nothing: one step is all of it
        migrating.send(None)
    return connection


def _name(work: Work[Any]) -> str:
    """`SqliteQueue.form` for the function that this method hands to the database."""
    return getattr(work, "__qualname__", repr(work)).partition(".<locals>")[0]
