"""Resident memory of `dlr serve`: bare, after 10⁵ reports (long: 10⁶), and with as many waiting."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint
from tests.benchmarks.ingest import reports_in
from tests.benchmarks.load import load
from tests.benchmarks.processes import Running, dlr
from tests.benchmarks.results import Row, arguments, print_rows
from tests.benchmarks.stock import fill_dispatches

SLICE_SECONDS = 1.0

ENDPOINT = Endpoint(name="sink", url="http://127.0.0.1:9/")  # refuses


class Memory(Struct, frozen=True):
    """MiB. `stored` is what lay in the store at the end, `waiting` the dispatches of the second."""

    bare: float
    after_reports: float
    with_waiting: float
    answered: int
    stored: int
    waiting: int


def memory(reports: int) -> Memory:
    with TemporaryDirectory() as folder:
        database = Path(folder, "dlr.db")
        answered = 0
        with dlr("serve", database) as running:
            bare = resident(running)
            while answered < reports:
                found = load(running, "json", seconds=SLICE_SECONDS, reports=100, connections=16)
                answered += found.answered * 100
            after = resident(running)
        waiting = Path(folder, "waiting.db")
        fill_dispatches(waiting, reports, ENDPOINT, due=1)
        with dlr("serve", waiting, endpoint=ENDPOINT.url) as running:
            time.sleep(2 * SLICE_SECONDS)
            with_waiting = resident(running)
        with closing(sqlite3.connect(waiting)) as connection:
            left = connection.execute("SELECT count(*) FROM dispatch WHERE state = 'waiting'")
            count = left.fetchone()[0]
        return Memory(bare, after, with_waiting, answered, reports_in(database), count)


def resident(process: Running) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def rows(reports: int) -> Iterator[Row]:
    found = memory(reports)
    assert found.stored == found.answered, f"{found.answered} answered, {found.stored} stored"
    for what, megabytes, most in (
        ("memory of dlr serve", found.bare, None),
        (f"  after {reports:,} reports", found.after_reports, 150.0),
        (f"  with {reports:,} waiting", found.with_waiting, 200.0),
    ):
        yield Row(what=what, measured=[megabytes], unit=" MB", at_most=most)


def main() -> None:
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--long", action="store_true", help="10⁶ reports instead of 10⁵")
    given = parser.parse_args()
    print_rows(rows(10**6 if given.long else 10**5))


if __name__ == "__main__":
    main()
