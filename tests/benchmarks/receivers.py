"""`dlr receive --receivers N` on one port, for N = 1, 2 and 4, beside each other in each round.

Each round of each N has a fresh database. A machine with few cores cannot show what more would do,
because the load, PostgreSQL and all receivers share them. So beside the rate stand two figures of
CPU, each until the first process has also followed with its searches and totals: what a callback
takes of all processes, and how many callbacks there are for each second of the busiest process. The
second is the rate at which the busiest process would fill a core of its own.

    python -m tests.benchmarks.receivers [--on postgresql] [--rounds 4] [--seconds 2]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from msgspec import Struct

from tests.benchmarks.load import Load, load
from tests.benchmarks.postgres_queue import durable_server, migrated
from tests.benchmarks.processes import CPU_TICK, Running, cpu_seconds, server
from tests.benchmarks.results import Row, arguments, print_rows

COUNTS = (1, 2, 4)
CONNECTIONS = 64

SETTLED_SECONDS = 1.0
"""So long the first process does nothing once it has followed: it looks twice a second."""


class Round(Struct, frozen=True):
    load: Load
    cpu: list[float]  # seconds of each process, the first one first

    @property
    def rate(self) -> float:
        return self.load.rate

    @property
    def micros(self) -> float:
        """CPU of all processes for each callback."""
        return sum(self.cpu) / self.load.answered * 1e6

    @property
    def of_the_busiest(self) -> float:
        """Callbacks for each second of the busiest process."""
        return self.load.answered / max(self.cpu)


def measured(database: str, folder: Path, receivers: int, seconds: float) -> Round:
    config = folder / f"{receivers}.toml"
    config.write_text("")
    words = ["dispatcher", "receive", "--port", "0", "--receivers", str(receivers)]
    with server([*words, "--config", str(config), "--database", database]) as running:
        processes = [running.pid, *children_of(running)]
        assert len(processes) == (1 if receivers == 1 else 1 + receivers)
        before = [cpu_seconds(each) for each in processes]
        result = load(running, "json", seconds=seconds, connections=CONNECTIONS)
        settle(running.pid)
        cpu = [cpu_seconds(each) for each in processes]
    assert result.refused == 0, f"{result.refused} refused"
    return Round(result, [b - a for a, b in zip(before, cpu, strict=True)])


def children_of(running: Running) -> list[int]:
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    return [int(each) for each in children]


def settle(pid: int) -> None:
    """Wait until a process has nothing more to do."""
    used = -1.0
    while (now := cpu_seconds(pid)) > used + 3 * CPU_TICK:
        used = now
        time.sleep(SETTLED_SECONDS)


@contextmanager
def databases(kind: Literal["sqlite", "postgresql"]) -> Iterator[Iterator[str]]:
    """Fresh ones."""
    if kind == "sqlite":
        with TemporaryDirectory() as folder:
            yield (str(Path(folder, f"{number}.db")) for number in range(1000))
    else:
        with durable_server() as url:
            yield _on_postgres(url)


def _on_postgres(url: str) -> Iterator[str]:
    while True:
        with migrated(url) as database:
            yield database


def rows(*, kind: Literal["sqlite", "postgresql"], rounds: int, seconds: float) -> Iterator[Row]:
    found: dict[int, list[Round]] = {count: [] for count in COUNTS}
    with databases(kind) as fresh, TemporaryDirectory() as folder:
        for _ in range(rounds):
            for count, results in found.items():
                results.append(measured(next(fresh), Path(folder), count, seconds))
    figures: tuple[tuple[str, str, Callable[[Round], float]], ...] = (
        ("callbacks", "/s", lambda each: each.rate),
        ("CPU a callback, all", " us", lambda each: each.micros),
        ("callbacks by CPU of the busiest", "/s", lambda each: each.of_the_busiest),
    )
    for count in COUNTS[1:]:
        for what, unit, figure in figures:
            yield Row(
                what=f"{what}, {count} receivers",
                measured=[figure(each) for each in found[count]],
                unit=unit,
                ceiling="1 receiver",
                beside=[figure(each) for each in found[1]],
            )


def main() -> None:
    parser = arguments(__doc__, rounds=4)
    parser.add_argument("--on", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    print_rows(rows(kind=given.on, rounds=given.rounds, seconds=given.seconds))


if __name__ == "__main__":
    main()
