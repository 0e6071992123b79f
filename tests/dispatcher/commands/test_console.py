"""How lists are printed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from dispatcher.commands.console import Columns, fields, print_list, print_rows

Capture = pytest.CaptureFixture[str]


class Answer(Struct):
    id: int
    what: Any


COLUMNS: Columns = {**fields(Answer, "id"), "what": lambda row: row.what}


async def rows(*whats: Any) -> AsyncIterator[Answer]:
    for number, what in enumerate(whats, start=1):
        yield Answer(number, what)


async def test_json_is_one_list(capsys: Capture) -> None:
    """JSON is one list of everything that an answer has, with exact numbers."""
    await print_list(rows("a", Decimal("0.010"), msgspec.Raw(b'{"x":1}')), COLUMNS, "json")

    text = capsys.readouterr().out
    assert json.loads(text, parse_float=str) == [
        {"id": 1, "what": "a"},
        {"id": 2, "what": "0.010"},
        {"id": 3, "what": {"x": 1}},
    ]


async def test_json_of_nothing(capsys: Capture) -> None:
    """An empty list is a list, too."""
    await print_list(rows(), COLUMNS, "json")
    assert json.loads(capsys.readouterr().out) == []


async def test_ndjson_is_one_line_each(capsys: Capture) -> None:
    """Each answer is a line of its own, whatever line ends are in it; nothing is no line."""
    await print_list(rows("a\nb", "é\u2028"), COLUMNS, "ndjson")
    lines = capsys.readouterr().out.split("\n")
    assert [json.loads(line) for line in lines[:-1]] == [
        {"id": 1, "what": "a\nb"},
        {"id": 2, "what": "é\u2028"},
    ]
    assert lines[-1] == ""

    await print_list(rows(), COLUMNS, "ndjson")
    assert capsys.readouterr().out == ""


async def read_csv(capsys: Capture, *whats: Any) -> list[list[str]]:
    await print_list(rows(*whats), COLUMNS, "csv")
    return list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))


async def test_csv_has_headings(capsys: Capture) -> None:
    """CSV begins with the headings; absent is empty; commas, quotes and lines come back whole."""
    assert await read_csv(capsys, 'a,"b"\nc', None, True) == [
        ["id", "what"],
        ["1", 'a,"b"\nc'],
        ["2", ""],
        ["3", "True"],
    ]
    assert await read_csv(capsys) == [["id", "what"]]


@pytest.mark.parametrize(
    "formula",
    [
        "=1+1",
        "=cmd|'/c calc'!A0",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "-",
        '=HYPERLINK("http://evil.example")',
    ],
)
async def test_csv_cells_are_no_formulas(capsys: Capture, formula: str) -> None:
    """What a sender put into callbackData is not run by the spreadsheet that opens the list."""
    assert (await read_csv(capsys, formula))[1] == ["1", "'" + formula.replace("\r", r"\r")]


@pytest.mark.parametrize("harmless", ["+41793026727", "-1", "-0.5", "a=b", "1-2", "'", " x", ""])
async def test_csv_leaves_the_rest_alone(capsys: Capture, harmless: str) -> None:
    """Numbers keep their sign, and texts are as they are."""
    assert (await read_csv(capsys, harmless))[1] == ["1", harmless]


async def test_table(capsys: Capture) -> None:
    """A table has its headings and a row each; absent is empty, and brackets are no markup."""
    await print_list(rows("[bold]b[/bold]", None, 5), COLUMNS, "table")

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["id", "what"], ["1", "[bold]b[/bold]"], ["2"], ["3", "5"]]


async def test_table_in_a_pipe_is_wide(capsys: Capture) -> None:
    """Where there is no terminal, a row of 150 characters stays on its line."""
    await print_list(rows("x" * 150), COLUMNS, "table")

    assert "x" * 150 in capsys.readouterr().out


def test_rows_under_a_title(capsys: Capture) -> None:
    """Rows stand under their title; where there are none, there is no title either."""
    print_rows("reports", [Answer(7, None)], fields(Answer, "id"))
    assert capsys.readouterr().out.split() == ["reports", "id", "7"]

    print_rows("reports", [], fields(Answer, "id"))
    assert capsys.readouterr().out == ""
