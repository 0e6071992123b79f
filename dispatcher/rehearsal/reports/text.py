"""The run on a terminal or in a log: a line for each check as it ends, then what to mend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dispatcher.rehearsal.check import Check
from dispatcher.rehearsal.rehearsed import Rehearsed
from dispatcher.rehearsal.verdict import Result, Verdict

if TYPE_CHECKING:
    from dispatcher.rehearsal.drill.drilled import Drilled

STYLES: dict[Verdict, str] = {
    "passed": "green",
    "weak": "yellow",
    "failed": "bold red",
    "answered only": "cyan",
    "not judged": "dim",
}


def heading(url: str, seed: int, checks: int) -> Text:
    number = "1 check" if checks == 1 else f"{checks} checks"
    return Text(f"rehearsing {url}  seed {seed}, {number}")


def line(result: Result) -> Text:
    """One check in one line."""
    return Text.assemble(
        (f"{result.verdict:<14}", STYLES[result.verdict]),
        f"{result.check:<29}",
        (result.text, "" if result.verdict in ("failed", "weak") else "dim"),
    )


def render(run: Rehearsed) -> str:
    """All of it, as a run prints it."""
    file = StringIO()
    console = Console(file=file, width=200, highlight=False, soft_wrap=True)
    console.print(heading(run.url, run.seed, len(run.results)))
    for result in run.results:
        console.print(line(result))
    print_end(console, run)
    return file.getvalue()


def print_end(console: Console, run: Rehearsed) -> None:
    """What failed and what is weak, with all there is to know, and the verdict."""
    for result in run.of("failed", "weak"):
        console.print()
        for part in about(result):
            console.print(part, soft_wrap=True)
    if run.drill is not None:
        console.print()
        console.print(_side_by_side(run.drill))
        for note in run.drill.notes:
            console.print(Text(f"note     {note}", "dim"), soft_wrap=True)
    if run.note is not None:
        console.print()
        console.print(Text(f"note     {run.note}", "dim"), soft_wrap=True)
    console.print()
    console.print(Text.assemble(("verdict  ", "bold"), (run.verdict, STYLES[run.verdict])))
    console.print(Text(run.summary), soft_wrap=True)


def _side_by_side(drilled: Drilled) -> Table:
    table = Table("", "simulated", "rehearsed", box=None, header_style="bold", pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in drilled.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def about(result: Result) -> Iterator[Text]:
    """A result with what was sent, what came, why it matters and how to mend it."""
    style = STYLES[result.verdict]
    yield Text.assemble((result.verdict, style), "  ", (result.check, "bold"), f": {result.asks}")
    rows = [("found", result.text)]
    rows += [("sent", text) for text in result.sent]
    rows += [("came", text) for text in result.came]
    rows += [
        ("why", result.why),
        ("rule", f"{result.rule} [{result.document}]"),
        ("mend", result.mend),
    ]
    for name, text in rows:
        yield Text.assemble((f"  {name:<7}", "dim"), text)


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """The checks there are."""
    columns = ("check", "group", "sent by", "asks")
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for check in checks:
        cells = (check.name, check.group, check.demand, check.asks)
        table.add_row(*(Text(cell) for cell in cells))
    if not console.is_terminal:
        console.width = max(console.width, 160)  # lines in a file or a pipe are not folded at 80
    console.print(table)
