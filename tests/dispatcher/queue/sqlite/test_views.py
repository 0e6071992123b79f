"""The SQL views come to databases that are there already."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from dispatcher.queue.sqlite.queue import SqliteQueue
from dispatcher.storage import MIGRATIONS, new_id, of_sqlite
from receiver.store.sqlite.database import Database
from tests.contracts.report_store import a_callback, an_sms


async def test_an_older_database_gets_them(tmp_path: Path) -> None:
    """A database of the schema before, with reports in it, has the views after the upgrade."""
    path = tmp_path / "dlr.db"
    database = await Database.open(path)
    await database.migrate([s for s in MIGRATIONS if s.part != "dispatcher.queue" or s.number < 20])
    opened = of_sqlite(database, await SqliteQueue.open(database, lambda: "db", new_id))
    await opened.store.add([a_callback(an_sms("old"))])
    await database.migrate(MIGRATIONS)
    await database.close()

    with closing(sqlite3.connect(path)) as connection:
        ((found,),) = connection.execute("SELECT message_id FROM dlr_reports")
    assert found == "old"
