"""Reports are read from SQLite in one value, which has a limit."""

from __future__ import annotations

import sqlite3

from dispatcher.queue.sqlite.outbox import SqliteOutbox
from receiver.store.sqlite.database import Database
from tests.contracts.report_store import a_callback, an_sms, message_ids
from tests.dispatcher.support import a_bench


async def test_more_bytes_than_a_value_can_have() -> None:
    """A thousand reports of a megabyte each are more than SQLite puts into one value. They come
    all the same, fewer at a time."""
    async with a_bench() as bench:
        large = [an_sms(f"m{n}", callbackData="x" * 2000) for n in range(5)]
        await bench.store.add([a_callback(*large)])
        await _limit(bench.database, 5000)
        outbox = SqliteOutbox(bench.database)

        found: list[str | None] = []
        after = 0
        while reports := await outbox.reports_after(after, 100):
            assert len(reports) <= 2
            found += message_ids(reports)
            after = reports[-1].id
        assert found == [f"m{n}" for n in range(5)]


async def _limit(database: Database, length: int) -> None:
    await database.read(lambda c: c.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, length))
