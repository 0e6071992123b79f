"""What happened, line by line, and the error that names the seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import sha256

SHOWN = 60
"""The lines before a violation that its text has."""


class Violation(AssertionError):
    """An invariant does not hold."""


class Trace:
    """The steps of one seed. All are digested; of those that are shown only the last are kept."""

    def __init__(self, now: Callable[[], float], keep: int | None = SHOWN) -> None:
        self._now = now
        self._digest = sha256()
        self.lines: deque[str] = deque(maxlen=keep)
        self.steps = 0

    def add(self, who: str, what: str) -> None:
        line = f"{self._now():11.6f} {who:<8} {what}"
        self._digest.update(line.encode())
        self.lines.append(line)
        self.steps += 1

    @property
    def digest(self) -> str:
        """The same for two runs in which the same happened at the same instants."""
        return self._digest.hexdigest()
