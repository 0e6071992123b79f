"""How many attempts a CPU second the exact simulator makes, against the bare writing of their rows.

Three kinds of load: retries that fall due together (callbacks of many reports, pushed one by one),
retries that fall due one by one, and reports that are acknowledged at the first attempt. The
ceiling inserts the same number of attempts into the same tables, in groups of 64, and nothing else.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.scenario import Scenario
from receiver.settings.reader import read_table
from tests.benchmarks.results import Row, arguments, print_rows

DOWN = [{"behaves": "refuses"}]
ALONE = {"bucket_size": 1, "window": 10_000}

LOADS: Mapping[str, Mapping[str, Any]] = {
    "retries together": {
        "arrivals": {"per_second": 1.0, "per_callback": 100},
        "phase": DOWN,
        "endpoint": ALONE,
    },
    "retries one by one": {
        "arrivals": {"per_second": 0.1, "by_chance": True},
        "phase": DOWN,
        "endpoint": ALONE,
    },
    "acknowledged at once": {
        "arrivals": {"per_second": 1.0},
        "phase": [{"behaves": "up", "latency": "50ms"}],
        "endpoint": ALONE,
    },
}
"""Scenarios without their duration."""


class Simulated(Struct):
    """Attempts a CPU second of each round, by load, and those of the ceiling beside them."""

    rates: dict[str, list[float]] = field(default_factory=dict)
    ceiling: list[float] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)  # of one round
    reports: dict[str, int] = field(default_factory=dict)  # of one round


def simulate(*, rounds: int, reports: int) -> Simulated:
    """`reports` where retries fall due together, fewer where they do so one by one, and more where
    each is tried once."""
    found = Simulated()
    for _ in range(rounds):
        found.ceiling.append(_written(20 * reports))
        for name, tables in LOADS.items():
            timeline, seconds = _timed(_scenario(tables, reports))
            found.rates.setdefault(name, []).append(timeline.totals.attempts / seconds)
            found.attempts[name] = timeline.totals.attempts
            found.reports[name] = timeline.totals.reports
    return found


def _scenario(tables: Mapping[str, Any], reports: int) -> Scenario:
    if tables["phase"] != DOWN:
        reports *= 5
    elif "per_callback" not in tables["arrivals"]:
        reports //= 4
    seconds = max(1, round(reports / tables["arrivals"]["per_second"]))
    return read_table(Scenario, {**tables, "duration": f"{seconds}s"})


def _timed(scenario: Scenario) -> tuple[Any, float]:
    start = time.process_time()
    timeline = simulate_exact(scenario)
    return timeline, time.process_time() - start


def _written(attempts: int) -> float:
    """Attempts a CPU second that SQLite alone writes."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE dispatch (id INTEGER PRIMARY KEY, state TEXT, due_at INTEGER)")
    connection.execute(
        "CREATE TABLE attempt (id INTEGER PRIMARY KEY, dispatch INTEGER, number INTEGER,"
        " started_at INTEGER, duration_ms REAL, status INTEGER, outcome TEXT)"
    )
    connection.execute("CREATE INDEX due ON dispatch (due_at) WHERE state = 'waiting'")
    connection.executemany(
        "INSERT INTO dispatch VALUES (?, 'waiting', ?)", ((n, n) for n in range(1_000))
    )
    start = time.process_time()
    for first in range(0, attempts, 64):
        connection.execute("BEGIN")
        for number in range(first, min(attempts, first + 64)):
            change = ("waiting", number, number % 1_000)
            connection.execute("UPDATE dispatch SET state = ?, due_at = ? WHERE id = ?", change)
            row = (number % 1_000, number, number, 0.0, None, "unreachable")
            connection.execute("INSERT INTO attempt VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)
        connection.execute("COMMIT")
    seconds = time.process_time() - start
    connection.close()
    return attempts / seconds


def rows(*, rounds: int, reports: int) -> Iterator[Row]:
    """Attempts a second of CPU; 10,000 is the target, whatever the ceiling."""
    found = simulate(rounds=rounds, reports=reports)
    for name, rates in found.rates.items():
        yield Row(what=f"attempts, {name}, by CPU", measured=rates, unit="/s", at_least=10_000)
        yield Row(
            what="  to the ceiling",
            measured=rates,
            unit="/s",
            ceiling="their rows alone",
            beside=found.ceiling,
        )


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--reports", type=int, default=2_000)
    options = parser.parse_args()
    print_rows(rows(rounds=options.rounds, reports=options.reports))


if __name__ == "__main__":
    main()
