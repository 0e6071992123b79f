"""The queue over PostgreSQL: what a claim costs among ever more waiting dispatches, what one and
two dispatchers form and record, what hours of that leave behind for autovacuum, and what retention
does."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint, Target
from dispatcher.queue.base import Bucket, DispatchQueue, Forming, Lease, Leased, Record
from dispatcher.queue.postgres.counts import COUNTS
from dispatcher.queue.postgres.queue import PostgresQueue
from dispatcher.queue.postgres.retention import QueueRetention
from dispatcher.queue.postgres.schema import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.retrying.outcome import Answer, Outcome
from receiver.store.base import StoredReport
from receiver.store.instants import micros
from receiver.store.postgres.database import Database, row_of
from receiver.store.postgres.partitions import DISPATCHES, first_of, keep_partitions, make_for
from receiver.store.postgres.schema import MIGRATIONS as STORE_MIGRATIONS
from tests.benchmarks.load import quantile
from tests.benchmarks.results import Row, arguments, print_rows, print_table
from tests.postgres import a_database, in_autocommit, server

DUE = 100
DAYS = 30  # of which there are ended dispatches, each in a partition
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ENDPOINT = Endpoint(name="sink", url="http://127.0.0.1:9/")
BODY = b'{"results":[' + b"x" * 400 + b"]}"

# The 100 that are due lie among the others in the order of the ids.
_FILL = """
    INSERT INTO dispatch (endpoint, url, content_type, state, attempts, created_at, due_at,
        first_report, last_report, reports, webhook_id_end)
    SELECT 'sink', 'http://127.0.0.1:9/', 'application/json', 'waiting', 1, %(now)s,
        CASE WHEN n %% (%(count)s / %(due)s) = 0 THEN %(now)s - n ELSE %(now)s + n * 1000 END,
        n, n, 1, 'end'
    FROM generate_series(1, %(count)s::bigint) AS n
"""
_BODIES = "INSERT INTO dispatch_body SELECT id, %s FROM dispatch"


@contextmanager
def durable_server() -> Iterator[str]:
    """A server of one's own that flushes its commits, as in service."""
    with TemporaryDirectory() as folder, server(Path(folder)) as url:
        with in_autocommit(url) as connection:
            connection.execute("ALTER SYSTEM RESET ALL")
            connection.execute("SELECT pg_reload_conf()")
        yield url


@contextmanager
def migrated(url: str) -> Iterator[str]:
    async def migrate(database_url: str) -> None:
        database = await Database.open(database_url)
        await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
        await database.close()

    with a_database(url) as database_url:
        asyncio.run(migrate(database_url))
        yield database_url


async def _queue(stack: AsyncExitStack, url: str, endpoint: Endpoint) -> DispatchQueue:
    database = await Database.open(url)
    stack.push_async_callback(database.close)
    queue = await PostgresQueue.open(database, lambda: "bench", lambda: secrets.token_hex(8))
    await queue.adopt([endpoint])
    return queue


# --- claims --------------------------------------------------------------------------------------


def claims(url: str, sizes: Sequence[int], rounds: int) -> dict[int, list[float]]:
    """Milliseconds of each claim of 100 due ones, which are given back, by how many waited."""
    with ExitStack() as stack:
        urls = {size: stack.enter_context(migrated(url)) for size in sizes}
        for size, database_url in urls.items():
            with in_autocommit(database_url) as connection:
                make_for(connection, DISPATCHES[1], first_of(DAYS - 1))
                values = {"now": micros(NOW), "count": size, "due": DUE}
                connection.execute(_FILL, values)
                connection.execute(_BODIES, (BODY,))
                connection.execute("VACUUM ANALYZE")
        return asyncio.run(_claims(urls, rounds))


async def _claims(urls: dict[int, str], rounds: int) -> dict[int, list[float]]:
    """Each round goes through all sizes, so that what else the machine does meets all alike."""
    found: dict[int, list[float]] = {size: [] for size in urls}
    async with AsyncExitStack() as stack:
        queues = {size: await _queue(stack, url, ENDPOINT) for size, url in urls.items()}
        for number in range(rounds + 10):
            for size, queue in queues.items():
                lease = Lease(str(number), NOW + timedelta(seconds=30))
                started = time.perf_counter()
                leased = await queue.claim_due(NOW, {"sink": lease}, {"sink": DUE})
                spent = time.perf_counter() - started
                assert len(leased) == DUE
                await queue.release(leased)
                if number >= 10:  # the first find pages cold and statements unprepared
                    found[size].append(spent * 1000)
    return found


# --- dispatchers ---------------------------------------------------------------------------------


class Job(Struct, frozen=True):
    """What one dispatcher of its own process does: so many buckets at a time for an endpoint of its
    own, until an instant (of time.time). `failing`: each fails once and is claimed again."""

    url: str
    name: str
    at_once: int
    begin: float
    end: float
    failing: bool = False


def dispatchers(url: str, number: int, seconds: float, at_once: int, failing: bool) -> float:
    """Dispatches a second that so many dispatchers together form and record."""
    with migrated(url) as database_url, _processes(number) as pool:
        begin = time.time() + 2.0
        jobs = [
            Job(database_url, f"e{n}", at_once, begin, begin + seconds, failing)
            for n in range(number)
        ]
        return sum(done.ended for done in pool.map(work, jobs)) / seconds


@contextmanager
def _processes(number: int) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(number, mp_context=get_context("spawn")) as pool:
        yield pool


class Done(Struct, frozen=True):
    """How many dispatches have ended, and the milliseconds of each claim."""

    ended: int
    claims: list[float]


def work(job: Job) -> Done:
    """In a process: does the job."""
    return asyncio.run(_work(job))


async def _work(job: Job) -> Done:
    endpoint = Endpoint(name=job.name, url="http://127.0.0.1:9/")
    async with AsyncExitStack() as stack:
        queue = await _queue(stack, job.url, endpoint)
        place, ended, claims = 0, 0, list[float]()
        await asyncio.sleep(max(0.0, job.begin - time.time()))
        while time.time() < job.end:
            leased = await queue.form(
                NOW, {job.name: a_lease()}, [a_forming(endpoint, place, job.at_once)]
            )
            place += job.at_once
            if job.failing:
                await record(queue, leased, "waiting")
                started = time.perf_counter()
                leased = await queue.claim_due(NOW, {job.name: a_lease()}, {job.name: job.at_once})
                claims.append((time.perf_counter() - started) * 1000)
            await record(queue, leased, "acknowledged")
            ended += len(leased)
    return Done(ended, claims)


def a_lease() -> Lease:
    return Lease(secrets.token_hex(8), NOW + timedelta(minutes=1))


def a_forming(endpoint: Endpoint, place: int, number: int) -> Forming:
    """Buckets of one report each, after this place."""
    to = Target(endpoint.url, "application/json")
    buckets = [Bucket([_report(place + n)], "v2", to) for n in range(1, number + 1)]
    return Forming(endpoint, place, place + number, buckets, [BODY] * number)


def _report(number: int) -> StoredReport:
    return StoredReport(
        id=number,
        received_at=NOW,
        source="default",
        format="json",
        generation="v2",
        final=True,
        status_group=3,
        duplicates=0,
        message_key=number,
        identity=number,
        item=b"{}",
    )


async def record(queue: DispatchQueue, leased: Sequence[Leased], state: DispatchState) -> None:
    fine = state == "acknowledged"
    held = await queue.record(
        [
            Record(
                dispatch=each.id,
                token=each.lease.token,
                number=each.attempts_made + 1,
                started_at=NOW,
                answer=Answer(12.5, status=200 if fine else 503, body=b"ok"),
                outcome=Outcome.ACKNOWLEDGED if fine else Outcome.FAILED,
                state=state,
                due_at=None if fine else NOW,
                body=None if fine else each.body,
            )
            for each in leased
        ]
    )
    assert all(held)


def counts(url: str) -> dict[tuple[str, str], int]:
    """How many dispatches an endpoint has in a state."""
    with in_autocommit(url) as connection:
        return {(name, state): number for name, state, number in connection.execute(COUNTS)}


# --- churn ---------------------------------------------------------------------------------------

_TABLES = """
    SELECT relname, n_live_tup, n_dead_tup, pg_table_size(relid), pg_indexes_size(relid),
        autovacuum_count
    FROM pg_stat_user_tables
    WHERE relname IN ('dispatch_open', 'dispatch_ended_0', 'dispatch_body', 'dispatch_report_0',
        'dispatch_count', 'endpoint', 'attempt_0')
    ORDER BY relname
"""
_INDEXES = """
    SELECT indexrelname, pg_relation_size(indexrelid) FROM pg_stat_user_indexes
    WHERE relname = 'dispatch_open' ORDER BY 2 DESC
"""


def churn(url: str, seconds: float, number: int, at_once: int, *, held: bool) -> None:
    """What is there, in a table, after each of five parts of the time. `held`: a reader keeps its
    view of the database all the time, as a backup does, and nothing can be vacuumed."""
    rows: list[tuple[str, ...]] = []
    with migrated(url) as database_url, _processes(number) as pool:
        begin = time.time() + 2.0
        jobs = [
            Job(database_url, f"e{n}", at_once, begin, begin + seconds, True) for n in range(number)
        ]
        running = [pool.submit(work, job) for job in jobs]
        with in_autocommit(database_url) as connection, in_autocommit(database_url) as reader:
            if held:
                reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                reader.execute("SELECT 1 FROM dispatch LIMIT 1")
            for part in range(1, 6):
                time.sleep(max(0.0, begin + seconds * part / 5 - time.time()))
                rows += _sizes(connection, f"{seconds * part / 5:.0f} s")
            done = [job.result() for job in running]
            rows += _sizes(connection, "end")
            for name, size in connection.execute(_INDEXES):
                rows.append(("end", name, "", "", "", f"{size / 2**20:.1f}", ""))
    ended = sum(each.ended for each in done)
    print(f"{ended:,} dispatches, each tried twice, by {number} dispatchers in {seconds:.0f} s")
    for name, fifth in (("first", 0), ("last", 4)):
        ms = sorted(ms for each in done for ms in _fifth(each.claims, fifth))
        half, most = quantile(ms, 0.5), quantile(ms, 0.99)
        print(f"claims of {at_once}, in the {name} fifth: p50 {half:.1f} ms, p99 {most:.1f} ms")
    header = ("after", "table or index", "live", "dead", "MiB", "MiB of indexes", "vacuumed")
    print_table("What the queue leaves behind", header, rows)


def _fifth(values: Sequence[float], number: int) -> Sequence[float]:
    size = len(values) // 5
    return values[number * size : (number + 1) * size]


def _sizes(connection: psycopg.Connection[Any], after: str) -> list[tuple[str, ...]]:
    return [
        (
            after,
            name,
            f"{live:,}",
            f"{dead:,}",
            f"{table / 2**20:.1f}",
            f"{indexes / 2**20:.1f}",
            str(vacuums),
        )
        for name, live, dead, table, indexes, vacuums in connection.execute(_TABLES)
    ]


# --- retention -----------------------------------------------------------------------------------

# A day's dispatches, all acknowledged. One of twenty was tried twice, and so its body was kept.
_DAY = """
    INSERT INTO dispatch (id, endpoint, url, content_type, state, attempts, created_at,
        first_report, last_report, reports, webhook_id_end)
    SELECT n, 'sink', 'http://127.0.0.1:9/', 'application/json', 'acknowledged',
        CASE WHEN n %% 20 = 0 THEN 2 ELSE 1 END, %(now)s + n, n, n, 1, 'end'
    FROM generate_series(1, %(count)s::bigint) AS n
"""
_OF_DAY = (
    "INSERT INTO dispatch_report (report, dispatch) SELECT id, id FROM dispatch",
    "INSERT INTO dispatch_body SELECT id, %(body)s FROM dispatch WHERE attempts = 2",
    """
    INSERT INTO attempt (id, dispatch, number, started_at, duration_ms, status, outcome, answer)
    SELECT nextval('attempt_id'), id, number, created_at, 12, 200, 'acknowledged', 'ok'
    FROM dispatch, generate_series(1, attempts) AS number
    """,
    "SELECT setval('report_id', %(count)s), setval('dispatch_id', %(count)s)",
)
_NEXT_IDS = "SELECT nextval('report_id'), nextval('dispatch_id'), nextval('attempt_id')"
_DONE = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
_DELETED = """
    SELECT relname, n_tup_del, n_dead_tup FROM pg_stat_user_tables
    WHERE n_tup_del > 0 OR n_dead_tup > 0 ORDER BY relname
"""


def retention(url: str, count: int) -> None:
    """What removing a day of so many ended dispatches writes and leaves behind."""
    with migrated(url) as database_url, in_autocommit(database_url) as connection:
        asyncio.run(_keep_partitions(database_url, NOW))
        values = {"now": micros(NOW), "count": count, "body": BODY}
        for statement in (_DAY, *_OF_DAY):
            connection.execute(statement, values)
        asyncio.run(_keep_partitions(database_url, NOW + timedelta(days=1)))
        connection.execute(_NEXT_IDS)
        connection.execute("VACUUM ANALYZE")
        connection.execute("SELECT pg_stat_reset()")
        (before,) = row_of(connection.execute(_DONE))
        started = time.perf_counter()
        removed = asyncio.run(_purge(database_url))
        took = time.perf_counter() - started
        (after,) = row_of(connection.execute(_DONE))
        rows = [(name, f"{gone:,}", f"{dead:,}") for name, gone, dead in _deleted(connection)]
    print(f"{removed}: {took:.1f} s, {(after - before) / 2**20:.1f} MiB of log")
    print_table("Row by row", ("table", "deleted", "dead"), rows)


async def _keep_partitions(url: str, now: datetime) -> None:
    database = await Database.open(url)
    await keep_partitions(database, now)
    await database.close()


async def _purge(url: str) -> Mapping[str, int]:
    async def at_once() -> None:
        """Batches follow each other."""

    database = await Database.open(url)
    retention = QueueRetention(database)
    before = NOW + timedelta(days=1)
    removed = await retention.purge_dispatches(before=before, most=0, pause=at_once)
    await database.close()
    return removed


def _deleted(connection: psycopg.Connection[Any]) -> list[tuple[str, int, int]]:
    time.sleep(1.5)  # a process tells what it did within a second
    return connection.execute(_DELETED).fetchall()


def rows(sizes: list[int], *, rounds: int, seconds: float) -> Iterator[Row]:
    with durable_server() as url:
        found = claims(url, sizes, rounds * 10)
        least = min(sizes)
        for size in sizes:
            if size != least:
                yield Row(
                    what=f"PostgreSQL: claim of {DUE} among {size:,}",
                    measured=found[size],
                    unit=" ms",
                    ceiling=f"among {least:,}",
                    beside=found[least],
                    at_most=2.0,
                )
        for at_once in (1, 20):
            one, two = [], []
            for _ in range(rounds):
                one.append(dispatchers(url, 1, seconds, at_once, failing=False))
                two.append(dispatchers(url, 2, seconds, at_once, failing=False))
            yield Row(
                what=f"formed and recorded, {at_once} at a time, by 2 dispatchers",
                measured=two,
                unit="/s",
                ceiling="by 1",
                beside=one,
            )


def main() -> None:
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round of dispatchers")
    parser.add_argument("--churn", type=float, help="only this: so many seconds of two dispatchers")
    parser.add_argument("--held", action="store_true", help="--churn beside a reader that stays")
    parser.add_argument("--retention", type=int, help="only this: removing so many dispatches")
    parser.add_argument("--long", action="store_true", help="10⁷ too: minutes")
    given = parser.parse_args()
    if given.churn:
        with durable_server() as url:
            churn(url, given.churn, 2, 20, held=given.held)
        return
    if given.retention:
        with durable_server() as url:
            retention(url, given.retention)
        return
    sizes = [10**3, 10**4, 10**5, 10**6, *([10**7] if given.long else [])]
    print_rows(rows(sizes, rounds=given.rounds, seconds=given.seconds))


if __name__ == "__main__":
    main()
