"""What a benchmark has found, as rows of one table.

A row compares what was measured with a ceiling that ran beside it in the same round. Absolute
figures move with whatever else the machine does, so the target is one for the ratio. A figure that
has no ceiling (memory, latency) has a target of its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from msgspec import Struct
from rich.console import Console
from rich.table import Table

WIDTH = 130


class Row(Struct, frozen=True, kw_only=True):
    """One line: a figure of each round, and that of the ceiling in the same round."""

    what: str
    measured: Sequence[float]
    unit: str
    ceiling: str = ""  # what it is compared with; "" = nothing, the figures themselves are judged
    beside: Sequence[float] = ()  # the ceiling's figures
    at_least: float | None = None  # the target, for the median
    at_most: float | None = None

    @property
    def judged(self) -> list[float]:
        """The ratio of each round to the ceiling next to it; without a ceiling the figures."""
        if not self.ceiling:
            return list(self.measured)
        return [a / b for a, b in zip(self.measured, self.beside, strict=True)]

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {_shown(self.at_least)}"
        return "" if self.at_most is None else f"≤ {_shown(self.at_most)}"

    @property
    def met(self) -> str:
        if self.at_least is not None:
            return _yes(median(self.judged) >= self.at_least)
        return "" if self.at_most is None else _yes(median(self.judged) <= self.at_most)


def _yes(met: bool) -> str:
    return "yes" if met else "no"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.{3 if value >= 0.1 else 2}g}"


def print_rows(rows: Iterable[Row]) -> None:
    """The table; the last columns are ratios where a ceiling is named, figures otherwise."""
    print_table(
        "Medians of the rounds; least, median and greatest of the rounds' ratios",
        ("what", "measured", "ceiling", "", "least", "median", "most", "target", "met"),
        [
            (
                row.what,
                f"{_shown(median(row.measured))}{row.unit}",
                row.ceiling,
                f"{_shown(median(row.beside))}{row.unit}" if row.beside else "",
                *(_shown(of(row.judged)) for of in (min, median, max)),
                row.target,
                row.met,
            )
            for row in rows
        ],
    )


def machine() -> str:
    """The machine and the versions on it, in one line. Linux only."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return (
        f"{len(os.sched_getaffinity(0))} cores of {model[1] if model else platform.machine()},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version},"
        f" {platform.system()} {platform.release()}"
    )


def ratio(measured: Sequence[float], ceiling: Sequence[float]) -> float:
    """The median of the rounds' ratios: each round is compared with the ceiling next to it."""
    return median(a / b for a, b in zip(measured, ceiling, strict=True))


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Median, least and greatest."""
    return f"{median(values):{form}} ({min(values):{form}} - {max(values):{form}})"


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=None, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console(width=WIDTH)
    console.print(title, style="bold")  # a title of the table would be folded to its width
    console.print(table)


def arguments(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser
