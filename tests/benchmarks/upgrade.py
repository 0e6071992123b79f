"""How long an upgrade from 0.1.0 takes, step by step, and how long searches and totals take to
catch up afterwards.

The database has the schema of 0.1.0 with that version's usual content: as many messages as
reports, each report pushed alone, acknowledged at the first attempt, its bytes kept. One dispatch
in a hundred was exhausted after 21 attempts, one in a thousand still waits.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE
from dispatcher.storage import MIGRATIONS
from receiver.callbacks.intake import verdict_on_bytes
from receiver.store.instants import micros
from receiver.store.migrations import Migration
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import Follower
from receiver.store.sqlite.store import MIGRATIONS as STORE
from tests.benchmarks.bodies import body
from tests.benchmarks.results import machine, print_table

FIRST = [step for step in (*STORE, *QUEUE) if step.number == 1]
"""The schema of 0.1.0: the receiver's and the queue's first steps, and no sandbox."""

PER_TRANSACTION = 100_000

_REPORTS = """
WITH RECURSIVE n (id) AS (SELECT :first UNION ALL SELECT id + 1 FROM n WHERE id < :last)
INSERT INTO report (id, received_at, source, format, generation, final, status_group, duplicates,
    message_key, identity, item)
SELECT id, :start + :step * id, 'default', 'json', 'v2', 1, 3, 0, random(), random(),
    replace(replace(:item, :message, printf('m-%012d', id)), :number,
        printf('4179%08d', id * 7919 % 100000000))
FROM n
"""
_KEYS = """
INSERT INTO report_key SELECT received_at / 86400000000, message_key, identity, id
FROM report WHERE id BETWEEN :first AND :last
"""
_DISPATCHES = """
INSERT INTO dispatch (id, endpoint, url, content_type, state, attempts, created_at, due_at,
    first_report, last_report, reports)
SELECT id, 'acme', 'http://acme.example/dlr', 'application/json',
    CASE WHEN id % 1000 = 0 THEN 'waiting' WHEN id % 100 = 1 THEN 'exhausted'
        ELSE 'acknowledged' END,
    iif(id % 100 = 1, 21, 1), received_at, iif(id % 1000 = 0, received_at + 60000000, NULL),
    id, id, 1
FROM report WHERE id BETWEEN :first AND :last
"""
_BODIES = """
INSERT INTO dispatch_body SELECT id, CAST('{"results":[' || item || ']}' AS BLOB)
FROM report WHERE id BETWEEN :first AND :last
"""
_MEMBERS = """
INSERT INTO dispatch_report (report, dispatch)
SELECT id, id FROM report WHERE id BETWEEN :first AND :last
"""
_ATTEMPTS = """
INSERT INTO attempt
SELECT dispatch.id, number.value, created_at + 60000000 * (number.value - 1), 12.5,
    iif(state = 'acknowledged', 200, 503), iif(state = 'acknowledged', 'acknowledged', 'failed'),
    NULL, x'6F6B'
FROM dispatch, generate_number AS number
WHERE dispatch.id BETWEEN :first AND :last AND number.value <= dispatch.attempts
"""


def fill(path: Path, reports: int, *, days: int = 30) -> None:
    """A database of 0.1.0 with so many reports, of the last days."""
    asyncio.run(_first_schema(path))
    item = verdict_on_bytes(body("json", 1, random.Random(1)), "json").entries[0].item.decode()
    said = sqlite3.connect(":memory:").execute(
        "SELECT ?1 ->> '$.messageId', ?1 ->> '$.to'", (item,)
    )
    message, number = said.fetchone()
    end = micros(datetime.now(UTC))
    start = end - days * 86_400_000_000
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        connection.execute(
            "CREATE TEMP TABLE generate_number AS WITH RECURSIVE n (value) AS"
            " (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 21) SELECT value FROM n"
        )
        connection.execute("INSERT INTO queue_name VALUES ('bench')")
        connection.execute("INSERT INTO endpoint VALUES ('acme', ?)", (reports,))
        for first in range(1, reports + 1, PER_TRANSACTION):
            values = {
                "first": first,
                "last": min(first + PER_TRANSACTION - 1, reports),
                "start": start,
                "step": (end - start) // reports,
                "item": item,
                "message": message,
                "number": number,
            }
            connection.execute("BEGIN")
            for sql in (_REPORTS, _KEYS, _DISPATCHES, _BODIES, _MEMBERS, _ATTEMPTS):
                connection.execute(sql, values)
            connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _first_schema(path: Path) -> None:
    database = await Database.open(path)
    await database.migrate(FIRST)
    await database.close()


def timed(path: Path) -> Iterator[tuple[Migration, float, int]]:
    """Each missing step, its seconds, and the bytes of the write-ahead log at its end."""
    for number, step in enumerate(MIGRATIONS):
        begun = time.monotonic()
        applied, log = asyncio.run(_migrated(path, MIGRATIONS[: number + 1]))
        if step in applied:
            yield step, time.monotonic() - begun, log


async def _migrated(path: Path, upto: Sequence[Migration]) -> tuple[list[Migration], int]:
    database = await Database.open(path)
    applied = await database.migrate(upto)
    log = await asyncio.to_thread(os.path.getsize, f"{path}-wal")
    await database.close()
    return applied, log


async def followed(path: Path) -> float:
    """The seconds until searches and totals know every report."""
    database = await Database.open(path)
    begun = time.monotonic()
    await Follower(database).catch_up()
    await database.close()
    return time.monotonic() - begun


def rows(path: Path, reports: int) -> Iterator[tuple[str, str, str]]:
    fill(path, reports)
    yield f"file of 0.1.0, {reports:,} reports", "", _megabytes(path.stat().st_size)
    steps = list(timed(path))
    for step, seconds, log in steps:
        if seconds >= 0.1:
            yield f"{step.part} {step.number:04} {step.name}", f"{seconds:.1f} s", _megabytes(log)
    whole = sum(seconds for _, seconds, _ in steps)
    yield f"all {len(steps)} steps", f"{whole:.1f} s", _megabytes(path.stat().st_size)
    yield "searches and totals catch up", f"{asyncio.run(followed(path)):.1f} s", ""
    yield "file at the end", "", _megabytes(path.stat().st_size)


def _megabytes(count: int) -> str:
    return f"{count / 10**6:,.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reports", type=int, default=10**6, help="10⁷ need 50 GB of disk")
    parser.add_argument("--folder", type=Path, help="where the database is made and removed")
    given = parser.parse_args()
    with TemporaryDirectory(dir=given.folder) as folder:
        found = list(rows(Path(folder, "dlr.db"), given.reports))
    print_table("Upgrade from 0.1.0", ("what", "time", "file or log"), found)
    print(machine())


if __name__ == "__main__":
    main()
