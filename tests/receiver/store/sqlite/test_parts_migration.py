"""Totals got parts. Reports that were added up before are caught up with, once."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

from receiver.store.base import TotalsQuery
from receiver.store.instants import micros
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import Follower
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from receiver.store.tally import DAY
from tests.contracts.report_store import NOON, a_callback, an_sms

BEFORE = [step for step in MIGRATIONS if step.number < 9]
ALL = TotalsQuery(DAY, 0, 2**40)


def five_that_were_followed(connection: sqlite3.Connection) -> None:
    """Of six reports one has been erased, and the last one is not followed yet."""
    for number in range(1, 7):
        connection.execute(
            "INSERT INTO report (id, received_at, source, format, generation, final, status_group,"
            " duplicates, message_key, identity, item)"
            " VALUES (?, ?, 'default', 'json', 'v2', 1, 3, 0, ?, ?, ?)",
            (number, micros(NOON), number, number, '{"to":"41793026727","mccMnc":"22801"}'),
        )
    connection.execute("UPDATE followed SET report = 5, reports = 5")
    connection.execute("DELETE FROM report WHERE id = 3")


async def networks(store: SqliteStore) -> tuple[dict[str | None, int], int]:
    found = await store.part_totals(ALL, "network")
    return {each.value: each.reports for each in found.outcomes}, found.lag


async def test_reports_of_before_are_counted_by_parts() -> None:
    """Until they are, it is told how many are missing; new reports are counted meanwhile."""
    database = await Database.open(":memory:")
    await database.migrate(BEFORE)
    await database.write(five_that_were_followed)

    await database.migrate(MIGRATIONS)
    store, follower = SqliteStore(database), Follower(database)
    assert await networks(store) == ({"22801 41": 1}, 5)
    assert await follower.turn(2) == 1
    assert await follower.turn(2) == 2
    await store.add([a_callback(an_sms("new"), at=NOON + timedelta(days=1))])
    await follower.catch_up()

    counts, lag = await networks(store)
    assert (counts["22801 41"], lag) == (5, 0)
    assert await follower.turn() == 0
    await database.close()
