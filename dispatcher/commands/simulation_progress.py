"""How far a simulation is, or a capture, and its end by Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dispatcher.commands.saying import say
from dispatcher.simulation.timeline import Watch

BROKEN_OFF = 130
"""The exit code after Ctrl-C, as shells have it."""

LINE_EVERY_SECONDS = 10.0
"""Between two lines of progress where there is no terminal."""


@contextmanager
def watching(what: str = "simulating") -> Iterator[Watch]:
    """Shows the progress, and breaks off at the first Ctrl-C; a second one ends the command."""
    broken_off = False

    def break_off(_: int, __: FrameType | None) -> None:
        nonlocal broken_off
        broken_off = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, break_off)
    try:
        with _progress(what) as show:
            yield lambda share: show(share) and not broken_off
    finally:
        signal.signal(signal.SIGINT, before)


def part(watch: Watch, number: int, of: int) -> Watch:
    """The watch over one of several simulations, numbered from 0."""
    return lambda share: watch((number + share) / of)


@contextmanager
def _progress(what: str) -> Iterator[Watch]:
    """A bar on a terminal, a line now and then elsewhere; nothing when it is over before."""
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as p:
        task = p.add_task("", total=1.0)

        def show(share: float) -> bool:
            p.update(task, completed=share)
            return True

        yield show


def _lines(what: str) -> Watch:
    told, last = time.monotonic(), ""

    def show(share: float) -> bool:
        nonlocal told, last
        line = f"{what}: {share:.0%}"
        if line != last and time.monotonic() - told >= LINE_EVERY_SECONDS:
            told, last = time.monotonic(), line
            say(line, err=True)
        return True

    return show
