"""Ingest into a store that holds 10⁵, 10⁶ (and 10⁷) reports, against an empty one.

100 reports a request with random messageIds; the stored ones are spread over ten days.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from tests.benchmarks.ingest import reports_in
from tests.benchmarks.load import load
from tests.benchmarks.processes import dlr
from tests.benchmarks.results import Row, arguments, print_rows
from tests.benchmarks.stock import fill_reports

REPORTS = 100
CONNECTIONS = 8
"""Enough to keep the writer busy; 64 bodies of 100 would wait 200 ms for each other."""


class Growth(Struct, frozen=True):
    """Reports a second of each round by how many were stored before, 0 = the empty store."""

    rates: dict[int, list[float]]
    answered: dict[int, int]
    stored: dict[int, int]  # without those from before


def grow(sizes: list[int], *, rounds: int, seconds: float) -> Growth:
    rates: dict[int, list[float]] = {size: [] for size in (0, *sizes)}
    answered = dict.fromkeys(rates, 0)
    with TemporaryDirectory() as folder:
        files = {size: Path(folder, f"{size}.db") for size in rates}
        for size in sizes:
            fill_reports(files[size], size)
        with ExitStack() as stack:
            servers = {s: stack.enter_context(dlr("receive", path)) for s, path in files.items()}
            for _ in range(rounds):
                for size, target in servers.items():
                    found = load(
                        target, "json", seconds=seconds, reports=REPORTS, connections=CONNECTIONS
                    )
                    rates[size].append(found.rate * REPORTS)
                    answered[size] += found.answered * REPORTS
        stored = {size: reports_in(path) - size for size, path in files.items()}
    return Growth(rates, answered, stored)


def rows(sizes: list[int], *, rounds: int, seconds: float) -> Iterator[Row]:
    found = grow(sizes, rounds=rounds, seconds=seconds)
    assert found.answered == found.stored, f"{found.answered} answered, {found.stored} stored"
    for size in sizes:
        yield Row(
            what=f"ingest with {size:,} stored",
            measured=found.rates[size],
            unit="/s",
            ceiling="with none",
            beside=found.rates[0],
            at_least=0.8 if size <= 10**6 else 0.7,
        )


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--long", action="store_true", help="10⁷ too: 8 GB of disk, minutes")
    given = parser.parse_args()
    sizes = [10**5, 10**6, *([10**7] if given.long else [])]
    print_rows(rows(sizes, rounds=given.rounds, seconds=given.seconds))


if __name__ == "__main__":
    main()
