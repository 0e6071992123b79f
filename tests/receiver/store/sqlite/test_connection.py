"""Two threads need the interpreter: the event loop and the thread of a connection.

A loop that goes on beside a short function only keeps it from ending. So it may stand still for
one, but not for the disk, not for another process, and not for long.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event

import pytest

from receiver.store.sqlite.connection import Connection

PATIENCE = 30.0  # seconds, for what would never come


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Connection]:
    opened = await Connection.open(tmp_path / "dlr.db", busy_seconds=1)
    yield opened
    await opened.close()


async def test_the_loop_stands_still_until_it_is_released(connection: Connection) -> None:
    went_on = Event()

    def work(_: sqlite3.Connection) -> tuple[bool, bool]:
        before = went_on.is_set()
        connection.release_loop()
        return before, went_on.wait(PATIENCE)

    asyncio.get_running_loop().call_soon(went_on.set)

    assert await connection.run(work, hold_loop=True) == (False, True)


async def test_the_loop_stands_still_until_the_function_fails(connection: Connection) -> None:
    went_on = Event()

    def work(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError(f"loop went on: {went_on.is_set()}")

    asyncio.get_running_loop().call_soon(went_on.set)

    with pytest.raises(sqlite3.OperationalError, match="loop went on: False"):
        await connection.run(work, hold_loop=True)


async def test_the_loop_goes_on_without_being_released(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has the file, or the disk is slow: nothing else must wait for that."""
    went_on = Event()
    asyncio.get_running_loop().call_soon(went_on.set)

    assert await connection.run(lambda _: went_on.wait(PATIENCE), hold_loop=True)

    # The next one is not waited for at all: it would be in vain again.
    monkeypatch.setattr("receiver.store.sqlite.connection.HOLD_SECONDS", 2 * PATIENCE)
    went_on.clear()
    asyncio.get_running_loop().call_soon(went_on.set)
    assert await connection.run(lambda _: went_on.wait(PATIENCE), hold_loop=True)


async def test_the_loop_does_not_wait_for_what_is_queued(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread is busy with something long, and the loop has to end that."""
    monkeypatch.setattr("receiver.store.sqlite.connection.HOLD_SECONDS", 2 * PATIENCE)
    ended = Event()
    long = asyncio.ensure_future(connection.run(lambda _: ended.wait(PATIENCE)))
    await asyncio.sleep(0)

    brief = asyncio.ensure_future(connection.run(lambda _: "done", hold_loop=True))
    await asyncio.sleep(0)
    ended.set()

    assert await long
    assert await brief == "done"


async def test_a_closed_connection_takes_nothing(tmp_path: Path) -> None:
    connection = await Connection.open(tmp_path / "dlr.db", busy_seconds=1)
    await connection.close()

    with pytest.raises(ValueError, match="closed"):
        await connection.run(lambda _: None)
