"""Ingest into PostgreSQL: what the store adds, against COPY of the same rows by one connection.

Batches of 512 reports, by 1, 2 and 4 receivers, each a process. Rounds alternate, each into tables
that begin empty, on a server of its own whose commits are on disk. The ceiling only copies rows
that are ready into the same two tables; the store also looks for repeats, takes ids, and commits
each batch. Receivers and server share the machine's cores, so that the CPU which a row costs says
more: that of the receivers, and that of the server's sessions and workers.

    python -m tests.benchmarks.postgres_ingest [--rounds 5] [--batches 60]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median
from typing import Any

from msgspec import Struct

from receiver.store.callback import Callback
from receiver.store.instants import MICROS_PER_DAY, micros
from receiver.store.postgres.database import Database
from receiver.store.postgres.partitions import keep_partitions
from receiver.store.postgres.store import PostgresStore
from tests import postgres
from tests.benchmarks.postgres_push import postmaster_of
from tests.benchmarks.postgres_queue import durable_server, migrated
from tests.benchmarks.processes import CPU_TICK, cpu_of_children
from tests.benchmarks.results import Row, arguments, print_rows, print_table
from tests.contracts.report_store import NOON, a_callback, an_sms

BATCH = 512

Batch = Sequence[Callback]
Took = tuple[float, float, float]
"""The instants (of time.time) at which a process began and had written all, and its CPU."""


class Written(Struct, frozen=True):
    """Rows a second of time, of CPU of whoever writes, and of CPU of the server."""

    passed: float
    cpu: float
    of_server: float


class Ingest(Struct, frozen=True):
    """What each round found, by the number of receivers, and for COPY beside it."""

    measured: dict[int, list[Written]]
    ceiling: dict[int, list[Written]]


class Job(Struct, frozen=True):
    """What one receiver writes."""

    url: str
    batches: range


def ingest(*, rounds: int, batches: int, receivers: Sequence[int] = (1, 2, 4)) -> Ingest:
    found = Ingest({n: [] for n in receivers}, {n: [] for n in receivers})
    with durable_server() as url:
        for _ in range(rounds):
            for number in receivers:
                copiers = [range(batches)]
                found.ceiling[number].append(_written(url, copy, copiers))
                shares = [range(n, batches, number) for n in range(number)]
                found.measured[number].append(_written(url, receive, shares))
    return found


def _written(url: str, write: Callable[[Job], Took], shares: Sequence[range]) -> Written:
    """Into a new database, each share by a process of its own."""
    context = get_context("spawn")
    start = context.Barrier(len(shares))
    with (
        migrated(url) as address,
        ProcessPoolExecutor(len(shares), context, _begin_together, (start,)) as pool,
    ):
        asyncio.run(_make_room(address))
        before = cpu_of_children(postmaster := postmaster_of(url))
        took = list(pool.map(write, [Job(address, share) for share in shares]))
        of_server = cpu_of_children(postmaster) - before
    rows = BATCH * sum(map(len, shares))
    seconds = max(end for _, end, _ in took) - min(begin for begin, _, _ in took)
    cpu = sum(cpu for _, _, cpu in took)
    return Written(rows / seconds, rows / cpu, rows / max(of_server, CPU_TICK))


async def _make_room(url: str) -> None:
    database = await Database.open(url)
    await keep_partitions(database, NOON)
    await database.close()


_start: Any = None
"""In a process: what all of them wait at until the last one is ready."""


def _begin_together(start: Any) -> None:
    global _start
    _start = start


def _wait() -> tuple[float, float]:
    """Until all are ready. Returns the time, and the CPU that this process has used so far."""
    _start.wait()
    return time.time(), time.process_time()


def _batch(number: int) -> list[Callback]:
    """As many callbacks of one report as are written together under load."""
    return [a_callback(an_sms(f"{number:06}-{n:04}-2f1c9ab0d3")) for n in range(BATCH)]


def receive(job: Job) -> Took:
    """In a process: one batch under way at a time, as a receiver has (store/writer.py)."""
    return asyncio.run(_receive(job))


async def _receive(job: Job) -> Took:
    batches = [_batch(number) for number in job.batches]
    database = await Database.open(job.url)
    try:
        store = PostgresStore(database)
        began, before = _wait()
        for batch in batches:
            counts = await store.add(batch)
            assert all(each.stored == 1 for each in counts)
        return began, time.time(), time.process_time() - before
    finally:
        await database.close()


def copy(job: Job) -> Took:
    """In a process: what of the same rows can be prepared is prepared before the clock runs."""
    reports, keys = _rows([_batch(number) for number in job.batches])
    began, before = _wait()
    _copy_rows(job.url, reports, keys)
    return began, time.time(), time.process_time() - before


def _copy_rows(url: str, reports: Sequence[bytes], keys: Sequence[bytes]) -> None:
    with postgres.in_autocommit(url) as connection:
        for of_reports, of_keys in zip(reports, keys, strict=True):
            with connection.transaction():
                for table, rows in (("report_key", of_keys), ("report", of_reports)):
                    with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                        copy.write(rows)


def _rows(batches: Sequence[Batch]) -> tuple[list[bytes], list[bytes]]:
    """The rows of each batch, as COPY reads them."""
    reports, keys = [], []
    id = 0
    for batch in batches:
        of_reports, of_keys = [], []
        for callback in batch:
            id += 1
            (entry,) = callback.verdict.entries
            at = micros(callback.received_at)
            row = (id, at, "default", "json", entry.generation, entry.final, entry.status_group)
            rest = (0, entry.message_key, entry.identity, f"\\\\x{entry.item.hex()}")
            of_reports.append("\t".join(map(str, (*row, *rest, r"\N", r"\N", r"\N"))))
            day = at // MICROS_PER_DAY
            key = (day, entry.message_key, "default", entry.identity, id)
            of_keys.append("\t".join(map(str, key)))
        reports.append(("\n".join(of_reports) + "\n").encode())
        keys.append(("\n".join(of_keys) + "\n").encode())
    return reports, keys


def rows(found: Ingest) -> Iterator[Row]:
    """Against COPY, and several receivers against one."""
    for number, measured in found.measured.items():
        of = f"PostgreSQL, batches of {BATCH}, {number} receiver{'s' * (number > 1)}"
        yield _row(of, measured, "COPY, one connection", found.ceiling[number], at_least=0.4)
        if number > 1:
            yield _row(of, measured, "1 receiver", found.measured[1])


def _row(
    what: str, measured: Sequence[Written], beside: str, than: Sequence[Written], **least: float
) -> Row:
    return Row(
        what=what,
        measured=[each.passed for each in measured],
        unit="rows/s",
        ceiling=beside,
        beside=[each.passed for each in than],
        **least,
    )


def costs(found: Ingest) -> Iterator[tuple[str, ...]]:
    """Microseconds of CPU a row: of whoever writes, and of the server."""
    ways = {f"{number} receivers": each for number, each in found.measured.items()}
    ways["COPY"] = [each for measured in found.ceiling.values() for each in measured]
    for name, measured in ways.items():
        own = median(1e6 / each.cpu for each in measured)
        of_server = median(1e6 / each.of_server for each in measured)
        yield name, f"{own:.1f}", f"{of_server:.1f}"


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--batches", type=int, default=60)
    given = parser.parse_args()
    found = ingest(rounds=given.rounds, batches=given.batches)
    print_rows(rows(found))
    header = ("written by", "its CPU, µs a row", "the server's")
    print_table("What a row costs", header, list(costs(found)))


if __name__ == "__main__":
    main()
