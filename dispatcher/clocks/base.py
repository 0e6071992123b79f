"""What the processes on a database share to have one time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol


class Reading(NamedTuple):
    """How long the machine had been running, and what the instant was then."""

    elapsed: timedelta
    instant: datetime


class SharedTime(Protocol):
    """Keeps one reading of a clock, for all processes on the database."""

    async def agree(
        self, boot: str, speed: float, choose: Callable[[Reading | None], Reading]
    ) -> Reading:
        """Keep what `choose` makes of the reading that is kept, in one transaction; returns it.

        It is told `None` when nothing is kept, or what is kept is of another start of the machine
        or of a clock of another speed; that is replaced.
        """
