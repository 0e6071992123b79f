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
        or of a clock of another speed; that is replaced. A database for several machines keeps a
        reading for each start of a machine.
        """

    async def step(
        self, boot: str | None, reading: Reading, by: timedelta, *, again: bool = False
    ) -> Reading:
        """A clock at speed 1 has gone by `by` in one step, and now reads so. Keep that, and move
        along all that was planned since this start of the machine, in one transaction: what was
        planned before goes by a clock that was right. What another process has moved already is
        not moved twice: then, and with `again`, only what was planned since by the old time goes
        along. Returns what is kept. Where nothing tells the starts of the machine apart (`None`)
        nothing is kept, and all is moved along.
        """
