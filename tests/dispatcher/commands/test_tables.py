"""Which columns a table has, and how wide they are. Before, each column of `dlr reports` was folded
on a terminal of 80: a messageId stood there in five pieces, and could not be copied."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dispatcher.commands.tables import GAP, WHOLE, WHOLE_MOST, fitting, on_terminal, print_table

REPORTS = (
    *("id", "receivedAt", "messageId", "to", "status", "final", "doneAt", "callbackData"),
    *("source", "format", "duplicates"),
)
A_REPORT = (
    *("123456", "2026-11-28T10:00:00.123Z", "2033247207850523791", "41793026727"),
    *("DELIVERED_TO_HANDSET", "final", "2026-11-28T09:59:58.000+0000", "order 4711", "default"),
    *("json", "0"),
)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As rich sees one, of 80 columns."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return monkeypatch


def printed(headings: Sequence[str], *rows: Sequence[str]) -> tuple[list[str], Sequence[str]]:
    """The lines, and which columns were left out."""
    file = io.StringIO()
    left_out = print_table(headings, rows, file)
    return file.getvalue().split("\n")[:-1], left_out


def shown(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> dict[str, int]:
    return {headings[each.index]: each.width for each in fitting(headings, rows, width)}


@pytest.mark.usefixtures("terminal")
def test_80_columns_are_enough_for_what_matters() -> None:
    """The id, when, which message, to whom, and what became of it: each in one piece or folded
    between words, no line longer than 80. What has no room is named."""
    lines, left_out = printed(REPORTS, A_REPORT)

    assert max(map(len, lines)) - len("\x1b[1m\x1b[0m") <= 80
    assert lines[1].split() == ["123456", "2026-11-28", *A_REPORT[2:5]]
    assert lines[2].split() == ["10:00:00Z"]
    assert left_out == ["final", "doneAt", "callbackData", "source", "format", "duplicates"]


@pytest.mark.usefixtures("terminal")
def test_an_id_as_long_as_a_uuid_stays_whole() -> None:
    """So do the number and the state."""
    uuid = "bcfb828b-7df9-4e7b-8715-f34f5c61271a"
    lines, _ = printed(REPORTS, (*A_REPORT[:2], uuid, *A_REPORT[3:]))

    assert uuid in lines[1]
    assert "41793026727" in lines[1]
    assert "DELIVERED" in lines[1]


@pytest.mark.usefixtures("terminal")
def test_an_id_wider_than_the_terminal_makes_its_line_longer() -> None:
    """It is copied whole, and takes no other column's place."""
    long = "m" * 200
    lines, left_out = printed(REPORTS, (*A_REPORT[:2], long, *A_REPORT[3:]))

    assert long in lines[1]
    assert "status" not in left_out


def test_a_pipe_gets_each_row_in_one_line() -> None:
    """With all columns, and instants as they are, whatever the width of a terminal nearby."""
    lines, left_out = printed(REPORTS, (*A_REPORT[:7], "order " * 100, *A_REPORT[8:]))

    assert len(lines) == 2
    assert all(cell in lines[1] for cell in A_REPORT if cell != "order 4711")
    assert left_out == []


@pytest.mark.usefixtures("terminal")
def test_no_color(terminal: pytest.MonkeyPatch) -> None:
    """With NO_COLOR there is no escape sequence at all; without it the headings are bold."""
    coloured, _ = printed(("id",), ("1",))
    terminal.setenv("NO_COLOR", "1")
    plain, _ = printed(("id",), ("1",))

    assert coloured[0] == "\x1b[1mid\x1b[0m"
    assert plain == ["id", "1"]


@pytest.mark.usefixtures("terminal")
def test_wide_characters_take_two_columns() -> None:
    """A callbackData in Chinese does not shift the columns after it."""
    headings = ("name", "callbackData", "source")
    _, first, second = printed(headings, ("a", "订单", "eu"), ("b", "order", "eu"))[0]

    assert {cell_len(line.removesuffix("eu")) for line in (first, second)} == {20}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2026-11-28T10:00:00.123Z", "2026-11-28 10:00:00Z"),
        ("2026-11-28T10:00:00.000+0100", "2026-11-28 10:00:00+0100"),
        ("order 2026-11-28T10:00:00Z", "order 2026-11-28T10:00:00Z"),
    ],
)
def test_instants_are_shorter_on_a_terminal(cell: str, expected: str) -> None:
    """`--since` takes this form, too."""
    assert on_terminal(cell) == expected


def test_room_goes_to_texts() -> None:
    """What is left goes to the columns that would be folded, from the left."""
    headings, rows = ("id", "reason", "size"), [("1", "expected an integer, got " * 10, "17")]

    assert shown(headings, rows, 80) == {"id": 2, "reason": 80 - 2 - 4 - 2 * GAP, "size": 4}
    assert shown(headings, rows, 30) == {"id": 2, "reason": 18 + 2, "size": 4}
    assert shown(headings, rows, 15) == {"id": 2, "reason": 11}
    assert shown(headings, rows, 1) == {"id": 2}


HEADINGS = st.lists(st.sampled_from([*REPORTS, "state", "endpoint", "x"]), min_size=1, unique=True)


@given(HEADINGS, st.data(), st.integers(20, 200))
def test_widths_hold_for_any_cells(headings: list[str], data: st.DataObject, width: int) -> None:
    """Ids are never narrower than they are, and the line is no longer than the terminal unless the
    ids that other columns make room for are."""
    row = data.draw(st.tuples(*(st.text(max_size=60) for _ in headings)))
    found = shown(headings, [row], width)
    cells = dict(zip(headings, row, strict=True))

    ids = [name for name in found if name in WHOLE]
    assert all(found[name] >= cell_len(cells[name]) for name in ids)
    beyond = sum(max(0, found[name] - WHOLE_MOST) for name in ids)
    line = sum(found.values()) + GAP * (len(found) - 1)
    assert line <= width + beyond or len(found) == 1
