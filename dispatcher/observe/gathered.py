"""Log lines that are gathered and written together.

A line of Python's logging costs 11 to 14 us, more than all else that a callback costs besides its
commit. So the lines of callbacks and of attempts wait for each other, LATER_SECONDS at most.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Generic, TextIO, TypeVar

Line = TypeVar("Line")

LATER_SECONDS = 0.1

Later = Callable[[Callable[[], None]], object]
"""Has the work done a little later."""


class Gathered(Generic[Line]):
    """Lines that wait to be written to `stream` (standard error), in the order in which they came.

    `text_of` makes the text of all that wait, line feeds included; that is done when they are
    written.
    """

    def __init__(
        self,
        text_of: Callable[[list[Line]], str],
        stream: TextIO | None = None,
        later: Later | None = None,
    ) -> None:
        self._text_of = text_of
        self._stream = stream or sys.stderr
        self._later = later or _later
        self._waiting: list[Line] = []

    def add(self, line: Line) -> None:
        if not self._waiting:
            self._later(self.flush)
        self._waiting.append(line)

    def flush(self) -> None:
        """Write what is waiting. The process calls it at its end."""
        lines, self._waiting = self._waiting, []
        if lines:
            self._stream.write(self._text_of(lines))
            self._stream.flush()


def _later(work: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(LATER_SECONDS, work)


class Stamps:
    """Instants as lines begin with them. The text of a second is made once."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self, at: float) -> str:
        """Of `time.time()`."""
        second = int(at)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{int((at - second) * 1000):03}Z"
