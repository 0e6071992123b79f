"""How long the cohort engine takes for a day of reports, and with how much memory: a million and a
billion of them, with an outage of three hours, in a process of its own each."""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.scenario import Scenario
from receiver.settings.reader import read_table
from tests.benchmarks.results import Row, arguments, print_rows

DAY_SECONDS = 86_400

LOADS: Mapping[str, Mapping[str, Any]] = {
    "an outage": {
        "phase": [
            {"behaves": "up", "latency": "40ms", "latency_p99": "200ms"},
            {"behaves": "refuses", "at": "9h", "lasts": "3h"},
        ],
    },
    "stalls, behind a breaker": {
        "phase": [
            {"behaves": "up", "latency": "40ms"},
            {"behaves": "stalls", "at": "9h", "lasts": "3h"},
        ],
        "endpoint": {"breaker_failures": 10},
    },
    "one in ten fails": {
        "phase": [
            {"behaves": "up", "latency": "5ms"},
            {"behaves": "answers", "status": 503, "share": 0.1, "latency": "5ms"},
        ],
        "schedule": {"preset": "svix"},
    },
}
"""What a day of a daily curve meets, by name."""


class Day(Struct):
    """One load at one size; seconds and MB, a figure for each round."""

    load: str
    reports: int
    seconds: list[float]
    megabytes: list[float]  # the peak of the process
    counted: int = 0  # reports in the timeline
    ended: int = 0  # of these acknowledged, lost or waiting


def days(*, rounds: int, sizes: Sequence[int], hours: int = 24) -> list[Day]:
    """Each load at each size; a day of `hours`."""
    found = [Day(load, reports, [], []) for load in LOADS for reports in sizes]
    context = multiprocessing.get_context("spawn")
    for day in (day for _ in range(rounds) for day in found):
        with context.Pool(1) as process:
            seconds, megabytes, day.counted, day.ended = process.apply(
                _measured, (day.load, day.reports, hours)
            )
        day.seconds.append(seconds)
        day.megabytes.append(megabytes)
    return found


def _measured(load: str, reports: int, hours: int) -> tuple[float, float, int, int]:
    per_second = reports / (DAY_SECONDS * hours / 24)
    arrivals = {"kind": "daily", "per_second": per_second, "by_chance": True}
    scenario = read_table(Scenario, {"duration": f"{hours}h", "arrivals": arrivals, **LOADS[load]})
    start = time.perf_counter()
    totals = simulate_cohort(scenario).totals
    seconds = time.perf_counter() - start
    return seconds, _peak(), totals.reports, totals.acknowledged + totals.exhausted + totals.waiting


def _peak() -> float:
    """In MB. `ru_maxrss` would count what the process that started this one had taken, too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def rows(*, rounds: int, sizes: Sequence[int], hours: int = 24) -> Iterator[Row]:
    for day in days(rounds=rounds, sizes=sizes, hours=hours):
        what = f"{day.reports:.0e} reports, {day.load}"
        most = 5.0 if day.reports == 10**9 and day.load == "an outage" else None
        yield Row(what=what, measured=day.seconds, unit=" s", at_most=most)
        yield Row(what="  memory", measured=day.megabytes, unit=" MB")


def main() -> None:
    given = arguments(__doc__, rounds=3).parse_args()
    print_rows(rows(rounds=given.rounds, sizes=(10**6, 10**9)))


if __name__ == "__main__":
    main()
