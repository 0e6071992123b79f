"""Scenarios in a line, and what may be read off their timelines."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from dispatcher.simulation import engines
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.scenario import Scenario, read_scenario
from dispatcher.simulation.timeline import Timeline
from receiver.settings.reader import read_table

MINUTE = 60.0
HOUR = 3600.0

GALLERY = Path(__file__).parents[2] / "config" / "scenarios"

DOWN_FOR_EVER = {"behaves": "refuses"}
ONE_REPORT = {"duration": "1s", "arrivals": {"per_second": 1.0}}
"""A single report, at the start."""


def a_scenario(**tables: Any) -> Scenario:
    """As a file with these tables would say it. `endpoint` pushes each report alone."""
    given = {"duration": "1h", "endpoint": {}, **tables}
    given["endpoint"] = {"bucket_size": 1, "window": 10_000, **given["endpoint"]}
    return read_table(Scenario, given)


def simulated(**tables: Any) -> Timeline:
    return simulate_exact(a_scenario(**tables))


@cache
def of_the_gallery(name: str) -> Timeline:
    """Played once, for all that is asked of it."""
    return engines.simulate_with(read_scenario(GALLERY / f"{name}.toml"), "auto")


def nonzero(column: list[int]) -> list[int]:
    """The numbers of the bins in which something is."""
    return [index for index, count in enumerate(column) if count]


def outage(at: str, lasts: str, behaves: str = "refuses", **more: Any) -> dict[str, Any]:
    return {"at": at, "lasts": lasts, "behaves": behaves, **more}


def seconds(value: timedelta) -> float:
    return value.total_seconds()
