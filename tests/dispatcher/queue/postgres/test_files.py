"""What a PostgreSQL database tells of its size.

It once told nothing, and the gauges stayed 0. A disk with 0 bytes free is a full disk: DlrDiskFull
fired on each installation with PostgreSQL, for a disk that nobody can see from here.
"""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry

from dispatcher.observe.metrics import FileMetrics
from dispatcher.queue.postgres.files import LOOK_SECONDS, PostgresFiles
from tests.postgres import EmptyDatabase, in_autocommit


async def test_the_size_is_looked_up_once_a_minute(empty_postgres: EmptyDatabase) -> None:
    """Disk and log are the server's."""
    database = await empty_postgres.open()
    now = 1_000.0
    files = PostgresFiles(database, lambda: now)
    first = await files.sizes()
    assert first is not None
    assert first.database > 1_000_000
    assert (first.log, first.free) == (None, None)

    with in_autocommit(empty_postgres.url) as connection:
        connection.execute("INSERT INTO room VALUES (1, decode(repeat('00', 1000000), 'hex'))")
    now += LOOK_SECONDS - 1
    assert await files.sizes() == first
    now += 1
    second = await files.sizes()
    assert second is not None
    assert second.database >= first.database + 1_000_000
    await database.close()


async def test_what_nobody_can_know_is_no_number(empty_postgres: EmptyDatabase) -> None:
    database = await empty_postgres.open()
    registry = CollectorRegistry()
    await FileMetrics(registry, PostgresFiles(database)).measure()

    told = {
        name: registry.get_sample_value(name)
        for name in ("dlr_database_bytes", "dlr_database_wal_bytes", "dlr_disk_free_bytes")
    }
    size, *unknown = told.values()
    assert size is not None
    assert size > 1_000_000
    assert [each is not None and math.isnan(each) for each in unknown] == [True, True]
    await database.close()
