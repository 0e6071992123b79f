"""dispatcher/CAPACITY.md: each figure that it calculates follows from those that it measured.

What a report costs is measured (`python -m tests.benchmarks.capacity`) and stands in its first
table. All other tables are calculated here, from that one and by the simulator's cohort engine, and
must be what the guide shows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec import Struct

from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.scenario import BY_DAY
from receiver.store.postgres.database import CONNECTIONS
from receiver.store.postgres.partitions import ID_BITS
from tests.docs.documents import ROOT
from tests.simulation.support import a_scenario

TEXT = (ROOT / "dispatcher" / "CAPACITY.md").read_text("utf-8")

DAY = 86_400
PEAK = max(BY_DAY) / (sum(BY_DAY) / 24)
"""How much more than the average comes in the busiest hour of a usual day."""

BUSY = 0.5
"""So much of a core is used in that hour: what is left works off a backlog."""

MACHINE = 8  # cores
PRIMARY = 32  # cores
VOLUMES = (10**6, 10**8, 10**9, 10**10)


class Cost(Struct):
    """Of one report; CPU in microseconds."""

    receiver: float
    dispatcher: float
    server: float
    stored: float
    log: float
    flushes: float

    @property
    def processes(self) -> float:
        return self.receiver + self.dispatcher


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert rows, heading
    first = []
    for line in section[section.index(rows[0]) :].splitlines():
        if not line.startswith("|"):
            break
        first.append([cell.strip() for cell in line.strip("|").split("|")])
    return first[2:]


def costs() -> list[Cost]:
    """SQLite with one report at once, and with a hundred; then PostgreSQL."""
    columns = zip(*(row[1:] for row in table("What a report costs")), strict=True)
    return [
        Cost(*(0.0 if cell == "–" else float(cell.replace(",", "")) for cell in column))
        for column in columns
    ]


SQLITE_1, SQLITE_100, POSTGRES_1, POSTGRES_100 = costs()


def two_digits(number: float) -> str:
    """Rounded, with commas."""
    if number == 0:
        return "0"
    digits = 1 - math.floor(math.log10(abs(number)))
    rounded = round(number, digits)
    return f"{rounded:,.{max(0, digits)}f}"


def amount(number: float) -> str:
    """In words, as people say it."""
    for unit, word in ((1e9, "billion"), (1e6, "million")):
        if number >= unit:
            return f"{two_digits(number / unit).removesuffix('.0')} {word}"
    return two_digits(number)


def size(number: float) -> str:
    for unit, word in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if number >= unit:
            return f"{two_digits(number / unit)} {word}"
    return f"{two_digits(number / 1e3)} KB"


def span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def daily(cpu: float, cores: float) -> float:
    """Reports a day that so many cores take, each of which costs so many microseconds of them."""
    return BUSY * cores * 1e6 / cpu / PEAK * DAY


def of_peak(volume: float, each: float) -> float:
    """A second in the busiest hour."""
    return volume / DAY * PEAK * each


def cores(volume: float, cpu: float) -> int:
    """To be had, of which that hour uses BUSY."""
    return math.ceil(of_peak(volume, cpu) / 1e6 / BUSY)


# --- the tables ----------------------------------------------------------------------------------


def reports_a_day() -> list[list[str]]:
    def row(what: str, *of: float) -> list[str]:
        return [what, *map(amount, of)]

    sqlite, postgres = (SQLITE_1, SQLITE_100), (POSTGRES_1, POSTGRES_100)
    return [
        row("one core: `dlr serve` on SQLite", *(daily(each.processes, 1) for each in sqlite)),
        row(
            "two cores: `dlr receive` and `dlr dispatch` on one SQLite file",
            *(daily(max(each.receiver, each.dispatcher), 1) for each in sqlite),
        ),
        row(
            f"one machine of {MACHINE} cores with PostgreSQL on it",
            *(daily(each.processes + each.server, MACHINE) for each in postgres),
        ),
        row(
            f"each further machine of {MACHINE} cores for receivers and dispatchers",
            *(daily(each.processes, MACHINE) for each in postgres),
        ),
        row(
            f"one primary of {PRIMARY} cores, with as many machines as it feeds",
            *(daily(each.server, PRIMARY) for each in postgres),
        ),
    ]


NEEDS = (
    "reports a second: average / busiest hour",
    "cores for receivers",
    "cores for dispatchers",
    "cores for PostgreSQL",
    f"primaries of {PRIMARY} cores",
    "connections",
    "log of PostgreSQL, a second",
    "flushes a second",
    "disk for 30 days",
    "partitions a day, of each table",
)


def what_it_needs() -> list[list[str]]:
    """For each volume: a hundred reports a callback and push, and in brackets one."""
    few, many = POSTGRES_1, POSTGRES_100

    def both(of_many: object, of_few: object) -> str:
        return f"{of_many} ({of_few})"

    def each(volume: int) -> list[str]:
        receivers = [cores(volume, cost.receiver) for cost in (many, few)]
        dispatchers = [cores(volume, cost.dispatcher) for cost in (many, few)]
        servers = [cores(volume, cost.server) for cost in (many, few)]
        processes = [max(2, a) + max(2, b) for a, b in zip(receivers, dispatchers, strict=True)]
        cells = [math.ceil(number / PRIMARY) for number in servers]
        partitions = math.ceil(volume / 2**ID_BITS)
        return [
            f"{two_digits(volume / DAY)} / {two_digits(of_peak(volume, 1))}",
            both(*(f"{number:,}" for number in receivers)),
            both(*(f"{number:,}" for number in dispatchers)),
            both(*(f"{number:,}" for number in servers)),
            both(*(f"{number:,}" for number in cells)),
            both(*(f"{number * CONNECTIONS:,}" for number in processes)),
            both(*(size(of_peak(volume, cost.log)) for cost in (many, few))),
            both(*(two_digits(of_peak(volume, cost.flushes / 1000)) for cost in (many, few))),
            both(*(size(volume * cost.stored * 30) for cost in (many, few))),
            f"{partitions}",
        ]

    columns = zip(*(each(volume) for volume in VOLUMES), strict=True)
    return [[name, *row] for name, row in zip(NEEDS, columns, strict=True)]


class Outage(Struct):
    backlog: int
    drained: timedelta
    attempts: int


def outage(volume: int) -> Outage:
    """Endpoints refuse all for an hour, beginning at noon."""
    window = max(20, math.ceil(of_peak(volume, 1) / 100))
    found = simulate_cohort(
        a_scenario(
            duration="24h",
            arrivals={"kind": "daily", "per_second": volume / DAY, "per_callback": 1},
            endpoint={"bucket_size": 100, "window": window},
            phase=[
                {"behaves": "up", "latency": "200ms"},
                {"behaves": "refuses", "at": "12h", "lasts": "1h"},
            ],
        )
    )
    assert found.totals.exhausted == 0
    assert found.drained_at is not None
    assert found.recovered_at is not None
    drained = timedelta(seconds=round(found.drained_at - found.recovered_at))
    return Outage(max(found.bins.backlog), drained, found.totals.wasted)


def outages() -> list[list[str]]:
    rows = []
    for volume in VOLUMES:
        found = outage(volume)
        refused = of_peak(volume, 3600)
        rows.append(
            [
                amount(volume),
                amount(found.backlog),
                size(found.backlog * POSTGRES_100.stored),
                span(found.drained.total_seconds()),
                amount(refused),
                span(3600 * BUSY / (1 - BUSY)),
            ]
        )
    return rows


@pytest.mark.parametrize(
    ("heading", "calculated"),
    [
        ("Reports a day", reports_a_day),
        ("What a number of reports needs", what_it_needs),
        ("An hour's outage", outages),
    ],
)
def test_each_figure_is_what_is_calculated(
    heading: str, calculated: Callable[[], list[list[str]]]
) -> None:
    assert table(heading) == calculated()


def test_what_it_assumes_is_what_is_calculated_with() -> None:
    """The busiest hour, the share of a core, the sizes of machines, connections, partitions."""
    for said in (
        f"{PEAK:.1f} times the average",
        f"{BUSY:.0%} of each core",
        f"{CONNECTIONS} connections",
        f"2^{ID_BITS} ids",
    ):
        assert re.sub(r"\s+", " ", TEXT).count(said) >= 1, said
