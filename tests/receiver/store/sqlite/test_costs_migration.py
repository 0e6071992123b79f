"""Costs count every part of a message. What was added up at the price of one part is put right.

An installation that was upgraded had billed its long SMS at a third or a fourth of what they cost,
and its totals would have gone on saying so for every hour before the upgrade.
"""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from decimal import Decimal

import pytest

from receiver.store.base import TotalsQuery
from receiver.store.instants import micros
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import Follower
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from receiver.store.tally import DAY, HOUR, MINUTE
from tests.contracts.report_store import NOON, a_callback, an_sms

HOURS = [TotalsQuery(span, 0, 2**40) for span in (HOUR, DAY)]
ALL = [TotalsQuery(MINUTE, 0, 2**40), *HOURS]
NETWORK = "22801 41"


def three_at_the_price_of_one_part(connection: sqlite3.Connection) -> None:
    """Reports of messages of 3, 1 and 2 parts, as the program before added them up; the last is not
    followed. The sums also hold a report that retention has removed."""
    for number, parts in ((1, 3), (2, 1), (3, 2)):
        connection.execute(
            "INSERT INTO report (id, received_at, source, format, generation, final, status_group,"
            " duplicates, message_key, identity, item)"
            " VALUES (?, ?, 'default', 'json', 'v2', 1, 3, 0, ?, ?, ?)",
            (number, micros(NOON), number, number, an_item(parts)),
        )
    connection.execute("UPDATE followed SET report = 2, reports = 2")
    start = int(NOON.timestamp())
    for span in (MINUTE, HOUR, DAY):
        connection.execute(
            "INSERT INTO price_total VALUES (?, ?, 'default', 1, 'EUR', 3, '0.3')",
            (span, start // span * span),
        )


def their_parts(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO part VALUES (1, 'network', ?)", (NETWORK,))
    for span in (HOUR, DAY):
        connection.execute(
            "INSERT INTO part_price_total"
            " VALUES ('network', ?, ?, 1, 'default', 1, 'EUR', 3, '0.3')",
            (span, int(NOON.timestamp()) // span * span),
        )


def an_item(parts: int) -> str:
    price = '"price":{"pricePerMessage":0.1,"currency":"EUR"}'
    return f'{{"to":"41793026727","smsCount":{parts},"mccMnc":"22801",{price}}}'


@pytest.mark.parametrize("schema", [9, 10])
async def test_costs_of_before_are_put_right(schema: int) -> None:
    """From a schema with totals by operator, and from one without. Reports are counted once, the
    two more parts of the first one are added, and totals say how many reports wait for that."""
    database = await Database.open(":memory:")
    await database.migrate([step for step in MIGRATIONS if step.number < schema])
    await database.write(three_at_the_price_of_one_part)
    if schema == 10:
        await database.write(their_parts)

    await database.migrate(MIGRATIONS)
    store, follower = SqliteStore(database), Follower(database)
    assert (await store.totals(HOURS[0])).lag == 2
    assert (await store.part_totals(HOURS[0], "network")).lag == 2
    assert await follower.turn(1) == 1
    await store.add([a_callback(an_sms("new", smsCount=2), at=NOON + timedelta(days=1))])
    await follower.catch_up()

    for query in ALL:
        old, _ = (await store.totals(query)).prices
        assert (old.reports, old.sum) == (4, Decimal("0.7"))
    for query in HOURS:
        prices = (await store.part_totals(query, "network")).prices
        of_network = next(each for each in prices if each.value == NETWORK)
        removed = 1 if schema == 10 else 0
        assert (of_network.reports, of_network.sum) == (
            3 + removed,
            Decimal("0.6") + removed * Decimal("0.1"),
        )
    assert await follower.turn() == 0
    assert (await store.totals(HOURS[0])).lag == 0
    await database.close()
