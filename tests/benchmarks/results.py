"""Medians of rounds, and their table."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table


def ratio(measured: Sequence[float], ceiling: Sequence[float]) -> float:
    """The median of the rounds' ratios: each round is compared with the ceiling next to it."""
    return median(a / b for a, b in zip(measured, ceiling, strict=True))


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Median, least and greatest."""
    return f"{median(values):{form}} ({min(values):{form}} - {max(values):{form}})"


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=None, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console = Console(width=110)
    console.print(title, style="bold")  # a title of the table would be folded to its width
    console.print(table)


def arguments(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser
