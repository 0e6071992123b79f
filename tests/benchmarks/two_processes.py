"""`dlr receive` and `dlr dispatch` on one file, each beside the other against each alone.

Every round has a fresh database: the receiver alone under load; the dispatcher alone on a stock of
reports; then both, the dispatcher with such a stock and the receiver under the same load: once on
two files, which is what the machine gives to two such processes at all, and once on one. Rates of
the dispatcher are taken at the customer, while the load lasts.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from tests.benchmarks.load import Load, load
from tests.benchmarks.processes import Running, dlr, server
from tests.benchmarks.push import WINDOW, fill
from tests.benchmarks.results import Row, arguments, print_rows
from tests.benchmarks.sink import received


class Beside(Struct):
    """What each of the two did in each round; pushes a second, a report each."""

    received: list[Load]
    pushed: list[float]


class TwoProcesses(Struct):
    """The rounds, and what was counted over all rounds on one file."""

    alone: Beside
    apart: Beside  # at the same time, on two files
    together: Beside  # at the same time, on one
    answered: int = 0  # reports of callbacks that were answered 200 while both ran
    refused: int = 0  # callbacks that were not
    stored: int = 0  # reports in the file after both had stopped, less the stock
    recorded: int = 0  # attempts in the file
    pushes: int = 0  # pushes that the customer saw


def two_processes(*, rounds: int, seconds: float, stock: int) -> TwoProcesses:
    found = TwoProcesses(Beside([], []), Beside([], []), Beside([], []))
    with server(["tests.benchmarks.sink"]) as sink:
        for _ in range(rounds):
            with TemporaryDirectory() as folder, dlr("receive", Path(folder, "r.db")) as receiver:
                found.alone.received.append(load(receiver, "json", seconds=seconds))
            with _stocked(stock) as database:
                with _dispatching(database, sink):
                    found.alone.pushed.append(_pushed(sink, seconds))
                received(sink, restart=True)
            with _stocked(stock) as database, TemporaryDirectory() as folder:
                _both(Path(folder, "r.db"), database, sink, found.apart, seconds)
                received(sink, restart=True)
            with _stocked(stock) as database:
                result = _both(database, database, sink, found.together, seconds)
                _count(found, result, database, stock, received(sink, restart=True).pushes)
    return found


@contextmanager
def _stocked(stock: int) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        database = Path(folder, "dlr.db")
        asyncio.run(fill(database, stock))
        yield database


def _both(receiving: Path, dispatching: Path, sink: Running, found: Beside, seconds: float) -> Load:
    with dlr("receive", receiving) as receiver, _dispatching(dispatching, sink):
        watching = threading.Thread(target=lambda: found.pushed.append(_pushed(sink, seconds)))
        watching.start()
        result = load(receiver, "json", seconds=seconds)
        watching.join()
    found.received.append(result)
    return result


def _count(found: TwoProcesses, result: Load, database: Path, stock: int, pushes: int) -> None:
    found.answered += result.answered
    found.refused += result.refused
    found.pushes += pushes
    with closing(sqlite3.connect(database)) as connection:
        count = connection.execute("SELECT count(*) FROM report").fetchone()[0]
        found.stored += count - stock
        found.recorded += connection.execute("SELECT count(*) FROM attempt").fetchone()[0]


@contextmanager
def _dispatching(database: Path, sink: Running) -> Iterator[None]:
    # A file of settings of its own: that of the receiver lies beside the database.
    with dlr("dispatch", database, endpoint=sink.url, bucket_size=1, window=WINDOW):
        yield


def _pushed(sink: Running, seconds: float) -> float:
    """Pushes a second that the customer sees from now on."""
    started, before = time.monotonic(), received(sink).pushes
    time.sleep(seconds)
    return (received(sink).pushes - before) / (time.monotonic() - started)


def rows(*, rounds: int, seconds: float, stock: int) -> Iterator[Row]:
    """One file against each alone, which has a target, and against two files."""
    found = two_processes(rounds=rounds, seconds=seconds, stock=stock)
    assert found.refused == 0, f"{found.refused} refused"
    assert found.stored == found.answered, f"{found.answered} answered, {found.stored} stored"
    yield from _compared("callbacks, two on one file", "/s", found, _rate, at_least=0.7)
    yield from _compared("pushes, two on one file", "/s", found, _pushes, at_least=0.7)
    yield from _compared("p99, two on one file", " ms", found, _p99)


def _rate(way: Beside) -> list[float]:
    return [each.rate for each in way.received]


def _p99(way: Beside) -> list[float]:
    return [each.p99 for each in way.received]


def _pushes(way: Beside) -> list[float]:
    return way.pushed


def _compared(
    what: str,
    unit: str,
    found: TwoProcesses,
    figures: Callable[[Beside], list[float]],
    at_least: float | None = None,
) -> Iterator[Row]:
    for name, ceiling, beside, target in (
        (what, "each alone", found.alone, at_least),
        ("  the same", "two files at once", found.apart, None),
    ):
        yield Row(
            what=name,
            measured=figures(found.together),
            unit=unit,
            ceiling=ceiling,
            beside=figures(beside),
            at_least=target,
        )


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--stock", type=int, default=60_000)
    given = parser.parse_args()
    print_rows(rows(rounds=given.rounds, seconds=given.seconds, stock=given.stock))


if __name__ == "__main__":
    main()
