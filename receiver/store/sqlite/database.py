"""One SQLite file: a thread that writes, a thread that reads, and its migrations.

Every transaction is one function run on a connection's thread. Awaiting BEGIN, the statements and
COMMIT one by one would cost a thread hop each (0.1-0.2 ms), and two tasks awaiting on one
connection could find themselves inside each other's transaction.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from operator import index
from pathlib import Path
from typing import TypeVar

from receiver.dlr.number import comparable
from receiver.store.base import StoreUnavailable
from receiver.store.migrations import Migration, is_missing
from receiver.store.proof import Proof
from receiver.store.sqlite.claims import Claims
from receiver.store.sqlite.connection import Connection
from receiver.store.sqlite.log_carrier import LogCarrier
from receiver.store.sqlite.own_file import OwnFile, log_of_another
from receiver.store.sqlite.turns import LOOK_SECONDS, Turns

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

# Of a value that is no int, float or str, sqlite3 asks how to store it, with an error inside that
# is raised and dropped: half a microsecond each. These functions give the values back as they are.
_NOTHING: dict[None, None] = {}
sqlite3.register_adapter(type(None), _NOTHING.get)
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(bool, index)

BUSY_TIMEOUT_SECONDS = 9.0
"""How long a writer waits for another process that is writing to the same file: less than a
callback waits, so that its answer tells the reason."""

_FLUSHED = "PRAGMA synchronous = FULL"  # 200 means on disk
_FLUSHED_AT_CHECKPOINTS = "PRAGMA synchronous = NORMAL"  # all that WAL alone would do

LOG_MOST = 32 * 1024**2
"""Bytes that the write-ahead log keeps of the disk after all of it is in the file. It is twice what
a checkpoint begins at, and only a reader that holds the log makes it larger."""

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    _FLUSHED,
    "PRAGMA cache_size = -32768",  # 32 MiB
    "PRAGMA wal_autocheckpoint = 4000",  # 16 MiB: fewer, larger checkpoints
    f"PRAGMA journal_size_limit = {LOG_MOST}",
    "PRAGMA temp_store = MEMORY",
)


def version(connection: sqlite3.Connection) -> tuple[int, int]:
    """Another one after whatever has been committed since this connection was asked last, by itself
    or by any other, in whatever process. Those of two connections say nothing together."""
    row = connection.execute("PRAGMA data_version").fetchone()
    return row[0], connection.total_changes


class Database:
    """An open SQLite file. Not more than one write transaction runs at a time."""

    def __init__(
        self,
        writer: Connection,
        reader: Connection,
        questioner: Connection | None = None,
        turns: Turns | None = None,
        file: OwnFile | None = None,
        claims: Claims | None = None,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._questioner = questioner or reader
        self._turns = turns or Turns(None)
        self._file = file
        self._claims = claims or Claims(None)
        self._proof = Proof()
        self._carrier = None if questioner is None else LogCarrier(self._bring_log_over)

    @classmethod
    async def open(cls, path: str | Path) -> Database:
        """Open the file at `path`, which is made if it is missing; `:memory:` is a database that
        ends with this object. Raises StoreUnavailable when it cannot be opened, is being restored,
        or has the log of another database beside it.

        A new file is its owner's alone. SQLite gives the log and its index the same mode.
        """
        # A database in memory belongs to its one connection.
        if str(path) == ":memory:":
            writer = await _connect(path)
            return cls(writer, writer)
        make_private(Path(path))
        turns = Turns(Path(path))
        try:
            if (fault := log_of_another(Path(path))) is not None:
                raise StoreUnavailable(fault)
            writer = await _connect(path)
        except StoreUnavailable:
            turns.close()
            raise
        file = OwnFile(Path(path))
        file.check()  # these are the files
        reader, questioner = await _connect(path), await _connect(path)
        return cls(writer, reader, questioner, turns, file, Claims(Path(path)))

    async def write(self, work: Work[T], *, brief: bool = False) -> T:
        """Run `work` in one transaction; when this returns, it is on disk.

        `brief`: its statements take a millisecond or so, and there are many such transactions a
        second. The event loop stands still for them, but not for the disk (connection.py).

        Raises StoreUnavailable when it could not be written, or to a file that is not at its path
        any more (own_file.py); what `work` itself raised, such as
        sqlite3.IntegrityError for a row that the schema refuses, is raised as it is. Nothing is
        written then.
        """
        try:
            result = await _run(
                self._writer, lambda connection: self._flushed(connection, work), hold_loop=brief
            )
        except StoreUnavailable:
            self._proof.failed()
            raise
        if self._carrier is not None:
            self._carrier.carry_on()
        return result

    async def prove(self, small: Work[object], large: Sequence[Work[object]]) -> None:
        """Raises StoreUnavailable when nothing can be written now. What is not known already is
        found out by `small`, and after a failure by `large`, each in a transaction (proof.py)."""

        async def probe(after_failure: bool) -> None:
            for work in large if after_failure else (small,):
                await _run(self._writer, partial(self._in_turn, work=work))

        if self._file is not None:
            self._file.check()
        await self._proof.ask(probe)

    async def write_unflushed(self, work: Work[T]) -> T:
        """As `write`, for what may be lost with the power: every process sees it, and the end of
        this one does not undo it, but the disk is not waited for. The next `write` flushes it too.
        """
        return await _run(self._writer, lambda connection: self._unflushed(connection, work))

    def _flushed(self, connection: sqlite3.Connection, work: Work[T]) -> T:
        changes = connection.total_changes
        result = self._in_turn(connection, work)
        changes = connection.total_changes - changes
        if changes:
            self._proof.written()
            if self._carrier is not None:
                self._carrier.changed(changes)
        return result

    def _in_turn(self, connection: sqlite3.Connection, work: Work[T]) -> T:
        if self._file is not None and self._file.lost:
            self._file.check()  # nothing more is written to it, unless it is back
        with self._turns.turn(BUSY_TIMEOUT_SECONDS):
            result = self._transaction(connection, work)
        if self._file is not None:
            self._file.check()
        return result

    def _transaction(self, connection: sqlite3.Connection, work: Work[T]) -> T:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            self._writer.release_loop()  # the disk is waited for without the interpreter
            connection.commit()
        except BaseException:
            # A full disk may have rolled back already.
            with suppress(sqlite3.Error):
                connection.rollback()
            raise
        return result

    def _unflushed(self, connection: sqlite3.Connection, work: Work[T]) -> T:
        connection.execute(_FLUSHED_AT_CHECKPOINTS)
        try:
            return self._in_turn(connection, work)
        finally:
            connection.execute(_FLUSHED)

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads, on one unchanging view of the database."""
        return await _run(self._reader, lambda connection: _snapshot(connection, work))

    async def look(self, work: Work[T]) -> T:
        """As `read`, for work of one statement: it has one view by itself, if all of its rows are
        fetched."""
        return await _run(self._reader, work)

    async def question(self, work: Work[T]) -> T:
        """As `read`, for work that may take longer: the dispatcher's reads do not wait for it."""
        return await _run(self._questioner, lambda connection: _snapshot(connection, work))

    async def checkpoint(self) -> bool:
        """Bring all that was committed from the write-ahead log into the file and empty the log.
        False when another process kept it from being emptied for BUSY_TIMEOUT_SECONDS."""

        def work(connection: sqlite3.Connection) -> bool:
            until = time.monotonic() + BUSY_TIMEOUT_SECONDS
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() >= until:
                    return False
                time.sleep(LOOK_SECONDS)  # SQLite does not wait for another one that does this
            return True

        async with nullcontext() if self._carrier is None else self._carrier.stopped():
            return await _run(self._writer, work)

    async def log_is_held(self) -> bool:
        """Whether a reader keeps a part of the write-ahead log from being brought into the file.
        Brings there what it can, and keeps nobody waiting."""
        return not await self._bring_log_over()

    async def _bring_log_over(self) -> bool:
        """Whether all of the log is in the file now."""

        def work(connection: sqlite3.Connection) -> bool:
            _, frames, brought = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return bool(brought >= frames)

        return await _run(self._questioner, work)

    async def migrate(self, migrations: Iterable[Migration]) -> list[Migration]:
        """Apply the migrations that are missing, each in a transaction. Returns those applied.

        Raises StoreUnavailable when the database is newer than this program.
        """
        steps = list(migrations)
        await self.write(_prepare_versions)
        return [step for step in steps if await self.write(partial(_apply, step=step, of=steps))]

    async def missing(self, migrations: Iterable[Migration]) -> list[Migration]:
        """The migrations that this database still needs.

        Raises StoreUnavailable when the database is newer than this program.
        """
        steps, versions = list(migrations), await self.read(_versions)
        return [step for step in steps if is_missing(step, steps, versions)]

    def claim(self, name: str) -> bool:
        """Whether this database is now the only one on its file that has the claim `name`, until it
        is closed or its process ends (claims.py)."""
        return self._claims.take(name)

    async def close(self) -> None:
        """Finish what is running and close the file."""
        await self._proof.end()
        if self._carrier is not None:
            await self._carrier.end()
        for other in {self._reader, self._questioner} - {self._writer}:
            await other.close()
        await self._writer.close()
        self._turns.close()
        self._claims.close()


def add_functions(connection: sqlite3.Connection) -> None:
    """What statements call beyond SQLite's own functions: `comparable` of a number (number.py)."""
    connection.create_function(
        "comparable",
        1,
        lambda text: None if text is None else comparable(text),
        deterministic=True,
    )


def make_private(path: Path) -> None:
    """Make an empty file, which SQLite takes for a new database, that only its owner may read:
    reports name people. One that is there keeps its mode."""
    with suppress(OSError):  # there is one, or none can be made: opening it says why
        os.close(os.open(path.resolve(), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


async def _connect(path: str | Path) -> Connection:
    def options(connection: sqlite3.Connection) -> None:
        add_functions(connection)
        for pragma in PRAGMAS:
            connection.execute(pragma)

    try:
        connection = await Connection.open(path, busy_seconds=BUSY_TIMEOUT_SECONDS)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"cannot open the database {path}: {error}") from error
    try:
        await _run(connection, options)
    except StoreUnavailable:
        await connection.close()
        raise
    return connection


async def _run(connection: Connection, work: Work[T], *, hold_loop: bool = False) -> T:
    try:
        return await connection.run(work, hold_loop=hold_loop)
    except (sqlite3.IntegrityError, sqlite3.DataError):
        raise  # the row is at fault and not the store: its neighbours can be written
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the database cannot be used: {error}") from error


def _snapshot(connection: sqlite3.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.rollback()


def _prepare_versions(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version"
        " (part TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT"
    )


def _versions(connection: sqlite3.Connection) -> dict[str, int]:
    known = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'")
    if known.fetchone() is None:
        return {}
    return dict(connection.execute("SELECT part, number FROM schema_version"))


def _apply(connection: sqlite3.Connection, *, step: Migration, of: Sequence[Migration]) -> bool:
    if not is_missing(step, of, _versions(connection)):
        return False
    for statement in _statements(step.sql):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO schema_version (part, number) VALUES (?, ?)"
        " ON CONFLICT (part) DO UPDATE SET number = excluded.number",
        (step.part, step.number),
    )
    return True


def _statements(sql: str) -> list[str]:
    """The statements of a script. `executescript` would commit the transaction they belong to."""
    statements, current = [], ""
    for line in sql.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
