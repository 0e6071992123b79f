"""Each migration of the store, run on a database of the schema before it with data in it."""

from __future__ import annotations

from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import Follower
from receiver.store.sqlite.retention import SqliteRetention
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import NOON, NOTHING_NEEDED, a_callback, an_sms, message_ids
from tests.contracts.sqlite_backend import Needed
from tests.contracts.store_retention import at_once


async def test_0006_counts_what_is_there() -> None:
    """Reports of before are counted once, be they followed or not, and gaps are none of them: a
    limit by number keeps exactly as many as it says."""
    database = await Database.open(":memory:")
    await database.migrate(step for step in MIGRATIONS if step.number < 6)
    for statement in (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9)"
        " INSERT INTO report (id, received_at, source, format, generation, final, message_key,"
        "  identity, item)"
        " SELECT i, i, 'default', 'json', 'v2', 1, i, i, json_object('messageId', 'm' || i) FROM n",
        "DELETE FROM report WHERE id IN (2, 8)",
        "UPDATE followed SET report = 5",
    ):
        await database.write(lambda c, sql=statement: c.execute(sql).close())  # type: ignore[misc]

    await database.migrate(MIGRATIONS)

    retention = SqliteRetention(database, Needed(NOTHING_NEEDED))
    store = SqliteStore(database)
    await Follower(database).catch_up()
    await store.add([a_callback(an_sms("m10"), at=NOON)])
    await Follower(database).catch_up()
    assert await retention.count_reports(now=NOON, before=None, most=8) == {
        "report": 0,
        "report_key": 0,
    }
    removed = await retention.purge_reports(now=NOON, before=None, most=5, pause=at_once)
    assert removed["report"] == 3
    left = message_ids(await store.reports_after(0, 10))
    assert left == ["m5", "m6", "m7", "m9", "m10"]
    await database.close()
