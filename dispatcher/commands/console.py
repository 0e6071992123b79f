"""How lists are printed: a table, JSON, one JSON object a line, or CSV."""

from __future__ import annotations

import csv
import re
import sys
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, TextIO

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.text import Text

from dispatcher.commands.tables import print_table, say_left_out
from receiver.shown import shown, shown_json

ListFormat = Literal["table", "json", "ndjson", "csv"]
Columns = Mapping[str, Callable[[Any], object]]
"""Heading to what stands under it for a row."""


def fields(kind: type[Struct], *names: str) -> Columns:
    """Columns for rows of this kind that are named like the field they show, as JSON has it."""
    attributes = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
    return {name: attrgetter(attributes[name]) for name in names}


_encode = msgspec.json.Encoder(decimal_format="number").encode


def encoded(row: Struct) -> str:
    """An answer as compact JSON, decimals with all their digits."""
    return shown_json(_encode(row).decode())


def told(text: str, style: str = "") -> Text:
    """A text from outside for rich: no markup, one line, nothing that steers a terminal."""
    return Text(shown(text), style)


def in_one_line(value: Any) -> str:
    """A value of JSON for people: `a,b` for a list, `name value, name value` for an object."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_one_line(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(in_one_line, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


async def print_list(
    rows: AsyncIterator[Struct],
    columns: Columns,
    form: ListFormat,
    file: TextIO | None = None,
    csv_columns: Columns | None = None,
) -> None:
    """Print `rows` as they come, to stdout unless a file is given. CSV may have more columns."""
    file = file or sys.stdout
    match form:
        case "table":
            await _print_tables(rows, columns, file)
        case "json":
            await _print_json(rows, file)
        case "ndjson":
            async for row in rows:
                file.write(encoded(row) + "\n")
        case "csv":
            print_csv([], csv_columns or columns, file)
            async for row in rows:
                _print_csv_row(row, csv_columns or columns, file)


def print_csv(rows: Iterable[Struct], columns: Columns, file: TextIO) -> None:
    """The headings, and these rows."""
    csv.writer(file).writerow(columns)
    for row in rows:
        _print_csv_row(row, columns, file)


def _print_csv_row(row: Struct, columns: Columns, file: TextIO) -> None:
    csv.writer(file).writerow([_in_csv(_harmless(cell)) for cell in _cells(row, columns)])


TABLE_ROWS = 500
"""Rows whose columns are aligned together. A longer list is several tables, in flat memory."""


async def _print_tables(rows: AsyncIterator[Struct], columns: Columns, file: TextIO) -> None:
    lines: list[list[str]] = []
    left_out: set[str] | None = None
    async for row in rows:
        lines.append(_cells(row, columns))
        if len(lines) == TABLE_ROWS:
            left_out = {*(left_out or ()), *print_table(list(columns), lines, file)}
            lines = []
    if lines or left_out is None:
        left_out = {*(left_out or ()), *print_table(list(columns), lines, file)}
    say_left_out([heading for heading in columns if heading in left_out])


def print_rows(
    title: str, rows: Sequence[Struct], columns: Columns, file: TextIO | None = None
) -> None:
    """A table of few rows under a title; nothing when there are none."""
    if rows:
        console = Console(file=file)
        console.print(f"\n{title}", style="" if console.no_color else "bold")
        cells = [_cells(row, columns) for row in rows]
        say_left_out(print_table(list(columns), cells, file))


def print_record(values: Mapping[str, Any], file: TextIO) -> None:
    """A line for each of these that is known."""
    known = {name: value for name, value in values.items() if value is not None}
    width = max(map(len, known)) + 1
    for name, value in known.items():
        file.write(shown(f"{name:<{width}}{in_one_line(value)}") + "\n")


def _cells(row: Struct, columns: Columns) -> list[str]:
    values = [cell(row) for cell in columns.values()]
    return ["" if value is None else str(value) for value in values]


async def _print_json(rows: AsyncIterator[Struct], file: TextIO) -> None:
    separator = "["
    async for row in rows:
        file.write(separator + encoded(row))
        separator = ",\n "
    file.write("[]\n" if separator == "[" else "]\n")


_FORMULA_SIGNS = frozenset("=+-@＝＋－＠")
"""What begins a formula in a spreadsheet; some take the full-width signs for the others."""

_BREAKS = re.compile("([\n\t])")
_SIGNED_NUMBER = re.compile(r"[+-][0-9]+(\.[0-9]+)?")


def _harmless(cell: str) -> str:
    """A cell that a spreadsheet does not take for a formula. Numbers keep their sign.

    Blanks, control characters and marks without width do not save a cell: spreadsheets and those
    who clean files pass over them.
    """
    start = next((sign for sign in cell if not _is_passed_over(sign)), "")
    hidden = cell[:1] in ("\t", "\r", "\n")
    if (start in _FORMULA_SIGNS or hidden) and not _SIGNED_NUMBER.fullmatch(cell):
        return "'" + cell
    return cell


def _is_passed_over(sign: str) -> bool:
    return sign.isspace() or unicodedata.category(sign) in ("Cc", "Cf")


def _in_csv(cell: str) -> str:
    """A cell without what steers a terminal. Line feeds stay: CSV has quotes for them."""
    if cell.isprintable():
        return cell
    return "".join(part if part in "\n\t" else shown(part) for part in _BREAKS.split(cell))
