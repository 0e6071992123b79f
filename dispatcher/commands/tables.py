"""Tables of a list, as wide as there is room.

A pipe or a file gets each row in one line, with every column. A terminal gets what fits: texts are
folded, and columns are left out, those first that matter least. An id is never folded, because half
of it cannot be copied; one that is wider than the terminal makes its line longer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TextIO

from msgspec import Struct
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from dispatcher.commands.saying import say
from receiver.shown import shown

WHOLE = frozenset({"id", "messageId", "report", "number", "to", "name", "endpoint", "key"})
"""What is copied from a table: ids, numbers, names. None of them is folded."""

MATTERING = (
    *("id", "messageId", "report", "number", "name", "status", "state", "endpoint", "outcome"),
    *("reason", "what", "to", "at", "start", "receivedAt", "createdAt", "startedAt", "dueAt"),
    *("who", "attempts", "dispatches", "error", "waiting", "exhausted", "unread"),
    *("paused", "faults"),
)
"""The columns that are left out last, the first of them last of all. The others are left out from
the right."""

LEAST = ("errors", "statusGroups")
"""Long texts that stand beside figures: they are left out first of all."""

GAP = 2
"""Blanks between two columns."""

WORD_MOST, STATUS_MOST = 12, 24
"""Characters of a folded text that stay together if they are a word. As long as columns that matter
less make room for it, a column that matters has the whole name of a status."""

WHOLE_MOST = 40
"""Characters of ids that other columns make room for: a longer one makes its line longer."""

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)", re.ASCII)


class Column(Struct, frozen=True):
    """A column that is shown: which one, and how wide."""

    index: int
    width: int


def fitting(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Sequence[Column]:
    """The columns for this many characters, in their order. Pure."""
    natural = [
        max(map(cell_len, (heading, *(row[at] for row in rows))))
        for at, heading in enumerate(headings)
    ]
    kept = list(range(len(headings)))
    least = natural
    for word_most, may_go in zip((STATUS_MOST, WORD_MOST), _least_first(headings), strict=True):
        if _together(least[each] for each in kept) <= width:
            break
        least = [
            min(natural[at], WHOLE_MOST)
            if heading in WHOLE
            else _least(heading, (row[at] for row in rows), word_most)
            for at, heading in enumerate(headings)
        ]
        for at in may_go:
            if len(kept) > 1 and _together(least[each] for each in kept) > width:
                kept.remove(at)
    spare = max(0, width - _together(least[each] for each in kept))
    columns = []
    for at in kept:
        more = min(natural[at] - least[at], spare)
        spare -= more
        columns.append(Column(at, natural[at] if headings[at] in WHOLE else least[at] + more))
    return columns


def _least(heading: str, cells: Iterable[str], word_most: int) -> int:
    """How narrow a column of texts can be: its words stay together, and those of its heading."""
    most = word_most if heading in MATTERING else WORD_MOST
    words = (cell_len(word) for cell in cells for word in cell.split())
    return max(min(most, max(words, default=0)), *map(cell_len, heading.split()), 1)


def _together(widths: Iterable[int]) -> int:
    found = list(widths)
    return sum(found) + GAP * (len(found) - 1)


def _least_first(headings: Sequence[str]) -> tuple[Sequence[int], Sequence[int]]:
    """The columns in the order in which they are left out: those that do not matter, the others."""
    others = [at for at, heading in enumerate(headings) if heading not in MATTERING]
    others.sort(key=lambda at: headings[at] in LEAST)
    mattering = [at for at, heading in enumerate(headings) if heading in MATTERING]
    mattering.sort(key=lambda at: MATTERING.index(headings[at]), reverse=True)
    return others[::-1], mattering


def on_terminal(cell: str) -> str:
    """An instant is shorter there, and can be folded between day and time."""
    found = _INSTANT.fullmatch(cell)
    return cell if found is None else f"{found[1]} {found[2]}{found[3]}"


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], file: TextIO | None = None
) -> Sequence[str]:
    """Print a table, to stdout unless a file is given. Returns the headings that were left out."""
    console = Console(file=file)
    if console.is_terminal:
        cells = [[shown(on_terminal(cell)) for cell in row] for row in rows]
        columns = fitting(headings, cells, console.width)
    else:
        cells = [[shown(cell) for cell in row] for row in rows]
        columns = fitting(headings, cells, 2**31)
    bold = "" if console.no_color else "bold"
    for line in _lines(console, headings, columns):
        console.print(Text(line, bold), soft_wrap=True)
    for row in cells:
        console.file.writelines(f"{line}\n" for line in _lines(console, row, columns))
    kept = {each.index for each in columns}
    return [heading for index, heading in enumerate(headings) if index not in kept]


def say_left_out(headings: Sequence[str]) -> None:
    """On stderr, how to see the columns for which there is no room."""
    if headings:
        columns = ", ".join(headings)
        say(f"no room for {columns}: a wider terminal or --format json has them", err=True)


def _lines(console: Console, row: Sequence[str], columns: Sequence[Column]) -> Iterator[str]:
    """The lines of a row: as many as its longest folded cell has."""
    folded = [_folded(console, row[each.index], each.width) for each in columns]
    for cells in zip_longest(*folded, fillvalue=""):
        yield _line(cells, columns)


def _folded(console: Console, cell: str, width: int) -> Sequence[str]:
    if cell_len(cell) <= width:
        return [cell]
    return [line.plain.rstrip() for line in Text(cell).wrap(console, width, overflow="fold")]


def _line(cells: Sequence[str], columns: Sequence[Column]) -> str:
    padded = (
        cell + " " * (column.width - cell_len(cell) + GAP)
        for cell, column in zip(cells, columns, strict=True)
    )
    return "".join(padded).rstrip()
