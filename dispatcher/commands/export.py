"""Where a list is printed to, and how far it has come.

Rows go out as they are read, so that the memory is flat for any number of them. Whoever waits for a
file or a pipe is shown the progress on stderr: a bar on a terminal, a line now and then elsewhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from dispatcher.commands.saying import say

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY = 100_000
"""Rows between two lines of progress where there is no terminal."""


class Counter:
    """Counts rows. `share` is how much of the way is done, 0 to 1; by rows it would be unknown
    until the end, because nobody has counted what a filter finds."""

    def __init__(self) -> None:
        self.rows = 0

    def row(self, share: float) -> None:  # noqa: ARG002
        self.rows += 1


class _Lines(Counter):
    def row(self, share: float) -> None:
        super().row(share)
        if self.rows % LINE_EVERY == 0:
            say(f"{self.rows:,} rows, {share:.0%} of the way", err=True)


class _Bar(Counter):
    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._task = progress.add_task("rows", total=1.0, rows="0")

    def row(self, share: float) -> None:
        super().row(share)
        if self.rows % 1_000 == 0:
            self._progress.update(self._task, completed=share, rows=f"{self.rows:,}")


@dataclass(slots=True)
class Output:
    """Where rows go, and who counts them. `more`: there are some that nobody has asked for."""

    file: TextIO
    counter: Counter = field(default_factory=Counter)
    more: bool = False


@contextmanager
def output(path: Path | None) -> Iterator[Output]:
    """stdout, or the file at `path`."""
    with ExitStack() as stack:
        file: TextIO = sys.stdout
        if path is not None:
            unfinished = stack.enter_context(finished(path))
            file = stack.enter_context(unfinished.open("w", encoding="utf-8", newline=""))
        waits = path is not None or not sys.stdout.isatty()
        yield Output(file, stack.enter_context(_counting()) if waits else Counter())


@contextmanager
def finished(path: Path) -> Iterator[Path]:
    """Where to write what is to be at `path`. It is there when the block has come to its end.

    A new file is its owner's alone, because it names people; one that is there keeps its mode. A
    device or a pipe (/dev/stdout) is written to and not replaced, which root could do.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)  # of a process that was killed
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _counting() -> Iterator[Counter]:
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[rows]} rows"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress)
