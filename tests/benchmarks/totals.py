"""Totals and searches over many reports: their time must not grow with the number of reports.

Fills a store with `--reports` reports over thirty days (10 million take about ten minutes and 9 GB;
200,000 is the short form), lets the read model follow, and asks. `--tenth` asks a store of a tenth
of them too, over the same thirty days, so that growth is seen within one run.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import Struct

from receiver.api.filters import totals_query
from receiver.api.totals import TotalsAnswer
from receiver.store.base import ReportQuery
from receiver.store.instants import micros
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.followup import Follower
from receiver.store.sqlite.store import MIGRATIONS, SqliteStore
from tests.benchmarks.results import arguments, print_table

DAYS = 30
NOW = datetime(2026, 11, 21, tzinfo=UTC)
BATCH = 10_000
SOURCES = ("default", "eu", "us")
STATUSES = (
    (3, "DELIVERED", 5, "DELIVERED_TO_HANDSET"),
    (1, "PENDING", 7, "PENDING_ENROUTE"),
    (2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED"),
    (4, "EXPIRED", 15, "EXPIRED_EXPIRED"),
    (5, "REJECTED", 6, "REJECTED_NETWORK"),
)
ERRORS = (0, *range(1, 20))

_ITEM = (
    '{"bulkId":"BULK-%d","messageId":"%032x","to":"4179%07d","from":"InfoSMS",'
    '"sentAt":"2026-11-01T16:00:00.000+0000","doneAt":"2026-11-01T16:%02d:%02d.%03d+0000",'
    '"smsCount":1,"mccMnc":"22801","callbackData":"order %d",'
    '"price":{"pricePerMessage":0.0%d,"currency":"%s"},'
    '"status":{"groupId":%d,"groupName":"%s","id":%d,"name":"%s"},'
    '"error":{"groupId":1,"id":%d,"name":"EC_%d","permanent":%s}}'
)
_INSERT = "INSERT INTO report VALUES (?, ?, ?, 'json', 'v2', ?, ?, 0, ?, ?, ?)"


class Answers(Struct, frozen=True):
    """Milliseconds of each question, and microseconds that following took for a report."""

    reports: int
    follow_micros: float
    questions: dict[str, float]


def rows(reports: int, rng: random.Random) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of the table `report`, in batches; the rarest error comes once in 100,000."""
    start = micros(NOW - timedelta(days=DAYS))
    step = timedelta(days=DAYS) // timedelta(microseconds=1) // reports
    for first in range(1, reports + 1, BATCH):
        yield [
            _row(id, start + id * step, rng) for id in range(first, min(first + BATCH, reports + 1))
        ]


def _row(id: int, at: int, rng: random.Random) -> tuple[Any, ...]:
    key = rng.getrandbits(62)
    group, group_name, status, name = STATUSES[min(int(rng.expovariate(1.5)), 4)]
    error = 99 if id % 100_000 == 7 else ERRORS[int(rng.random() ** 4 * 20)]
    minute, rest = divmod(min(int(10 ** rng.uniform(2.5, 6.5)), 3_599_999), 60_000)
    second, milli = divmod(rest, 1000)
    permanent = "true" if error > 10 else "false"
    currency = "EUR" if error % 2 else "USD"
    number, price = rng.randrange(10**7), rng.randrange(10, 99)
    item = _ITEM % (
        *(id // 500, key, number, minute, second, milli, id, price, currency),
        *(group, group_name, status, name, error, error, permanent),
    )
    return (id, at, SOURCES[key % 3], group != 1, group, key, key, item)


async def answers(path: Path, reports: int, rounds: int) -> Answers:
    """Fill a store, have it followed, and ask."""
    database = await Database.open(path)
    try:
        await database.migrate(MIGRATIONS)
        for batch in rows(reports, random.Random(1)):
            await database.write(partial(_fill, batch=batch))
        started = time.perf_counter()
        follower = Follower(database)
        while await follower.turn(BATCH):
            pass
        follow = (time.perf_counter() - started) / reports * 1e6
        store = SqliteStore(database)
        asked = {name: await _asked(ask, rounds) for name, ask in questions(store)}
        return Answers(reports, follow, asked)
    finally:
        await database.close()


def _fill(connection: sqlite3.Connection, batch: list[tuple[Any, ...]]) -> None:
    connection.executemany(_INSERT, batch)


def questions(store: SqliteStore) -> Sequence[tuple[str, Callable[[], Awaitable[Any]]]]:
    def totals(**parameters: str) -> Callable[[], Awaitable[Any]]:
        async def ask() -> None:
            query = totals_query(parameters, NOW)
            TotalsAnswer.of(await store.totals(query), query)

        return ask

    def find(**filters: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: store.find(ReportQuery(**filters))

    month = (NOW - timedelta(days=DAYS)).isoformat()
    week = NOW - timedelta(days=7)
    return (
        ("totals, 24 hours", totals()),
        ("totals, 30 days by day", totals(bucket="day", since=month)),
        ("totals, 30 days by hour", totals(since=month)),
        ("totals, 30 days by hour, one source", totals(since=month, source="eu")),
        ("reports, newest 100", find()),
        ("reports to a number", find(to="41791234567")),
        ("reports to numbers 417912345…", find(to_prefix="417912345")),
        ("reports of a bulk", find(bulk_id="BULK-100")),
        ("reports with a rare error", find(errors=(99,))),
        ("rejected, permanent, a week ago", find(status_groups=(5,), received_until=week)),
        ("one step for a callbackData that is not there", find(callback_data="nothing")),
    )


async def _asked(ask: Callable[[], Awaitable[Any]], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        await ask()
        times.append((time.perf_counter() - started) * 1000)
    return median(times)


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--reports", type=int, default=200_000)
    parser.add_argument("--tenth", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the stores are made, and removed again")
    given = parser.parse_args()
    sizes = [given.reports // 10, given.reports] if given.tenth else [given.reports]
    measured = []
    with TemporaryDirectory(dir=given.folder) as folder:
        for size in sizes:
            path = Path(folder, f"{size}.db")
            measured.append(asyncio.run(answers(path, size, given.rounds)))
    print_table(
        f"Questions, median of {given.rounds} rounds, ms",
        ("", *(f"{each.reports:,} reports" for each in measured)),
        [
            *(
                [name, *(f"{each.questions[name]:.1f}" for each in measured)]
                for name in measured[0].questions
            ),
            ["following, us a report", *(f"{each.follow_micros:.1f}" for each in measured)],
        ],
    )


if __name__ == "__main__":
    main()
