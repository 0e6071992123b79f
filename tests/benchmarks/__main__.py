"""All benchmarks in one table, in less than five minutes on two cores.

Each part has fewer and shorter rounds here than alone (`python -m tests.benchmarks.ingest`, …).
`--short` takes seconds: it shows that all of it works, and its figures mean nothing.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from functools import partial

from tests.benchmarks import (
    claim,
    cohort,
    growth,
    ingest,
    memory,
    push,
    sandbox,
    simulate,
    two_processes,
)
from tests.benchmarks.others import comparison
from tests.benchmarks.results import Row, machine, print_rows

Part = Callable[[], Iterator[Row]]

WHOLE: tuple[Part, ...] = (
    partial(ingest.rows, rounds=5, seconds=1.5, inserted=20_000),
    partial(push.rows, rounds=3, pushes=6_000, bucketed=60_000),
    partial(growth.rows, [10**6], rounds=5, seconds=1.5),
    partial(claim.rows, [10**3, 10**6], rounds=20, callbacks=50),
    partial(two_processes.rows, rounds=3, seconds=2.0, stock=20_000),
    partial(simulate.rows, rounds=3, reports=500),
    partial(cohort.rows, rounds=1, sizes=(10**9,)),
    partial(memory.rows, 10**5),
    partial(sandbox.rows, rounds=3, seconds=1.0),
    partial(comparison.rows, rounds=3, seconds=1.5, pushes=2_000),
)
SHORT: tuple[Part, ...] = (
    partial(ingest.rows, rounds=1, seconds=0.2, inserted=1_000),
    partial(push.rows, rounds=1, pushes=100, bucketed=500),
    partial(growth.rows, [1_000], rounds=1, seconds=0.2),
    partial(claim.rows, [1_000, 2_000], rounds=1, callbacks=2),
    partial(two_processes.rows, rounds=1, seconds=0.2, stock=300),
    partial(simulate.rows, rounds=1, reports=40),
    partial(cohort.rows, rounds=1, sizes=(10_000,), hours=1),
    partial(memory.rows, 1_000),
    partial(sandbox.rows, rounds=1, seconds=0.2),
    partial(comparison.rows, rounds=1, seconds=0.2, pushes=50),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="seconds: whether all of it works")
    parts = SHORT if parser.parse_args().short else WHOLE
    started, load = time.monotonic(), os.getloadavg()[0]
    rows = [row for part in parts for row in part()]
    print_rows(rows)
    print(f"{machine()}; load {load:.1f} at the start; {time.monotonic() - started:.0f} s")
    comparison.print_missing()


if __name__ == "__main__":
    main()
