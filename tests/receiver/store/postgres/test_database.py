"""What becomes of a transaction when the server, the network or another transaction is in its way.

A transaction that the database breaks off for another one is run again from its beginning. Nothing
waits for ever: not for a connection, not for a thread, not for an answer that does not come.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from receiver.store.base import StoreUnavailable
from receiver.store.postgres import database as module
from receiver.store.postgres.database import Connection, Database, Opening, row_of
from tests.postgres import EmptyDatabase, in_autocommit
from tests.proxy import Proxy, proxy

SHORT = 0.3
"""Seconds that are waited for in these tests where it is 9 in production."""


@pytest.fixture
async def database(empty_postgres: EmptyDatabase) -> AsyncIterator[Database]:
    """With a table `note`, in which transactions of a test leave traces."""
    with in_autocommit(empty_postgres.url) as connection:
        connection.execute("CREATE TABLE note (text text)")
        new = Database(empty_postgres.url)
        try:
            yield new
        finally:
            await new.close()
            connection.execute("DROP TABLE note")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", SHORT)
    for name in ("_WRITE", "_READ", "_PROBE"):
        opening: Opening = getattr(module, name)
        monkeypatch.setattr(module, name, opening._replace(patience=SHORT))


@asynccontextmanager
async def a_network(url: str) -> AsyncIterator[tuple[Proxy, Database]]:
    """A network, and the database as it is behind it."""
    there = psycopg.conninfo.conninfo_to_dict(url)
    async with proxy(f"{there['host']}/.s.PGSQL.5432") as link:
        far = Database(f"{link.url(str(there['dbname']))}?connect_timeout=2")
        try:
            yield link, far
        finally:
            await far.close()


def noting(text: str) -> Callable[[Connection], None]:
    return lambda c: c.execute("INSERT INTO note VALUES (%s)", (text,)).close()


def notes(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT text FROM note ORDER BY text")]


# --- broken off for another transaction ----------------------------------------------------------


async def test_a_deadlock(database: Database, empty_postgres: EmptyDatabase) -> None:
    """Two processes lock two things crosswise. PostgreSQL breaks one of them off, which is run
    again; both have done their work in the end, once."""
    other = Database(empty_postgres.url)
    met, tries = threading.Barrier(2), []

    def crosswise(name: str, first: int, second: int) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            tries.append(name)
            noting(name)(connection)
            connection.execute("SET LOCAL deadlock_timeout = '10ms'")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (first,))
            if tries.count(name) == 1:
                met.wait()
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (second,))

        return work

    await asyncio.gather(database.write(crosswise("a", 1, 2)), other.write(crosswise("b", 2, 1)))
    await other.close()

    assert len(tries) == 3
    assert await database.read(notes) == ["a", "b"]


@pytest.mark.parametrize("failures", [1, module.TRIES])
async def test_a_serialisation_failure(database: Database, failures: int) -> None:
    """As a standby tells one, or a failover: it is run again, a few times."""
    tries = 0

    def work(connection: Connection) -> int:
        nonlocal tries
        tries += 1
        noting(f"try {tries}")(connection)
        if tries <= failures:
            connection.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")
        return tries

    if failures < module.TRIES:
        assert await database.write(work) == failures + 1
        assert await database.read(notes) == [f"try {failures + 1}"]
    else:
        with pytest.raises(StoreUnavailable, match="the database cannot be used"):
            await database.write(work)
        assert tries == module.TRIES
        assert await database.read(notes) == []


async def test_a_hidden_failure_is_none_that_was_committed(database: Database) -> None:
    """PostgreSQL answers a COMMIT after a failed statement with success, and with "ROLLBACK". A
    callback would have been answered 200 for it."""

    def work(connection: Connection) -> None:
        noting("lost")(connection)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")

    with pytest.raises(StoreUnavailable, match="nothing was committed: ROLLBACK"):
        await database.write(work)
    assert await database.read(notes) == []


# --- all in use ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
async def test_all_connections_are_in_use(database: Database) -> None:
    """Who comes then waits, and is told after a while; who comes later is served again."""
    busy, go_on = threading.Semaphore(0), threading.Event()

    def hold(_: Connection) -> None:
        busy.release()
        go_on.wait()

    holding = [asyncio.create_task(database.write(hold)) for _ in range(module.CONNECTIONS)]
    for _ in holding:
        await asyncio.to_thread(busy.acquire)
    waiting = asyncio.create_task(database.write(noting("too late")))
    with pytest.raises(StoreUnavailable, match=f"all 8 connections have been in use for {SHORT}"):
        await waiting
    served = asyncio.create_task(database.write(noting("served")))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*holding, served)

    assert await database.read(notes) == ["served"]


# --- the network ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
async def test_a_silent_network(database: Database, empty_postgres: EmptyDatabase) -> None:
    """An answer that does not come is not waited for for ever, be it of a statement or of a new
    connection. When the network is back, so is the database."""
    async with a_network(empty_postgres.url) as (link, far):
        await far.write(noting("before"))

        def cut(connection: Connection) -> None:
            asyncio.run_coroutine_threadsafe(stalled(), loop).result()
            noting("while it is silent")(connection)

        async def stalled() -> None:
            link.stall()

        loop = asyncio.get_running_loop()
        with pytest.raises(StoreUnavailable, match="the server has not answered for"):
            await far.write(cut)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="timeout"):
            await far.write(noting("while no connection can be made"))
        assert time.monotonic() - began < 8  # connect_timeout, on a slow machine
        link.go_on()
        await far.write(noting("after"))

    assert await database.read(notes) == ["after", "before"]


async def test_lost_packets_cost_one_connection(
    database: Database, empty_postgres: EmptyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a firewall that has forgotten its connections, idle ones are silent and new ones work.
    The first transaction finds that out and is done all the same; the others do not wait."""
    monkeypatch.setattr(module, "WAIT_SECONDS", 2.0)
    async with a_network(empty_postgres.url) as (link, far):
        met = threading.Barrier(3)

        def meet(_: Connection) -> None:
            met.wait()

        await asyncio.gather(*(far.write(meet) for _ in range(3)))
        assert link.accepted == 3
        link.drop()
        await far.write(noting("first"))
        await asyncio.gather(*(far.write(noting(name)) for name in ("second", "third")))

        assert link.accepted <= 3 + 3
    assert await database.read(notes) == ["first", "second", "third"]


async def test_connections_that_broke_while_idle(
    database: Database, empty_postgres: EmptyDatabase
) -> None:
    """As all do when the server is restarted: nobody is told."""
    async with a_network(empty_postgres.url) as (link, far):
        await far.write(noting("a"))
        link.reset()
        await far.write(noting("b"))
        assert link.accepted == 2
    assert await database.read(notes) == ["a", "b"]


async def test_a_primary_that_is_none_any_more(database: Database) -> None:
    """After a failover a connection to the old primary may live, and refuse each write. It is given
    up, so that the next one is to whatever the URL leads to now."""

    def pid(connection: Connection) -> Any:
        return row_of(connection.execute("SELECT pg_backend_pid()"))[0]

    def refused(connection: Connection) -> None:
        connection.execute("SET TRANSACTION READ ONLY")
        noting("lost")(connection)

    before = await database.read(pid)
    with pytest.raises(StoreUnavailable, match="read-only"):
        await database.write(refused)
    assert await database.read(pid) != before
