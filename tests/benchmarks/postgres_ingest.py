"""Ingest into PostgreSQL: what the store adds, against COPY of the same rows by one connection.

Batches of 512 reports, with 1, 2 and 4 writers. Rounds alternate, each into tables that begin
empty, on a server of its own whose commits are on disk. The ceiling only copies rows that are ready
into the same two tables; the store also looks for repeats, takes ids, and commits each batch.

    python -m tests.benchmarks.postgres_ingest [--rounds 5] [--batches 60]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from dispatcher.queue.postgres.schema import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.store.callback import Callback
from receiver.store.instants import MICROS_PER_DAY, micros
from receiver.store.postgres.database import Database
from receiver.store.postgres.partitions import keep_partitions
from receiver.store.postgres.schema import MIGRATIONS as STORE_MIGRATIONS
from receiver.store.postgres.store import PostgresStore
from tests import postgres
from tests.benchmarks.results import Row, arguments, print_rows
from tests.contracts.report_store import NOON, a_callback, an_sms

BATCH = 512

Batch = Sequence[Callback]
Write = Callable[[Database, str, Sequence[Batch], int], Awaitable[float]]
"""Writes all batches, with so many writers. Returns the seconds that it took."""


class Ingest(Struct, frozen=True):
    """Rows a second of each round, by the number of writers, and of COPY beside it."""

    measured: dict[int, list[float]]
    ceiling: dict[int, list[float]]


def ingest(*, rounds: int, batches: int, writers: Sequence[int] = (1, 2, 4)) -> Ingest:
    found = Ingest({n: [] for n in writers}, {n: [] for n in writers})
    made = [_batch(number) for number in range(batches)]
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with postgres.server(Path(folder, "postgres"), safe=True) as url:
            for _ in range(rounds):
                for number in writers:
                    found.ceiling[number].append(asyncio.run(_empty(url, _copy, made, 1)))
                    found.measured[number].append(asyncio.run(_empty(url, _add, made, number)))
    return found


def _batch(number: int) -> list[Callback]:
    """As many callbacks of one report as are written together under load."""
    return [a_callback(an_sms(f"{number:06}-{n:04}-2f1c9ab0d3")) for n in range(BATCH)]


async def _empty(url: str, write: Write, batches: Sequence[Batch], writers: int) -> float:
    """Rows a second into a new database."""
    with postgres.a_database(url) as address:
        database = await Database.open(address)
        await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
        await keep_partitions(database, NOON)
        try:
            taken = await write(database, address, batches, writers)
        finally:
            await database.close()
    return len(batches) * BATCH / taken


async def _add(database: Database, _: str, batches: Sequence[Batch], writers: int) -> float:
    """Each writer has one batch under way at a time, as a receiver has (store/writer.py)."""
    waiting = iter(batches)

    async def writer() -> None:
        store = PostgresStore(database)
        for batch in waiting:
            counts = await store.add(batch)
            assert all(each.stored == 1 for each in counts)

    started = time.perf_counter()
    await asyncio.gather(*(writer() for _ in range(writers)))
    return time.perf_counter() - started


async def _copy(_: Database, url: str, batches: Sequence[Batch], __: int) -> float:
    """What of the same rows can be prepared is prepared before the clock runs."""
    reports, keys = _rows(batches)
    started = time.perf_counter()
    await asyncio.to_thread(_copy_rows, url, reports, keys)
    return time.perf_counter() - started


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


def rows(found: Ingest) -> list[Row]:
    return [
        Row(
            what=f"PostgreSQL, batches of {BATCH}, {writers} writer{'s' * (writers > 1)}",
            measured=found.measured[writers],
            unit="rows/s",
            ceiling="COPY of the same rows, one connection",
            beside=found.ceiling[writers],
            at_least=0.4,
        )
        for writers in found.measured
    ]


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--batches", type=int, default=60)
    given = parser.parse_args()
    print_rows(rows(ingest(rounds=given.rounds, batches=given.batches)))


if __name__ == "__main__":
    main()
