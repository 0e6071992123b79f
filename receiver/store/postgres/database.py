"""A PostgreSQL database: a pool of connections, transactions on threads, and its migrations.

Every transaction is one function run on a thread with a connection of its own, as it is with SQLite
(store/sqlite/database.py): the code of a transaction is read top to bottom, and an `await` never
stands between two of its statements. psycopg is chosen for that: it has such connections, asyncpg
has not, and with batches both are equally fast.

PostgreSQL 15 and later. What a connection is told is told with each transaction and never with the
session, so that a pooler in transaction mode may be between.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import DeadlockDetected, NumericValueOutOfRange, SerializationFailure
from psycopg_pool import ConnectionPool, PoolTimeout

from receiver.store.base import StoreUnavailable, StoreUnreachable
from receiver.store.migrations import Migration, is_missing
from receiver.store.postgres.settled import Settled
from receiver.store.postgres.texts import adapt_texts
from receiver.store.proof import Proof

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]
Work = Callable[[Connection], T]

_LOG = logging.getLogger("dlr.store")

CONNECTIONS = 8
"""At most so many of one process."""

QUESTIONS = 3
"""Of them at most so many for work that may take long: callbacks and pushes do not wait for it."""

WAIT_SECONDS = 10.0
"""How long a callback waits for a connection, or for a statement, before it is answered 503."""

QUESTION_SECONDS = 30.0
"""How long a statement of a question may take."""

LOOK_SECONDS = 0.5
"""How often a server that cannot be reached at the start is tried."""

TRIES = 4
"""How often a transaction is begun that the database has broken off so that another one could go on
(deadlock, serialisation failure)."""

PREPARED_AFTER = 5
"""How often a statement is run before it is prepared: psycopg's own number."""

MALFORMED = (
    "store.database is no URL of PostgreSQL: expected postgresql://USER@HOST:PORT/NAME, in which"
    " signs such as @, / or a space are written with percent (%40, %2F, %20)"
)

POOLED = (
    "a connection pooler, such as pgbouncer, is in front of the database: statements are not"
    " prepared, which costs both some CPU"
)

# A machine that is cut off in the middle of a transaction keeps its locks for as long as the server
# waits for its next statement, which comes within milliseconds otherwise.
_BEGIN = (
    "{begin}; SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock};"
    " SET LOCAL idle_in_transaction_session_timeout = {lock}"
)


def _begin(begin: str, seconds: float, *, more: str = "") -> str:
    """What opens a transaction, in one round trip."""
    limits = _BEGIN.format(
        begin=begin, statement=int(seconds * 1000), lock=int(WAIT_SECONDS * 1000)
    )
    return limits + more


# A statement is planned once and used for long. If its table was small then, the plan reads all of
# it, and still does when there are a million rows. So whatever has an index uses it.
_BY_INDEX = "; SET LOCAL enable_seqscan = off; SET LOCAL jit = off"

_READ_COMMITTED = "BEGIN ISOLATION LEVEL READ COMMITTED"
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_WRITE = _begin(_READ_COMMITTED, WAIT_SECONDS, more=_BY_INDEX)
_WRITE_UNFLUSHED = _begin(
    _READ_COMMITTED, WAIT_SECONDS, more=f"{_BY_INDEX}; SET LOCAL synchronous_commit = off"
)
_READ = _begin(_SNAPSHOT, WAIT_SECONDS, more=_BY_INDEX)
_READ_SETTLED = _begin(_READ_COMMITTED, WAIT_SECONDS, more=_BY_INDEX)
_QUESTION = _begin(_SNAPSHOT, QUESTION_SECONDS)
_MIGRATE = _begin(_READ_COMMITTED, 0)


class Database:
    """An open PostgreSQL database, as `receiver.store.sqlite.database.Database` is a file."""

    def __init__(self, pool: ConnectionPool[Connection]) -> None:
        self._pool = pool
        self._threads = ThreadPoolExecutor(CONNECTIONS, "dlr-postgres")
        self._questions = asyncio.Semaphore(QUESTIONS)
        self._settled = Settled()
        self._proof = Proof()

    @classmethod
    async def open(cls, url: str, *, wait: float = 0.0) -> Database:
        """Open the database at `url` (postgresql://…, as libpq reads it; a password is better in
        PGPASSWORD or ~/.pgpass). `wait`: so many seconds for one that cannot be reached yet.

        Raises StoreUnreachable, with what the server or the network said last; StoreUnavailable for
        what is no URL.
        """
        pooled = await asyncio.to_thread(_reached, url, wait)
        if pooled:
            _LOG.info("%s", POOLED)
        return cls(pool_of(url, pooled=pooled))

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction (READ COMMITTED); when this returns, it is on disk.

        `work` may be run again from its beginning, with nothing of it done. Raises StoreUnavailable
        when it could not be done, or when nobody knows whether it was: the connection broke while
        it was committed. OverflowError: a number is beyond its column. What `work` itself raised is
        raised as it is, and nothing is written then.
        """
        try:
            return await self._run(_WRITE, work)
        except StoreUnavailable:
            self._proof.failed()
            raise

    def written(self) -> None:
        """A write of this moment has changed something: the database can be written."""
        self._proof.written()

    async def prove(self, small: Work[object], large: Sequence[Work[object]]) -> None:
        """Raises StoreUnavailable when nothing can be written now. What is not known already is
        found out by `small`, and after a failure by `large`, each in a transaction (proof.py)."""

        async def probe(after_failure: bool) -> None:
            for work in large if after_failure else (small,):
                await self._run(_WRITE, work)

        await self._proof.ask(probe)

    async def write_unflushed(self, work: Work[T]) -> T:
        """As `write`, for what may be lost with the server's power and is repeated then."""
        return await self._run(_WRITE_UNFLUSHED, work)

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads, on one unchanging view of the database."""
        return await self._run(_READ, work)

    async def read_settled(self, sequence: str, work: Callable[[Connection, int], T]) -> T:
        """As `read`, with the highest id of `sequence` up to which nothing can appear any more
        (settled.py). Each statement has a view of its own."""
        return await self._run(_READ_SETTLED, lambda c: work(c, self._settled.id(c, sequence)))

    async def question(self, work: Work[T]) -> T:
        """As `read`, for work that may take longer."""
        async with self._questions:
            return await self._run(_QUESTION, work)

    def settled(self, connection: Connection, sequence: str) -> int:
        """What `read_settled` gives, as a part of a write."""
        return self._settled.id(connection, sequence)

    async def migrate(self, migrations: Iterable[Migration]) -> list[Migration]:
        """Apply the migrations that are missing, each in a transaction. Returns those applied. Of
        several processes one does it, and the others wait for it.

        Raises StoreUnavailable when the database is newer than this program.
        """
        steps = list(migrations)
        await self._run(_MIGRATE, _prepare_versions)
        apply = partial(_apply, steps=steps)
        return [step for step in steps if await self._run(_MIGRATE, partial(apply, step=step))]

    async def missing(self, migrations: Iterable[Migration]) -> list[Migration]:
        """The migrations that this database still needs."""
        versions = await self.read(_versions)
        return [step for step in migrations if step.number > versions.get(step.part, 0)]

    async def close(self) -> None:
        """Finish what is running and close the connections."""
        await self._proof.end()
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._pool.close)

    async def _run(self, begin: str, work: Work[T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._transaction, begin, work)

    def _transaction(self, begin: str, work: Work[T]) -> T:
        """On a thread: one transaction, begun again if the database broke it off for another."""
        for left in reversed(range(TRIES)):
            try:
                return self._once(begin, work)
            except (DeadlockDetected, SerializationFailure) as error:
                if not left:
                    raise _unavailable(error) from error
            except NumericValueOutOfRange as error:
                raise OverflowError(str(error)) from error  # as SQLite's module has it
            except (psycopg.IntegrityError, psycopg.DataError):
                raise  # the row is at fault and not the store: its neighbours can be written
            except (psycopg.Error, PoolTimeout) as error:
                raise _unavailable(error) from error
        raise AssertionError

    def _once(self, begin: str, work: Work[T]) -> T:
        connection = self._begun(begin)
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise
        finally:
            self._pool.putconn(connection)
        return result

    def _begun(self, begin: str) -> Connection:
        """A connection with an open transaction. One that broke while it was idle, as all do when
        the server is restarted, is put away, and another one is taken."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            connection = self._pool.getconn(max(0.0, deadline - time.monotonic()))
            try:
                connection.execute(begin, prepare=False)
            except psycopg.OperationalError:
                broken = connection.broken
                self._pool.putconn(connection)
                if not broken:
                    raise
            else:
                return connection


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"the database cannot be used: {_said(error)}")


def _said(error: Exception) -> str:
    """What psycopg says names host, port, user and database, and no password."""
    return " ".join(str(error).split()) or type(error).__name__


def pool_of(url: str, *, pooled: bool = False) -> ConnectionPool[Connection]:
    """`pooled`: a pooler is between. It may give each transaction another connection of its own, on
    which a statement that was prepared before is missing, or another one has its name."""
    pool = ConnectionPool[Connection](
        url,
        kwargs={
            "autocommit": True,
            "connect_timeout": int(WAIT_SECONDS),
            "prepare_threshold": None if pooled else PREPARED_AFTER,
        },
        configure=adapt_texts,
        min_size=1,
        max_size=CONNECTIONS,
        timeout=WAIT_SECONDS,
        reconnect_timeout=WAIT_SECONDS,
        name="dlr",
        open=False,
    )
    pool.open()
    return pool


def _reached(url: str, wait: float) -> bool:
    """Wait until the server takes a connection, at most `wait` seconds. Returns whether a pooler is
    between: it gives each client a process id of its own making, which is not the server's."""
    try:
        conninfo_to_dict(url)
    except psycopg.Error:  # which would repeat parts of the URL, and so of a password
        raise StoreUnavailable(MALFORMED) from None
    deadline, told = time.monotonic() + wait, False
    while True:
        try:
            with psycopg.connect(url, connect_timeout=int(WAIT_SECONDS)) as connection:
                (process,) = row_of(connection.execute("SELECT pg_backend_pid()"))
                return bool(process != connection.info.backend_pid)
        except psycopg.Error as error:
            if time.monotonic() >= deadline:
                raise StoreUnreachable(f"cannot open the database: {_said(error)}") from error
            if not told:
                _LOG.warning("waiting for the database, at most %g s: %s", wait, _said(error))
                told = True
            time.sleep(LOOK_SECONDS)


# --- migrations ---------------------------------------------------------------------------------

_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('dlr schema', 0))"
"""Of several processes that start at once, one after the other changes the schema."""


def _prepare_versions(connection: Connection) -> None:
    connection.execute(_ALONE)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (part text PRIMARY KEY, number integer NOT NULL)"
    )


def _versions(connection: Connection) -> dict[str, int]:
    (known,) = row_of(connection.execute("SELECT to_regclass('schema_version')"))
    if known is None:
        return {}
    return dict(connection.execute("SELECT part, number FROM schema_version").fetchall())


def _apply(connection: Connection, *, step: Migration, steps: Sequence[Migration]) -> bool:
    connection.execute(_ALONE)
    if not is_missing(step, steps, _versions(connection)):
        return False
    connection.execute(step.sql.encode(), prepare=False)
    connection.execute(
        "INSERT INTO schema_version (part, number) VALUES (%s, %s)"
        " ON CONFLICT (part) DO UPDATE SET number = excluded.number",
        (step.part, step.number),
    )
    return True


def row_of(cursor: psycopg.Cursor[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The row of a statement that always gives one."""
    row = cursor.fetchone()
    assert row is not None
    return row
