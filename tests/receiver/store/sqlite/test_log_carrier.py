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
    assert database._log is not None
    await database._log.end()
    assert path.stat().st_size == before

    await store.add([a_callback(*(an_sms(f"many{n}") for n in range(AFTER_CHANGES)))])
    await database._log.end()
    assert path.stat().st_size > before + 100 * AFTER_CHANGES

    await database.close()


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
    await carrier.end()
    await _carry_on(carrier, 0)  # what has come meanwhile
    assert bringing.begun == 2
    await carrier.end()


async def test_a_database_that_is_away_is_asked_again() -> None:
    bringing = Bringing()
    bringing.may_end.set()
    bringing.error = StoreUnavailable("away")
    carrier = LogCarrier(bringing)

    for _ in range(2):
        await _carry_on(carrier, AFTER_CHANGES)
        await carrier.end()

    assert bringing.begun == 2
