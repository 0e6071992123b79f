"""How lists are printed: a table, JSON, one JSON object a line, or CSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

ListFormat = Literal["table", "json", "ndjson", "csv"]
View = Mapping[str, Any]
Columns = Mapping[str, Callable[[View], object]]
"""Heading to what stands under it."""


def fields(*names: str) -> Columns:
    """Columns that are named like the field they show."""
    return {name: itemgetter(name) for name in names}


_encode = msgspec.json.Encoder(decimal_format="number").encode


async def print_list(views: AsyncIterator[View], columns: Columns, form: ListFormat) -> None:
    """Print `views` as they come; only a table is gathered first."""
    match form:
        case "table":
            _print_table([_cells(view, columns) async for view in views], list(columns))
        case "json":
            await _print_json(views)
        case "ndjson":
            async for view in views:
                print(_encode(view).decode())
        case "csv":
            writer = csv.writer(sys.stdout)
            writer.writerow(columns)
            async for view in views:
                writer.writerow([_harmless(cell) for cell in _cells(view, columns)])


def print_rows(title: str, views: Sequence[View], columns: Columns) -> None:
    """A table of few rows under a title; nothing when there are none."""
    if views:
        Console().print(f"\n{title}", style="bold")
        _print_table([_cells(view, columns) for view in views], list(columns))


def _cells(view: View, columns: Columns) -> list[str]:
    values = [cell(view) for cell in columns.values()]
    return ["" if value is None else str(value) for value in values]


def _print_table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        # Text, not markup: a callbackData may hold [brackets].
        table.add_row(*(Text(cell) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = 200  # lines in a file or a pipe are not folded at 80
    console.print(table)


async def _print_json(views: AsyncIterator[View]) -> None:
    separator = "["
    async for view in views:
        print(separator + _encode(view).decode(), end="")
        separator = ",\n "
    print("[]" if separator == "[" else "]")


def _harmless(cell: str) -> str:
    """A cell that a spreadsheet does not take for a formula. Numbers keep their sign."""
    if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not cell[1:].replace(".", "").isdigit():
        return "'" + cell
    return cell
