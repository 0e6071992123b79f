"""Partitions: made ahead, one begun each day, and dropped as a whole."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import psycopg
import pytest

from dispatcher.queue.postgres.schema import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.dlr.json_format import encode_body
from receiver.store.base import Counts, StoreUnavailable
from receiver.store.postgres import partitions
from receiver.store.postgres import retention as purging
from receiver.store.postgres.database import Connection
from receiver.store.postgres.partitions import exists, first_of, keep_partitions
from receiver.store.postgres.rows import ids_of
from receiver.store.postgres.schema import MIGRATIONS as STORE_MIGRATIONS
from tests.contracts.postgres_backend import PostgresBackend
from tests.contracts.report_store import (
    DAY,
    NOON,
    PRETTY,
    StillNeeded,
    a_callback,
    an_sms,
    everything,
    ids,
    message_ids,
    received,
)
from tests.contracts.store_retention import at_once, check_finds_only
from tests.postgres import EmptyDatabase, a_database, in_autocommit

LATER = NOON + 100 * DAY
HOUR = timedelta(hours=1)
MIDNIGHT = NOON.replace(hour=0)


@pytest.fixture
def empty(postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmptyDatabase]:
    """A database of this test alone, because its tables change."""
    monkeypatch.setattr(partitions, "FEWEST", 0)
    with a_database(postgres_server) as url:
        yield EmptyDatabase(url, [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])


@pytest.fixture
async def backend(empty: EmptyDatabase) -> AsyncIterator[PostgresBackend]:
    async with AsyncExitStack() as stack:
        yield await PostgresBackend.of(empty, stack)


async def tables(backend: PostgresBackend, name: str) -> list[str]:
    """The partitions of a table, by what comes after its name."""
    statement = (
        "SELECT substr(inhrelid::regclass::text, length(%(table)s) + 2) FROM pg_inherits"
        " WHERE inhparent = %(table)s::regclass ORDER BY 1"
    )
    return await backend.database.read(
        lambda c: [row[0] for row in c.execute(statement, {"table": name})]
    )


async def three_days(backend: PostgresBackend) -> None:
    """Three messages on each of three days, and one that came in a body of its own."""
    for day in range(3):
        await keep_partitions(backend.database, NOON + day * DAY)
        names = [f"m{day}-{n}" for n in range(3)]
        await backend.store.add([a_callback(*map(an_sms, names), at=NOON + day * DAY)])
        await backend.store.add([received(encode_body([PRETTY]))])
    await keep_partitions(backend.database, NOON + 3 * DAY)
    await backend.store.add([a_callback(an_sms("today"), at=NOON + 3 * DAY)])
    await backend.read_model.catch_up()


async def test_each_day_begins_a_partition(backend: PostgresBackend) -> None:
    """An id tells on which day its report came; keys lie by their day; the next partitions are
    there before somebody needs them."""
    await three_days(backend)

    days = [each.received_at.date() for each in await everything(backend.store)]
    numbers = [number // first_of(1) for number in ids(await everything(backend.store))]
    assert [len(list(group)) for _, group in groupby(numbers)] == [4, 3, 3, 1]
    assert numbers == sorted(numbers)
    assert len(set(days)) == 4
    for table in ("report", "received_body", "search_key"):
        assert await tables(backend, table) == [str(n) for n in range(7)]
    today = (NOON + 3 * DAY - NOON.replace(year=1970, month=1, day=1, hour=0)).days
    keys = await tables(backend, "report_key")
    assert keys == [*(str(today - 4 + n) for n in range(8)), "other"]
    left = await backend.database.read(
        lambda c: ids_of(c, "SELECT report FROM ONLY report_key_other", ())
    )
    assert left == []


async def test_the_same_day_begins_once(backend: PostgresBackend) -> None:
    """However often somebody looks, and however many do at once."""
    await three_days(backend)
    before = await backend.store.newest_report()

    other = await backend.another()
    for which in (backend, other, backend):
        await keep_partitions(which.database, NOON + 3 * DAY)

    await backend.store.add([a_callback(an_sms("next"), at=NOON + 3 * DAY)])
    assert await backend.store.newest_report() == before + 1


async def test_small_days_share_a_partition(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation with few reports a day has not a table for each."""
    monkeypatch.setattr(partitions, "FEWEST", 100)

    await three_days(backend)

    assert {number // first_of(1) for number in ids(await everything(backend.store))} == {0}
    assert await tables(backend, "report") == ["0", "1", "2", "3"]


async def test_readers_go_on_over_the_end_of_a_day(backend: PostgresBackend) -> None:
    """A reader that has read all of a day gets the first report of the next one."""
    await three_days(backend)
    (*_, last, today) = ids(await everything(backend.store))

    assert message_ids(await backend.store.reports_after(last, 9)) == ["today"]
    assert await backend.store.newest_report() == today
    found = await backend.store.newest_of_messages(None, 100)
    assert message_ids(found)[:2] == ["today", "m2-2"]


async def test_keys_of_a_day_that_had_no_partition(backend: PostgresBackend) -> None:
    """Nobody made partitions for a while, or a clock was ahead: keys that lie with the others are
    moved when the day gets a partition, and repeats are still known."""
    await backend.store.add([a_callback(an_sms("early"), at=NOON + 30 * DAY)])
    await keep_partitions(backend.database, NOON + 30 * DAY)

    repeat = a_callback(an_sms("early"), at=NOON + 30 * DAY)
    assert await backend.store.add([repeat]) == [Counts(0, 1, 0)]
    left = await backend.database.read(
        lambda c: ids_of(c, "SELECT report FROM ONLY report_key_other", ())
    )
    assert left == []


async def test_what_is_too_old_is_dropped_whole(backend: PostgresBackend) -> None:
    """Partitions go with their reports, bodies, search keys and keys; what is left is found, and
    counted, as before."""
    await three_days(backend)
    retention = backend.retention()

    removed = await retention.purge_reports(
        now=LATER, before=MIDNIGHT + 2 * DAY, most=0, pause=at_once
    )

    assert removed == {"report": 7, "report_key": 7}
    for table in ("report", "received_body", "search_key"):
        assert await tables(backend, table) == [str(n) for n in range(2, 7)]
    await check_finds_only(backend.store, ["m2-0", "m2-1", "m2-2", "today"])
    assert await retention.count_reports(now=LATER, before=None, most=3) == {
        "report": 1,
        "report_key": 0,
    }


async def test_two_who_purge_at_once_count_it_once(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have counted the reports of a partition. The second dropped nothing, subtracted them
    again, and ever after fewer reports were known than there are."""
    await three_days(backend)
    retention, drop, loop = backend.retention(), purging._drop, asyncio.get_running_loop()
    asked: dict[str, Any] = {"now": LATER, "before": MIDNIGHT + 2 * DAY, "most": 0}
    others: list[Counter[str]] = []

    def slow(connection: Connection, *, number: int, reports: int) -> bool:
        """The other one has dropped it between the count and this."""
        if not others:
            others.append(Counter())
            other = retention.purge_reports(**asked, pause=at_once)
            others[0].update(asyncio.run_coroutine_threadsafe(other, loop).result(30))
        return drop(connection, number=number, reports=reports)

    monkeypatch.setattr(purging, "_drop", slow)
    removed = await retention.purge_reports(**asked, pause=at_once)

    assert removed["report"] + others[0]["report"] == 7
    left = await retention.count_reports(now=LATER, before=None, most=3)
    assert left["report"] == 1


@pytest.mark.parametrize("needed", [StillNeeded(carried=frozenset({2})), StillNeeded(0)])
async def test_what_is_needed_keeps_its_partition(
    backend: PostgresBackend, needed: StillNeeded
) -> None:
    """Of a partition in which one report is still needed, the others go row by row."""
    await three_days(backend)

    removed = await backend.retention(needed).purge_reports(
        now=LATER, before=MIDNIGHT + DAY, most=0, pause=at_once
    )

    assert removed["report"] == (3 if needed.carried else 0)
    assert "0" in await tables(backend, "report")


async def test_one_young_report_keeps_its_partition(backend: PostgresBackend) -> None:
    """Instants decide, and not ids: a report that was younger than its day says stays."""
    await keep_partitions(backend.database, NOON)
    await backend.store.add([a_callback(an_sms("young"), at=LATER)])
    await three_days(backend)

    await backend.retention().purge_reports(
        now=LATER, before=MIDNIGHT + 2 * DAY, most=0, pause=at_once
    )

    assert await tables(backend, "report") == ["0", *(str(n) for n in range(2, 7))]
    await check_finds_only(backend.store, ["young", "m2-0", "m2-1", "m2-2", "today"])


async def test_the_reports_of_a_day_go_together(backend: PostgresBackend) -> None:
    """Retention looks every minute, and each time some reports of a day are too old. Deleted one by
    one, a day's reports would take as long to go as they took to come. They wait for the youngest
    of their day, and the partition is dropped; reports of other partitions do not wait."""
    await keep_partitions(backend.database, MIDNIGHT)
    hours = (1, 12, 23)
    early, noon, late = (a_callback(an_sms(f"{n}h"), at=MIDNIGHT + n * HOUR) for n in hours)
    await backend.store.add([early, noon, late])
    await keep_partitions(backend.database, MIDNIGHT + DAY)
    await backend.store.add([a_callback(an_sms("next day"), at=MIDNIGHT + DAY)])
    await backend.store.add([a_callback(an_sms("wrong clock"), at=MIDNIGHT)])
    await backend.read_model.catch_up()

    async def purged(before: datetime) -> list[str | None]:
        """The messages that go at this time; those that would were counted before."""
        retention, there = backend.retention(), message_ids(await everything(backend.store))
        asked: dict[str, Any] = {"now": LATER, "before": before, "most": 0}
        counted = await retention.count_reports(**asked)
        removed = await retention.purge_reports(**asked, pause=at_once)
        left = message_ids(await everything(backend.store))
        gone = [each for each in there if each not in left]
        assert len(gone) == removed["report"] == counted["report"]
        return gone

    assert await purged(MIDNIGHT + 13 * HOUR) == ["wrong clock"]
    assert await purged(MIDNIGHT + 22 * HOUR) == []
    assert await purged(MIDNIGHT + 24 * HOUR) == ["1h", "12h", "23h"]
    assert "0" not in await tables(backend, "report")


async def three_days_in_one(backend: PostgresBackend) -> None:
    await keep_partitions(backend.database, NOON)
    await backend.store.add([a_callback(an_sms(f"m{n}"), at=NOON + n * DAY) for n in range(3)])
    await keep_partitions(backend.database, NOON + 3 * DAY)
    await backend.store.add([a_callback(an_sms("today"), at=NOON + 3 * DAY)])
    await backend.read_model.catch_up()


async def test_reports_of_several_days_go_one_by_one(backend: PostgresBackend) -> None:
    """A partition goes on for days where few reports come, or where they came from a SQLite file:
    they would have to wait too long for their youngest."""
    await three_days_in_one(backend)
    retention = backend.retention()

    removed = await retention.purge_reports(now=LATER, before=MIDNIGHT + DAY, most=0, pause=at_once)

    assert removed["report"] == 1
    assert "0" in await tables(backend, "report")


async def test_a_limit_by_number_does_not_wait(backend: PostgresBackend) -> None:
    """Who says how many reports may stay has no room for more."""
    await three_days(backend)

    removed = await backend.retention().purge_reports(
        now=LATER, before=MIDNIGHT, most=9, pause=at_once
    )

    assert removed["report"] == 2


async def test_a_reader_keeps_nobody_waiting(backend: PostgresBackend) -> None:
    """Somebody reads the table for long: its partition goes the next time, and no report is deleted
    meanwhile. Making a partition does not wait for a reader at all."""
    await three_days(backend)
    other = await backend.another()

    async with other.reading("report"):
        removed = await backend.retention().purge_reports(
            now=LATER, before=MIDNIGHT + DAY, most=0, pause=at_once
        )
        await keep_partitions(backend.database, NOON + 4 * DAY)

    assert removed["report"] == 0
    assert await tables(backend, "report") == [str(n) for n in range(8)]
    await backend.retention().purge_reports(now=LATER, before=MIDNIGHT + DAY, most=0, pause=at_once)
    assert await tables(backend, "report") == [str(n) for n in range(1, 8)]


async def test_a_locked_table_is_told(backend: PostgresBackend) -> None:
    """Whoever has locked a table for long is not waited for: it is tried again the next time."""
    other = await backend.another()
    async with other.reading("report_key", lock="ACCESS EXCLUSIVE"):
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await keep_partitions(backend.database, NOON)

    await keep_partitions(backend.database, NOON)


def test_a_partition_that_another_process_has_made_meanwhile_is_seen(
    empty_postgres: EmptyDatabase,
) -> None:
    """Processes that start together look for a partition, and then wait for each other. One that
    had looked remembered that there was none, and failed because there was one."""
    with (
        psycopg.connect(empty_postgres.url) as waiting,
        in_autocommit(empty_postgres.url) as making,
    ):
        assert not exists(waiting, "made_meanwhile")
        making.execute("CREATE TABLE made_meanwhile ()")
        try:
            assert exists(waiting, "made_meanwhile")
        finally:
            waiting.rollback()
            making.execute("DROP TABLE made_meanwhile")
