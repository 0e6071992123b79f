"""The write-ahead log is brought into the file beside the commits, so that none of them has to."""

from __future__ import annotations

import asyncio
from pathlib import Path

from receiver.store.base import StoreUnavailable
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.log_carrier import AFTER_CHANGES, LogCarrier
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import a_callback, an_sms


async def test_many_changes_come_into_the_file(tmp_path: Path) -> None:
    """SQLite itself would bring nothing over before the log has 4,000 pages."""
    path = tmp_path / "dlr.db"
    database = await Database.open(path)
    await database.migrate(MIGRATIONS)
    await database.checkpoint()
    store, before = SqliteStore(database), path.stat().st_size

    await store.add([a_callback(*(an_sms(f"few{n}") for n in range(10)))])
    await _done(database._carrier)
    assert path.stat().st_size == before

    await store.add([a_callback(*(an_sms(f"many{n}") for n in range(AFTER_CHANGES)))])
    await _done(database._carrier)
    assert path.stat().st_size > before + 100 * AFTER_CHANGES

    await database.close()


async def test_the_log_is_emptied_though_it_is_just_being_brought_over(tmp_path: Path) -> None:
    """SQLite refuses a second one that brings it over, and does not wait for the first."""
    database = await Database.open(tmp_path / "dlr.db")
    await database.migrate(MIGRATIONS)
    store = SqliteStore(database)

    emptied = []
    for turn in range(5):
        many = (an_sms(f"{turn} {n}") for n in range(AFTER_CHANGES))
        await store.add([a_callback(*many)])
        emptied.append(await database.checkpoint())

    assert emptied == [True] * 5
    assert (tmp_path / "dlr.db-wal").stat().st_size == 0
    await database.close()


async def _done(carrier: LogCarrier | None) -> None:
    """Wait for what is under way."""
    assert carrier is not None
    async with carrier.stopped():
        pass


class Bringing:
    """Stands for the connection that brings it over."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> None:
        self.begun += 1
        await self.may_end.wait()
        if self.error is not None:
            raise self.error


async def _carry_on(carrier: LogCarrier, changes: int) -> None:
    carrier.changed(changes)
    carrier.carry_on()
    await asyncio.sleep(0)


async def test_one_after_the_other() -> None:
    bringing = Bringing()
    carrier = LogCarrier(bringing)

    await _carry_on(carrier, AFTER_CHANGES - 1)
    assert bringing.begun == 0
    await _carry_on(carrier, 1)
    await _carry_on(carrier, AFTER_CHANGES)
    assert bringing.begun == 1

    bringing.may_end.set()
    await _done(carrier)
    await _carry_on(carrier, 0)  # what has come meanwhile
    assert bringing.begun == 2
    await carrier.end()
    await _carry_on(carrier, AFTER_CHANGES)  # of a write that ends while the database is closed
    assert bringing.begun == 2


async def test_a_database_that_is_away_is_asked_again() -> None:
    bringing = Bringing()
    bringing.may_end.set()
    bringing.error = StoreUnavailable("away")
    carrier = LogCarrier(bringing)

    for _ in range(2):
        await _carry_on(carrier, AFTER_CHANGES)
        await _done(carrier)

    assert bringing.begun == 2
