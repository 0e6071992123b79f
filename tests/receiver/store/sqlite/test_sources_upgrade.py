"""A database of the time when a report was known by what it says alone, upgraded with its data.

What was stored then is recognised as before when its source repeats it, and is news from any other
source.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import count

import pytest

from receiver.store.base import Counts
from receiver.store.callback import Callback
from receiver.store.instants import MICROS_PER_DAY, micros
from receiver.store.recipient import Recipient
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.erasure import erase_traces, find_traces
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.contracts.report_store import DAY, NOON, NOT_A_REPORT, a_callback, an_sms, ids

BEFORE = [step for step in MIGRATIONS if step.number < 5]

REPEATED, NEWS = Counts(0, 1, 0), Counts(1, 0, 0)


class Earlier:
    """Writes as the earlier program did."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = count(1)

    async def stored(self, callback: Callback) -> None:
        rows = [(next(self._ids), entry) for entry in callback.verdict.entries]
        at = micros(callback.received_at)

        def store(connection: sqlite3.Connection) -> None:
            for number, entry in rows:
                said = (entry.generation, entry.final, entry.status_group)
                known_by = (entry.message_key, entry.identity)
                connection.execute(
                    "INSERT INTO report (id, received_at, source, format, generation, final,"
                    " status_group, message_key, identity, item)"
                    " VALUES (?, ?, ?, 'json', ?, ?, ?, ?, ?, ?)",
                    (number, at, callback.source, *said, *known_by, entry.item.decode()),
                )
                connection.execute(
                    "INSERT INTO report_key (day, message_key, identity, report)"
                    " VALUES (?, ?, ?, ?)",
                    (at // MICROS_PER_DAY, *known_by, number),
                )

        await self._database.write(store)

    async def followed(self) -> None:
        """The read model has come up to the last report, as far as it tells which sources there
        were. (Today's follower knows a later schema.)"""

        def follow(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO total (span, start, source, outcome, reports, first_report,"
                " last_report) SELECT 3600, 0, source, 1, count(*), min(id), max(id) FROM report"
                " GROUP BY source"
            )
            connection.execute("UPDATE followed SET report = (SELECT max(id) FROM report)")

        await self._database.write(follow)

    async def purged(self, *reports: int) -> None:
        """Retention took them; their keys stay for the repeats of the last days."""
        gone = [(report,) for report in reports]
        await self._database.write(lambda c: c.executemany("DELETE FROM report WHERE id = ?", gone))


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    database = await Database.open(":memory:")
    await database.migrate(BEFORE)
    yield database
    await database.close()


async def posted(store: SqliteStore, *sources: str, at: datetime = NOON + DAY) -> Sequence[Counts]:
    """m1's report, as each of these sources posts it."""
    return await store.add([a_callback(an_sms("m1"), at=at, source=name) for name in sources])


async def test_what_was_stored_is_known_by_its_source(database: Database) -> None:
    """Reports of before are found under their sources, repeats are counted on them, and each other
    source has its own from now on."""
    earlier = Earlier(database)
    enroute = an_sms("m1", "PENDING_ENROUTE")
    for item, source, at in (
        (an_sms("m1"), "alpha", NOON),
        (enroute, "beta", NOON + DAY),
        (an_sms("m2"), "beta", NOON + DAY),
    ):
        await earlier.stored(a_callback(item, at=at, source=source))

    applied = await database.migrate(MIGRATIONS)

    assert [step.number for step in applied][:1] == [5]
    store = SqliteStore(database)
    assert ids(await store.reports_of("m1", "alpha")) == [1]
    assert ids(await store.reports_of("m1", "beta")) == [2]
    assert ids(await store.newest_of_messages(None, 9)) == [3, 2, 1]
    assert await posted(store, "alpha", "beta", "beta") == [REPEATED, NEWS, REPEATED]
    again = a_callback(enroute, at=NOON + 2 * DAY, source="beta")
    assert await store.add([again]) == [REPEATED]
    assert [each.duplicates for each in await store.reports_of("m1", "beta")] == [1, 1]
    keys = await database.read(
        lambda c: c.execute("SELECT source, report FROM report_key ORDER BY report").fetchall()
    )
    assert keys == [("alpha", 1), ("beta", 2), ("beta", 3), ("beta", 4)]


async def test_what_had_gone_is_known_to_all(database: Database) -> None:
    """Of a report that retention had taken nobody knows the source any more: whoever posts it is
    taken to repeat it, as before, until its days are over. Other reports are not concerned."""
    earlier = Earlier(database)
    await earlier.stored(a_callback(an_sms("m1"), an_sms("m2"), source="alpha"))
    await earlier.stored(a_callback(an_sms("m3"), source="beta"))
    await earlier.purged(1)

    await database.migrate(MIGRATIONS)

    store = SqliteStore(database)
    assert await posted(store, "alpha", "beta") == [REPEATED, REPEATED]
    m2 = a_callback(an_sms("m2"), at=NOON + DAY, source="beta")
    assert await store.add([m2]) == [NEWS]
    assert await posted(store, "beta", at=NOON + 5 * DAY) == [NEWS]


@pytest.mark.parametrize("followed", [False, True])
async def test_what_had_gone_of_the_only_source(database: Database, followed: bool) -> None:
    """Where there has only been one source, each key is its, also that of a report that has gone,
    and however far the read model has come."""
    earlier = Earlier(database)
    await earlier.stored(a_callback(an_sms("m1"), an_sms("m2"), source="alpha"))
    if followed:
        await earlier.followed()
    await earlier.purged(1)

    await database.migrate(MIGRATIONS)

    assert await posted(SqliteStore(database), "alpha", "beta") == [REPEATED, NEWS]


async def test_what_had_gone_of_a_source_that_is_no_more(database: Database) -> None:
    """A source of which no report is left counts too, because the totals remember it."""
    earlier = Earlier(database)
    await earlier.stored(a_callback(an_sms("m1"), source="beta"))
    await earlier.stored(a_callback(an_sms("m2"), source="alpha"))
    await earlier.followed()
    await earlier.purged(1)

    await database.migrate(MIGRATIONS)

    assert await posted(SqliteStore(database), "beta") == [REPEATED]


async def test_quarantine_of_before_is_read_again(database: Database) -> None:
    """An entry of before is compared with the keys of before: of its own source, or of nobody's."""
    earlier = Earlier(database)
    await earlier.stored(a_callback(an_sms("m1"), an_sms("m2"), source="alpha"))
    await earlier.stored(a_callback(an_sms("m3"), source="beta"))
    await earlier.purged(2)
    await database.migrate(MIGRATIONS)
    store = SqliteStore(database)
    await store.add([a_callback(NOT_A_REPORT, b"1", source="beta")])

    later = NOON + 30 * DAY
    for entry, message, counts in ((1, "m1", NEWS), (2, "m2", REPEATED)):
        read = a_callback(an_sms(message), at=later, source="beta")
        assert await store.resolve(entry, read) == counts


async def test_erased_after_the_upgrade(database: Database) -> None:
    """An erasure takes the keys of before, too."""
    await Earlier(database).stored(a_callback(an_sms("m1"), an_sms("m2"), source="alpha"))
    await database.migrate(MIGRATIONS)

    traces = await find_traces(database, Recipient(message_id="m1"))
    touched = await database.write(lambda c: erase_traces(c, traces))

    assert (touched["report"], touched["report_key"]) == (1, 1)
    assert await posted(SqliteStore(database), "alpha") == [NEWS]
