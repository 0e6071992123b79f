"""How long to wait after a failed attempt: the platform's push retry cycle.

A pure table. The waits are counted from the start of the attempt before, so that the documented
41:30 h hold however long the attempts themselves take.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Waits between attempts, in order. After the last one the dispatch is exhausted."""

    name: str
    waits: tuple[timedelta, ...]
    source: str

    @property
    def attempts(self) -> int:
        """The first attempt and one for each wait."""
        return 1 + len(self.waits)

    def wait_after(self, attempts_made: int) -> timedelta | None:
        """The wait before the next attempt; None when that was the last."""
        return self.waits[attempts_made - 1] if attempts_made <= len(self.waits) else None

    def rows(self) -> list[tuple[int, timedelta, timedelta]]:
        """For each retry, numbered from 0: its wait, and the time since the first attempt."""
        return [
            (number, wait, since)
            for number, (wait, since) in enumerate(
                zip(self.waits, accumulate(self.waits), strict=True)
            )
        ]


def _infobip_waits(retries: int = 20) -> tuple[timedelta, ...]:
    """1 min + 1 min·n² before retry n. Numbering from 0 is what makes the sum 41:30 h, the
    documented figure; from 1 it would be 48:10 h."""
    return tuple(timedelta(minutes=1 + n * n) for n in range(retries))


INFOBIP = RetrySchedule(
    name="infobip",
    waits=_infobip_waits(),
    source="Infobip, SMS over API, Push Retry Cycle",
)

PRESETS = {schedule.name: schedule for schedule in (INFOBIP,)}
