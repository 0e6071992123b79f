"""How long to wait after a failed attempt. Pure: a table, and chance is handed in.

presets.py has the tables of the platforms.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from random import Random
from typing import Literal

from dispatcher.retrying.outcome import AS_USUAL, OutcomeRules


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Waits between attempts, in order. After the last one the dispatch is exhausted.

    The first group of fields is what the worker acts on, the second where it is known from.
    """

    name: str
    waits: tuple[timedelta, ...]
    source: str
    jitter: float = 0.0  # largest share of a wait that chance adds or takes away, 0 to 1
    jitter_goes: Literal["both", "down"] = "both"  # down: chance only shortens
    counted_from: Literal["start", "end"] = "start"  # of the attempt before
    rules: OutcomeRules = AS_USUAL

    read: str | None = None  # when the source was read; None for one's own
    confidence: Literal["A", "B", "C"] | None = None  # presets.py says what they mean
    unknown: tuple[str, ...] = ()  # what the source does not say
    not_played: tuple[str, ...] = ()  # what the platform does beyond this, and we do not

    @property
    def attempts(self) -> int:
        """The first attempt and one for each wait."""
        return 1 + len(self.waits)

    @property
    def span(self) -> timedelta:
        """From the first attempt to the last retry, if attempts took no time."""
        return sum(self.waits, timedelta())

    @property
    def experimental(self) -> bool:
        """Whether the numbers are not all from the platform's own page or code."""
        return self.confidence in ("B", "C")

    def wait_after(self, attempts_made: int, rng: Random | None = None) -> timedelta | None:
        """The wait before the next attempt; None when that was the last.

        Without `rng` it is the wait of the table, without jitter.
        """
        if attempts_made > len(self.waits):
            return None
        wait = self.waits[attempts_made - 1]
        if rng is None or not self.jitter:
            return wait
        most = 1 + self.jitter if self.jitter_goes == "both" else 1
        return wait * rng.uniform(1 - self.jitter, most)

    def rows(self) -> list[tuple[int, timedelta, timedelta]]:
        """For each retry, numbered from 0: its wait, and the time since the first attempt."""
        return [
            (number, wait, since)
            for number, (wait, since) in enumerate(
                zip(self.waits, accumulate(self.waits), strict=True)
            )
        ]


def formula(
    *, first: timedelta, step: timedelta, factor: float, retries: int, cap: timedelta
) -> tuple[timedelta, ...]:
    """`(first + step·n²) · factorⁿ` before retry n = 0, 1, 2 …, none longer than `cap`.

    One form for three: constant (step 0, factor 1), exponential (step 0), quadratic (factor 1).
    """
    waits = []
    growth = 1.0
    for n in range(retries):
        seconds = (first.total_seconds() + step.total_seconds() * n * n) * growth
        waits.append(cap if seconds >= cap.total_seconds() else timedelta(seconds=seconds))
        growth = min(growth * factor, 1e18)  # stays finite: 0 s · infinity would be no number
    return tuple(waits)


INFOBIP = RetrySchedule(
    name="infobip",
    # Numbering from 0 is what makes the sum 41:30 h, the documented figure; from 1 it would be
    # 48:10 h. Counted from the start of the attempt before, so that the 41:30 h hold however long
    # the attempts themselves take.
    waits=tuple(timedelta(minutes=1 + n * n) for n in range(20)),
    source="Infobip, SMS over API, Push Retry Cycle",
    read="2026-11",
    confidence="A",
    unknown=(
        'which answers are "unavailable": here all but 2xx',
        "timeout",
        "410, 429 and Retry-After, redirects",
        "whether waits count from the start or the end of an attempt: here from the start",
    ),
)
