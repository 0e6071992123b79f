"""What a report costs from callback to push: CPU of each process, bytes, and flushes of the disk.

`dlr receive` and `dlr dispatch` share a database, on SQLite and on PostgreSQL, under load with one
and with a hundred reports a callback and a push. CPU a report moves less than rates do when other
programs use the machine. dispatcher/CAPACITY.md calculates with these figures.

    python -m tests.benchmarks.capacity [--seconds 10]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from msgspec import Struct

from tests.benchmarks.load import load
from tests.benchmarks.processes import Running, cpu_seconds, server
from tests.benchmarks.sink import received
from tests.postgres import a_database, in_autocommit
from tests.postgres import server as postgres_server

AT_ONCE = (1, 100)
"""Reports a callback, and a push."""


class Cost(Struct, frozen=True):
    """Of one report. CPU in microseconds, sizes in bytes."""

    database: str
    at_once: int
    reports: int
    receiver: float
    dispatcher: float
    server: float  # the processes of PostgreSQL
    stored: float  # with indexes, attempts and what its push left
    log: float  # of the write-ahead log of PostgreSQL; SQLite's is used again
    flushes: float  # of that log; SQLite does not count them


class Place(Struct, frozen=True):
    """A database. `size`, `log` and `flushes` are so far; `pids` are those of its server."""

    url: str
    size: Callable[[], int]
    log: Callable[[], int] = lambda: 0
    flushes: Callable[[], int] = lambda: 0
    pids: Callable[[], list[int]] = list


@contextmanager
def on_sqlite() -> Iterator[Place]:
    with TemporaryDirectory() as folder:
        file = Path(folder, "dlr.db")
        yield Place(str(file), lambda: file.stat().st_size if file.exists() else 0)


@contextmanager
def on_postgres() -> Iterator[Place]:
    with TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        data = Path(made, "data")
        with postgres_server(data, safe=True) as url, a_database(url) as database:

            def asked(statement: str) -> int:
                with in_autocommit(database) as connection:
                    row = connection.execute(statement).fetchone()
                assert row is not None
                return int(row[0])

            postmaster = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
            yield Place(
                database,
                lambda: asked("SELECT pg_database_size(current_database())"),
                lambda: asked("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"),
                lambda: asked("SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"),
                lambda: [each.pid for each in [postmaster, *postmaster.children()]],
            )


PLACES = {"SQLite": on_sqlite, "PostgreSQL": on_postgres}


def cost(name: str, at_once: int, seconds: float) -> Cost:
    """Load for so many seconds, then until all has been pushed."""
    with ExitStack() as stack:
        enter = stack.enter_context
        folder = Path(enter(TemporaryDirectory()))
        sink = enter(server(["tests.benchmarks.sink"]))
        place = enter(PLACES[name]())
        config = folder / "dlr.toml"
        config.write_text(
            f'[log]\nlevel = "warning"\n[[endpoint]]\nname = "sink"\nurl = "{sink.url}"\n'
            f"bucket_size = {at_once}\nwindow = 32\n"
        )
        words = ("--port", "0", "--config", str(config), "--database", place.url)
        receiver, dispatcher = (
            enter(server(["dispatcher", command, *words])) for command in ("receive", "dispatch")
        )
        load(receiver, "json", seconds=1, reports=at_once)  # the first ones find all cold
        _pushed(sink, dispatcher.pid)
        size, log, flushes = place.size(), place.log(), place.flushes()
        servers = {pid: _cpu(pid) for pid in place.pids()}
        used = cpu_seconds(receiver.pid), cpu_seconds(dispatcher.pid)
        reports = load(receiver, "json", seconds=seconds, reports=at_once).answered * at_once
        _pushed(sink, dispatcher.pid)

        def each(total: float) -> float:
            return total / reports

        return Cost(
            name,
            at_once,
            reports,
            each(1e6 * (cpu_seconds(receiver.pid) - used[0])),
            each(1e6 * (cpu_seconds(dispatcher.pid) - used[1])),
            each(1e6 * sum(_cpu(pid) - servers.get(pid, 0.0) for pid in place.pids())),
            each(place.size() - size),
            each(place.log() - log),
            each(place.flushes() - flushes),
        )


def _cpu(pid: int) -> float:
    try:
        return cpu_seconds(pid)
    except OSError:
        return 0.0


def _pushed(sink: Running, dispatcher: int) -> None:
    """Until the sink has got nothing for a second, and the dispatcher has recorded it."""
    last = -1
    while (now := received(sink).pushes) != last:
        last = now
        time.sleep(1.5)
    before = cpu_seconds(dispatcher)
    time.sleep(1.0)
    while cpu_seconds(dispatcher) - before > 0.3:
        before = cpu_seconds(dispatcher)
        time.sleep(1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--database", choices=PLACES, action="append")
    given = parser.parse_args()
    print(
        "reports at once: CPU a report of receiver, dispatcher, server; bytes stored, of the log;"
    )
    print("flushes a thousand reports")
    for name in given.database or PLACES:
        for at_once in AT_ONCE:
            found = cost(name, at_once, given.seconds)
            print(
                f"{found.database:10} {found.at_once:4} {found.receiver:6.0f} µs"
                f" {found.dispatcher:6.0f} µs {found.server:6.0f} µs {found.stored:7,.0f} B"
                f" {found.log:7,.0f} B {1000 * found.flushes:6.1f}  ({found.reports:,} reports)",
                flush=True,
            )


if __name__ == "__main__":
    main()
