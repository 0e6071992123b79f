"""Databases that hold something already, filled by SQL many times faster than by callbacks."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.storage import storage
from receiver.callbacks.intake import verdict_on_bytes
from receiver.store.instants import micros
from tests.benchmarks.bodies import body

PER_STATEMENT = 100_000


@contextmanager
def _opened(path: Path, endpoints: Sequence[Endpoint] = ()) -> Iterator[sqlite3.Connection]:
    """A fast and unsafe connection to a database of the current schema that knows `endpoints`."""
    asyncio.run(_prepare(path, endpoints))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("synchronous = OFF", "cache_size = -2000000"):
            connection.execute(f"PRAGMA {pragma}")
        yield connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _prepare(path: Path, endpoints: Sequence[Endpoint]) -> None:
    async with storage(str(path)) as opened:
        await opened.queue.adopt(endpoints)


def fill_reports(path: Path, count: int, *, days: int = 10) -> None:
    """So many reports of as many messages, received evenly over the last days, today's included.

    Each is inserted in the order of arrival under its random key, so the index has the shape that
    it has in service.
    """
    item = verdict_on_bytes(body("json", 1, random.Random(1)), "json").entries[0].item.decode()
    end = micros(datetime.now(UTC))
    start = end - (days - 1) * 86_400_000_000
    with _opened(path) as connection:
        for first in range(1, count + 1, PER_STATEMENT):
            last = min(first + PER_STATEMENT - 1, count)
            connection.execute("BEGIN")
            connection.execute(
                "WITH RECURSIVE n (id) AS (SELECT :first UNION ALL SELECT id + 1 FROM n"
                " WHERE id < :last)"
                " INSERT INTO report (id, received_at, source, format, generation, final,"
                " status_group, duplicates, message_key, identity, item)"
                " SELECT id, :start + (:end - :start) / :count * id, 'default', 'json', 'v2', 1, 3,"
                " 0, random(), random(), :item FROM n",
                {
                    "first": first,
                    "last": last,
                    "start": start,
                    "end": end,
                    "count": count,
                    "item": item,
                },
            )
            connection.execute(
                "INSERT INTO report_key (day, message_key, source, identity, report)"
                " SELECT received_at / 86400000000, message_key, source, identity, id"
                " FROM report WHERE id BETWEEN ? AND ?",
                (first, last),
            )
            connection.execute("COMMIT")


def fill_dispatches(path: Path, count: int, endpoint: Endpoint, *, due: int) -> datetime:
    """So many waiting dispatches of one report each, `due` of them before the instant returned and
    the others over the hours after it."""
    now = datetime.now(UTC)
    at = micros(now)
    report = verdict_on_bytes(body("json", 1, random.Random(1)), "json").entries[0].item
    payload = b'{"results":[' + report + b"]}"
    with _opened(path, [endpoint]) as connection:
        connection.execute("BEGIN")
        connection.execute(
            "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < :count)"
            " INSERT INTO dispatch (id, endpoint, url, content_type, state, attempts, created_at,"
            " due_at, first_report, last_report, reports)"
            " SELECT id, :endpoint, :url, 'application/json', 'waiting', 1, :at, CASE"
            # Scattered, as retries of different ages are.
            " WHEN id % (:count / :due) = 0 THEN :at - 1 - abs(random() % 60000000)"
            " ELSE :at + 600000000 + abs(random() % 36000000000) END, id, id, 1 FROM n",
            {"count": count, "endpoint": endpoint.name, "url": endpoint.url, "at": at, "due": due},
        )
        connection.execute(
            "INSERT INTO dispatch_body (dispatch, body) SELECT id, ? FROM dispatch ORDER BY id",
            (payload,),
        )
        connection.execute(
            "INSERT INTO dispatch_report (report, dispatch) SELECT id, id FROM dispatch ORDER BY id"
        )
        connection.execute("COMMIT")
    return now + timedelta(seconds=1)
