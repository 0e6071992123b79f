"""A simulator of a page, written from the documents: it shares no code with the engines.

Reports arrive evenly, each is a push of its own. An attempt that fails is repeated 1 min + 1 min·n²
after its start, n = 0 … 19. No place of a window is missed, unless `served` is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

SCHEDULE = tuple(60.0 + 60.0 * n * n for n in range(20))
LATE = 10.0

Endpoint = Callable[[float], tuple[bool, float]]
"""At an instant: whether an attempt is acknowledged, and how many seconds it takes."""


@dataclass
class Seen:
    """Counts of reports and attempts; `latest` is the longest lateness, in seconds."""

    acknowledged: int = 0
    late: int = 0
    lost: int = 0
    attempts: int = 0
    wasted: int = 0
    latest: float = 0.0

    def ended(self, lateness: float) -> None:
        self.acknowledged += 1
        self.late += lateness > LATE
        self.latest = max(self.latest, lateness)


def arriving(seconds: float, per_second: float) -> Iterator[float]:
    """At 0 and then evenly, before `seconds`."""
    number = 0
    while number / per_second < seconds:
        yield number / per_second
        number += 1


def played(
    arrivals: Iterator[float], endpoint: Endpoint, waits: Sequence[float] = SCHEDULE
) -> Seen:
    """Each report by itself."""
    seen = Seen()
    for arrived in arrivals:
        at = arrived
        for wait in (*waits, None):
            good, takes = endpoint(at)
            seen.attempts += 1
            if good:
                seen.ended(at + takes - arrived)
                break
            seen.wasted += 1
            if wait is None:
                seen.lost += 1
            else:
                at += wait
    return seen


def served(arrivals: Iterator[float], window: int, takes: float) -> Seen:
    """Each in turn by an endpoint that is up, as soon as one of the window's places is free."""
    seen, free_at = Seen(), [0.0] * window
    for arrived in arrivals:
        ends = max(arrived, heappop(free_at)) + takes
        heappush(free_at, ends)
        seen.attempts += 1
        seen.ended(ends - arrived)
    return seen


def down(start: float, lasts: float, takes: float = 0.0, up: float = 0.0) -> Endpoint:
    """Fails after `takes` for a while, and acknowledges after `up` before and after it."""
    return lambda at: (False, takes) if start <= at < start + lasts else (True, up)


def flapping(every: float, each_time: float) -> Endpoint:
    """Fails at once for the first `each_time` of each `every`."""
    return lambda at: (at % every >= each_time, 0.0)
