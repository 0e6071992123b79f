"""Retention of dispatches and attempts drops partitions, and deletes few rows one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from dispatcher.queue.postgres import ended
from dispatcher.queue.postgres.schema import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.store.postgres import partitions
from receiver.store.postgres.database import Connection, row_of
from receiver.store.postgres.partitions import keep_partitions
from receiver.store.postgres.rows import ids_of
from receiver.store.postgres.schema import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.removal import Place
from tests.contracts.report_store import DAY, an_sms
from tests.contracts.storage_on_postgres import PostgresStorageBackend, opened
from tests.contracts.storages import a_bench_on
from tests.contracts.store_retention import at_once
from tests.dispatcher.support import START, Bench
from tests.postgres import EmptyDatabase, a_database

HOUR = timedelta(hours=1)

_OF = """
    SELECT inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent = ANY('{attempt,dispatch_ended,dispatch_report}'::regclass[])
        AND inhrelid::regclass::text ~ '_[012]$' ORDER BY 1
"""


@pytest.fixture(scope="module")
def template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated database, which nobody is connected to."""
    with a_database(postgres_server) as url:
        EmptyDatabase(url, [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
        yield str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


@pytest.fixture
def empty(
    postgres_server: str, template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmptyDatabase]:
    """A database of this test alone, because its tables change. Each day is large enough for a
    partition."""
    monkeypatch.setattr(partitions, "FEWEST", 0)
    with a_database(postgres_server, template) as url:
        yield EmptyDatabase(url, ())


@pytest.fixture
async def backend(empty: EmptyDatabase) -> AsyncIterator[PostgresStorageBackend]:
    async with AsyncExitStack() as stack:
        yield await opened(empty, stack, await empty.open())


async def there(backend: PostgresStorageBackend) -> set[object]:
    """The partitions of the first three days."""
    return {*await backend.database.read(lambda c: ids_of(c, _OF, ()))}


async def rows(backend: PostgresStorageBackend, table: str) -> int:
    def count(connection: Connection) -> int:
        return int(row_of(connection.execute(f"SELECT count(*) FROM {table}"))[0])

    return await backend.database.read(count)


async def next_day(backend: PostgresStorageBackend, bench: Bench, *messages: str) -> None:
    """A day begins, at which these messages are reported and pushed."""
    bench.clock.advance_to(bench.clock.now() + DAY)
    await keep_partitions(backend.database, bench.clock.now())
    await pushed(bench, *messages)


async def pushed(bench: Bench, *messages: str) -> None:
    """Each is a dispatch of its own."""
    for message in messages:
        await bench.receive(an_sms(message))
        await bench.work()
    await bench.work()


async def purged(backend: PostgresStorageBackend, **asked: Any) -> dict[str, int]:
    """What goes; it is what was counted before."""
    retention = backend.storage.retention
    asked = {"before": None, "most": 0, **asked}
    counted = await retention.count_dispatches(**asked)
    removed = await retention.purge_dispatches(**asked, pause=at_once)
    assert removed == counted
    return {table: number for table, number in removed.items() if number}


@pytest.fixture
async def bench(backend: PostgresStorageBackend) -> Bench:
    bench = await a_bench_on(backend)
    await keep_partitions(backend.database, bench.clock.now())
    return bench


async def test_a_day_leaves_with_its_partitions(
    backend: PostgresStorageBackend, bench: Bench
) -> None:
    """Dispatches that have ended, and attempts, are dropped with the partition of their day, and
    counted no more. What says which dispatches carry a report goes with the reports' partition."""
    await pushed(bench, "m0", "m1")
    await next_day(backend, bench, "m2")
    await bench.storage.read_model.catch_up()

    removed = await purged(backend, before=START + DAY)

    assert removed == {"dispatch": 2, "dispatch_report": 2, "attempt": 2}
    assert await there(backend) == {
        *("attempt_1", "dispatch_ended_1", "dispatch_report_0", "dispatch_report_1"),
        *("attempt_2", "dispatch_ended_2", "dispatch_report_2"),
    }
    assert await rows(backend, "attempt") == 1
    assert await bench.states() == ["acknowledged"]
    assert await bench.queue.counts() == {"acme": {"acknowledged": 1}}
    forgotten = (await bench.storage.unrouted.unrouted(["acme"], None, 10)).forgotten_to
    assert forgotten == (await bench.store.reports_after(0, 2))[-1].id
    await bench.storage.retention.purge_reports(
        now=START + DAY, before=START + DAY, most=0, pause=at_once
    )
    assert "dispatch_report_0" not in await there(backend)


async def test_what_waits_keeps_nothing_but_itself(
    backend: PostgresStorageBackend, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One dispatch of a day fails for days. The others of its day, and their attempts, go; it keeps
    its body and its attempts, is delivered at last, and goes then. Where too many attempts would
    have to be moved, their partition waits."""
    bench.sender.answers(200, 503, 503, 200)
    await pushed(bench, "fine", "failing")
    await next_day(backend, bench, "m1")

    monkeypatch.setattr(ended, "MOVED", 0)
    removed = await purged(backend, before=START + DAY)

    assert removed == {"dispatch": 1, "dispatch_report": 1, "attempt": 1}
    assert {"attempt_0", "dispatch_ended_0"} & await there(backend) == {"attempt_0"}
    monkeypatch.undo()
    assert await purged(backend, before=START + DAY) == {}
    assert "attempt_0" not in await there(backend)
    waiting, _ = await bench.dispatches()
    shown = await bench.queue.dispatch(waiting.id)
    assert shown is not None
    assert [each.number for each in shown[1]] == [1, 2]
    await bench.run_until_idle()
    assert bench.sender.pushes[-1].body == bench.sender.pushes[1].body
    assert await bench.states() == ["acknowledged"] * 2
    assert await rows(backend, "dispatch_ended_other") == 1
    removed = await purged(backend, before=START + DAY)
    assert removed == {"dispatch": 1, "dispatch_body": 1, "dispatch_report": 1, "attempt": 3}
    assert await rows(backend, "attempt") == 1
    assert await bench.queue.counts() == {"acme": {"acknowledged": 1}}


async def test_attempts_of_another_day_outlive_their_dispatch_unseen(
    backend: PostgresStorageBackend, bench: Bench
) -> None:
    """A dispatch that was tried over midnight goes with its day. Its last attempt lies in another
    day's partition and goes with that one; until then nobody finds it."""
    bench.sender.answers(503)
    await pushed(bench, "over midnight")
    await next_day(backend, bench, "m1")

    removed = await purged(backend, before=START + DAY)

    assert removed == {"dispatch": 1, "dispatch_body": 1, "dispatch_report": 1, "attempt": 2}
    assert await rows(backend, "attempt") == 2
    (seen,) = await bench.storage.history.after(0, 10)
    assert seen.dispatch == (await bench.dispatches())[0].id
    await next_day(backend, bench, "m2")
    await purged(backend, before=START + 2 * DAY)
    assert await rows(backend, "attempt") == 1


async def test_the_dispatches_of_a_day_go_together(
    backend: PostgresStorageBackend, bench: Bench
) -> None:
    """Retention looks every minute. Dispatches that are too old wait for the youngest of their day,
    so that no row has to be deleted."""
    await pushed(bench, "early")
    bench.clock.advance(10 * HOUR)
    await pushed(bench, "late")
    await next_day(backend, bench, "next day")

    assert await purged(backend, before=START + HOUR) == {}
    assert (await purged(backend, before=START + 11 * HOUR))["dispatch"] == 2
    assert "dispatch_ended_0" not in await there(backend)


async def test_whoever_comes_next_goes_on(backend: PostgresStorageBackend, bench: Bench) -> None:
    """The process is stopped after it has detached a partition: its dispatches are found no more,
    and the next purge removes what there is of them, once."""
    bench.sender.answers(503)
    await bench.receive(an_sms("m0"))
    await bench.run_until_idle()
    await next_day(backend, bench, "m1")

    async def stopped() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await backend.storage.retention.purge_dispatches(before=START + DAY, most=0, pause=stopped)
    assert "dispatch_ended_0" not in await there(backend)
    assert await rows(backend, "dispatch_ended_0") == 1
    await backend.storage.retention.purge_dispatches(before=START + DAY, most=0, pause=at_once)

    assert await rows(backend, "dispatch_body") == 0
    assert await bench.queue.counts() == {"acme": {"acknowledged": 1}}
    assert "attempt_0" not in await there(backend)


async def test_a_reader_puts_it_off(backend: PostgresStorageBackend, bench: Bench) -> None:
    """Somebody reads the table for long. The partition goes the next time; nothing is deleted row
    by row meanwhile."""
    await pushed(bench, "m0")
    await next_day(backend, bench, "m1")

    with psycopg.connect(backend.empty.url) as reader:
        reader.execute("SELECT count(*) FROM dispatch_ended")
        removed = await backend.storage.retention.purge_dispatches(
            before=START + DAY, most=0, pause=at_once
        )
    assert set(removed.values()) == {0}
    assert len(await bench.dispatches()) == 2
    assert (await purged(backend, before=START + DAY))["dispatch"] == 1


async def test_the_newest_attempts_are_counted_over_days(
    backend: PostgresStorageBackend, bench: Bench
) -> None:
    """The ids of a new day begin far beyond those of the day before. Who keeps the three newest
    attempts keeps three, and not those of today alone."""
    await pushed(bench, "m0", "m1", "m2")
    await next_day(backend, bench, "m3")

    assert (await purged(backend, most=3))["attempt"] == 1
    assert await rows(backend, "attempt") == 3


async def test_two_who_purge_at_once_do_it_once(
    backend: PostgresStorageBackend, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have seen that a partition is to go. The second found it detached, or not at all, when
    it came to it, and its purge ended with an error of the database."""
    await pushed(bench, "m0")
    await next_day(backend, bench, "m1")
    await next_day(backend, bench, "m2")
    retention, detach = backend.storage.retention, ended._detach
    others: list[dict[str, int]] = []

    def slow(connection: Connection, *, number: int, end: Place) -> bool:
        """The other one is done between the look at a partition and its detaching."""
        if not others:
            others.append({})
            other = retention.purge_dispatches(before=START + 2 * DAY, most=0, pause=at_once)
            others[0].update(asyncio.run_coroutine_threadsafe(other, loop).result(30))
        return detach(connection, number=number, end=end)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(ended, "_detach", slow)
    removed = await retention.purge_dispatches(before=START + 2 * DAY, most=0, pause=at_once)
    assert removed["dispatch"] + others[0]["dispatch"] == 2
    assert await bench.queue.counts() == {"acme": {"acknowledged": 1}}
    assert {"dispatch_ended_0", "dispatch_ended_1"}.isdisjoint(await there(backend))
