"""A PostgreSQL database: transactions on threads, each with a connection, and its migrations.

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
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import (
    DeadlockDetected,
    NumericValueOutOfRange,
    ReadOnlySqlTransaction,
    SerializationFailure,
)

from receiver.store.base import StoreUnavailable, StoreUnreachable
from receiver.store.migrations import Migration, is_missing
from receiver.store.postgres.connections import Connections, connect
from receiver.store.postgres.settled import Settled
from receiver.store.proof import Proof

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]
Work = Callable[[Connection], T]

_LOG = logging.getLogger("dlr.store")

CONNECTIONS = 8
"""The most connections that one process opens."""

QUESTIONS = 3
"""How many of them long work may use. Callbacks and pushes do not wait for such work."""

WAIT_SECONDS = 9.0
"""How long a transaction waits for a connection, and how long the server works at a statement."""

ASKING_SECONDS = 1.0
"""How long a read waits for a connection while the server is lost. So pages, metrics and /readyz
answer soon with the reason. Only callbacks and other writes wait for the server to come back."""

QUESTION_SECONDS = 30.0
"""How long a statement of a question may take."""

ROUND_TRIP_SECONDS = 2.0
"""How much longer than that we wait for the server's answer, before we give the connection up."""

LOOK_SECONDS = 0.5
"""How often a server that cannot be reached at the start is tried."""

TRIES = 4
"""How often a transaction is begun that the database has broken off so that another one could go on
(deadlock, serialisation failure)."""

ALL_IN_USE = "the database cannot be used: all {} connections have been in use for {:g} s"

MALFORMED = (
    "store.database is no URL of PostgreSQL: expected postgresql://USER@HOST:PORT/NAME, in which"
    " signs such as @, / or a space are written with percent (%40, %2F, %20)"
)

POOLED = (
    "a connection pooler, such as pgbouncer, is in front of the database: statements are not"
    " prepared, which costs dlr and the database some CPU"
)

# A machine that is cut off in the middle of a transaction keeps its locks for as long as the server
# waits for its next statement, which comes within milliseconds otherwise.
_BEGIN = (
    "{begin}; SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock};"
    " SET LOCAL idle_in_transaction_session_timeout = {lock}"
)


class Opening(NamedTuple):
    """How a transaction is opened, in one round trip. `patience`: how many seconds we wait for the
    answer to each statement, longer than the server may work at it; 0 is without a limit. `asks`:
    it changes nothing that is needed, so it does not wait long for a lost server."""

    begin: str
    patience: float
    asks: bool


def _begin(begin: str, seconds: float, *, more: str = "", asks: bool = False) -> Opening:
    limits = _BEGIN.format(
        begin=begin, statement=int(seconds * 1000), lock=int(WAIT_SECONDS * 1000)
    )
    return Opening(limits + more, seconds and seconds + ROUND_TRIP_SECONDS, asks)


# A statement is planned once and used for long. If its table was small then, the plan reads all of
# it, and still does when there are a million rows. So whatever has an index uses it.
_BY_INDEX = "; SET LOCAL enable_seqscan = off; SET LOCAL jit = off"

_READ_COMMITTED = "BEGIN ISOLATION LEVEL READ COMMITTED"
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_WRITE = _begin(_READ_COMMITTED, WAIT_SECONDS, more=_BY_INDEX)
_WRITE_UNFLUSHED = _begin(
    _READ_COMMITTED, WAIT_SECONDS, more=f"{_BY_INDEX}; SET LOCAL synchronous_commit = off"
)
_PROBE = _WRITE._replace(asks=True)
_READ = _begin(_SNAPSHOT, WAIT_SECONDS, more=_BY_INDEX, asks=True)
_READ_SETTLED = _begin(_READ_COMMITTED, WAIT_SECONDS, more=_BY_INDEX, asks=True)
_QUESTION = _begin(_SNAPSHOT, QUESTION_SECONDS, asks=True)
_MIGRATE = _begin(_READ_COMMITTED, 0)


class Database:
    """An open PostgreSQL database, as `receiver.store.sqlite.database.Database` is a file."""

    def __init__(self, url: str) -> None:
        """Nothing is connected before the first transaction."""
        self._connections = Connections(url)
        self._threads = ThreadPoolExecutor(CONNECTIONS, "dlr-postgres")
        self._questions = asyncio.Semaphore(QUESTIONS)
        self._settled = Settled()
        self._proof = Proof()

    @classmethod
    async def open(cls, url: str, *, wait: float = 0.0) -> Database:
        """Open the database at `url` (postgresql://…, as libpq reads it; a password is better in
        PGPASSWORD or ~/.pgpass). `wait`: for how many seconds to try again if it cannot be reached.

        Raises StoreUnreachable, with what the server or the network said last; StoreUnavailable for
        what is no URL.
        """
        if await asyncio.to_thread(_reached, url, wait):
            _LOG.info("%s", POOLED)
        return cls(url)

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
                await self._run(_PROBE, work)

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
        self._connections.close()  # ends the waiting for one
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(self, opening: Opening, work: Work[T]) -> T:
        is_lost = opening.asks and self._connections.lost
        seconds = ASKING_SECONDS if is_lost else WAIT_SECONDS
        deadline = time.monotonic() + seconds
        running = self._threads.submit(self._transaction, opening, work, deadline)
        given_up = False

        def give_up() -> None:
            nonlocal given_up
            given_up = running.cancel()  # unless a thread has begun with it

        watch = asyncio.get_running_loop().call_later(seconds, give_up)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            if not given_up:
                raise
            raise StoreUnavailable(ALL_IN_USE.format(CONNECTIONS, seconds)) from None
        finally:
            watch.cancel()

    def _transaction(self, opening: Opening, work: Work[T], deadline: float) -> T:
        """On a thread: one transaction, begun again if the database broke it off for another. A
        connection for it is waited for until `deadline`."""
        for left in reversed(range(TRIES)):
            try:
                return self._once(opening, work, deadline)
            except (DeadlockDetected, SerializationFailure) as error:
                if not left:
                    raise _unavailable(error) from error
            except NumericValueOutOfRange as error:
                raise OverflowError(str(error)) from error  # as SQLite's module has it
            except (psycopg.IntegrityError, psycopg.DataError):
                raise  # the row is at fault and not the store: its neighbours can be written
            except psycopg.Error as error:
                raise _unavailable(error) from error
        raise AssertionError

    def _once(self, opening: Opening, work: Work[T], deadline: float) -> T:
        connection = self._connections.take(opening.begin, opening.patience, deadline)
        is_astray = False
        try:
            result = work(connection)
            done = connection.execute("COMMIT").statusmessage
            if done != "COMMIT":  # a statement has failed, and `work` has hidden it
                raise psycopg.InternalError(f"nothing was committed: {done}")
        except BaseException as error:
            is_astray = isinstance(error, ReadOnlySqlTransaction)  # it was the primary once
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise
        finally:
            self._connections.give_back(connection, is_astray=is_astray)
        return result


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"the database cannot be used: {said(error)}")


def said(error: Exception) -> str:
    """What psycopg says names host, port, user and database, and no password. libpq begins a line
    with a tab where its next sentence begins, such as "Is the server running on that host?"."""
    sentences = str(error).replace("\n\t", ". ")
    return " ".join(sentences.split()) or type(error).__name__


def _reached(url: str, wait: float) -> bool:
    """Wait until the server takes a connection, at most `wait` seconds. Returns whether a pooler is
    between."""
    try:
        conninfo_to_dict(url)
    except psycopg.Error:  # which would repeat parts of the URL, and so of a password
        raise StoreUnavailable(MALFORMED) from None
    deadline, told = time.monotonic() + wait, False
    while True:
        try:
            with connect(url) as link:
                return link.is_pooled
        except psycopg.Error as error:
            if time.monotonic() >= deadline:
                raise StoreUnreachable(f"cannot open the database: {said(error)}") from error
            if not told:
                _LOG.warning("waiting for the database, at most %g s: %s", wait, said(error))
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
