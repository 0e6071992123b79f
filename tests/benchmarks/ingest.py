"""Durable ingest against a bare aiohttp handler, and against `executemany` of the same rows.

`dlr receive` and the handler are processes of their own; the load is a third. Rounds alternate.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from receiver.callbacks.intake import verdict_on_bytes
from receiver.store.callback import Entry
from receiver.store.instants import micros
from receiver.store.sqlite.database import PRAGMAS
from receiver.store.sqlite.store import MIGRATIONS
from tests.benchmarks.bodies import Kind, body
from tests.benchmarks.load import Load, load
from tests.benchmarks.processes import dlr, server
from tests.benchmarks.results import Row, arguments, print_rows

BATCH = 1_000
"""Rows a transaction, in the ceiling of large bodies."""


class Ingest(Struct, frozen=True):
    """Rounds of the service and of its ceiling; the reports of all rounds, and those in the store.

    What lies in the store was counted in the file after the service had stopped.
    """

    measured: list[Load]
    ceiling: list[Load]
    answered: int
    stored: int


def single(kind: Kind, *, rounds: int, seconds: float, connections: int = 64) -> Ingest:
    """One report a request."""
    measured: list[Load] = []
    ceiling: list[Load] = []
    with TemporaryDirectory() as folder:
        database = Path(folder, "dlr.db")
        with server(["tests.benchmarks.bare"]) as bare, dlr("receive", database) as receiver:
            for _ in range(rounds):
                ceiling.append(load(bare, kind, seconds=seconds, connections=connections))
                measured.append(load(receiver, kind, seconds=seconds, connections=connections))
        return Ingest(
            measured, ceiling, sum(each.answered for each in measured), reports_in(database)
        )


class Bulk(Struct, frozen=True):
    """Reports a second, of the service and of `executemany`, a round each; and reports a second of
    the processor."""

    measured: list[float]
    ceiling: list[float]
    measured_cpu: list[float]
    ceiling_cpu: list[float]
    answered: int
    stored: int


def bulk(*, rounds: int, seconds: float, rows: int, reports: int = 100) -> Bulk:
    """Many reports a request."""
    measured: list[Load] = []
    ceiling: list[tuple[float, float]] = []
    with TemporaryDirectory() as folder:
        database = Path(folder, "dlr.db")
        bare = _an_empty_store(Path(folder, "bare.db"))
        with closing(bare), dlr("receive", database) as receiver:
            for _ in range(rounds):
                ceiling.append(_insert(bare, rows))
                measured.append(load(receiver, "json", seconds=seconds, reports=reports))
        answered = sum(each.answered for each in measured) * reports
        return Bulk(
            measured=[each.rate * reports for each in measured],
            ceiling=[rate for rate, _ in ceiling],
            measured_cpu=[each.cpu_rate * reports for each in measured],
            ceiling_cpu=[cpu for _, cpu in ceiling],
            answered=answered,
            stored=reports_in(database),
        )


def reports_in(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        count: int = connection.execute("SELECT count(*) FROM report").fetchone()[0]
        return count


def _an_empty_store(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        connection.execute(pragma)
    for migration in MIGRATIONS:
        connection.executescript(migration.sql)
    return connection


def _insert(connection: sqlite3.Connection, count: int) -> tuple[float, float]:
    """Rows a second, and a second of the processor, of rows that are ready: no HTTP, no decoding,
    no look for duplicates."""
    rng = random.Random(time.time_ns())
    entries = [
        e
        for _ in range(count // 100)
        for e in verdict_on_bytes(body("json", 100, rng), "json").entries
    ]
    first = 1 + connection.execute("SELECT coalesce(max(id), 0) FROM report").fetchone()[0]
    reports, keys = _rows(entries, first, micros(datetime.now(UTC)))
    started, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(reports), BATCH):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO report (id, received_at, source, format, generation, final, status_group,"
            " duplicates, message_key, identity, item) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            reports[start : start + BATCH],
        )
        connection.executemany(
            "INSERT INTO report_key VALUES (?, ?, ?, ?, ?)", keys[start : start + BATCH]
        )
        connection.execute("COMMIT")
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return len(reports) / seconds, len(reports) / cpu


Rows = list[tuple[object, ...]]


def _rows(entries: Sequence[Entry], first: int, at: int) -> tuple[Rows, Rows]:
    day = at // 86_400_000_000
    reports: Rows = []
    keys: Rows = []
    for number, e in enumerate(entries, first):
        head = (number, at, "default", "json", e.generation, e.final, e.status_group, 0)
        reports.append((*head, e.message_key, e.identity, e.item.decode()))
        keys.append((day, e.message_key, "default", e.identity, number))
    return reports, keys


def rows(*, rounds: int, seconds: float, inserted: int) -> Iterator[Row]:
    """JSON and XML one by one, and JSON in large bodies beside `inserted` rows."""
    yield from _single_rows("json", rounds, seconds)
    yield from _single_rows("xml", rounds, seconds)
    many = bulk(rounds=rounds, seconds=seconds, rows=inserted)
    _check(many)
    what, ceiling = "JSON, 100 a request, reports", "executemany, same rows"
    yield Row(
        what=what,
        measured=many.measured,
        unit="/s",
        ceiling=ceiling,
        beside=many.ceiling,
        at_least=0.40,
    )
    yield Row(
        what="  by CPU",
        measured=many.measured_cpu,
        unit="/s",
        ceiling=ceiling,
        beside=many.ceiling_cpu,
        at_least=0.35,
    )


def _single_rows(kind: Kind, rounds: int, seconds: float) -> Iterator[Row]:
    found = single(kind, rounds=rounds, seconds=seconds)
    _check(found)
    in_json = kind == "json"

    def row(what: str, figure: str, unit: str, **target: float | None) -> Row:
        measured, beside = (
            [getattr(each, figure) for each in side] for side in (found.measured, found.ceiling)
        )
        ceiling = "aiohttp handler alone"
        return Row(
            what=what, measured=measured, unit=unit, ceiling=ceiling, beside=beside, **target
        )

    yield row(f"{kind.upper()}, 1 a request", "rate", "/s", at_least=0.35 if in_json else None)
    yield row("  by CPU", "cpu_rate", "/s", at_least=0.40 if in_json else 0.20)
    yield row("  p99", "p99", " ms", at_most=3.0 if in_json else None)


def _check(found: Ingest | Bulk) -> None:
    assert found.stored == found.answered, f"{found.answered} answered, {found.stored} stored"


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    print_rows(rows(rounds=given.rounds, seconds=given.seconds, inserted=50_000))


if __name__ == "__main__":
    main()
