"""How long an endpoint may go on failing until its first dispatch is exhausted.

Looked for among the OLDEST waiting dispatches of each endpoint: as many rows of an
index, however many wait. That is exact while they come to their end in the order in which they were
formed, give or take OLDEST: with one schedule they do, for each began its 41:30 h when it was
formed. Not seen are those that are under way at this moment, and one that was formed after OLDEST
others and still ends before all of these: after `Retry-After`, a breaker that was open for hours or
a change of the schedule that may be, and then the figure is too large by what they were put off.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from msgspec import Struct

from dispatcher.observe.base import Waiting
from dispatcher.retrying.schedule import RetrySchedule

OLDEST = 20


class Loss(Struct, frozen=True):
    """The attempts that a dispatch still has, and the time until the last of them has failed."""

    time_left: timedelta
    attempts_left: int


def first_loss(waiting: Sequence[Waiting], schedule: RetrySchedule, now: datetime) -> Loss | None:
    """Of these dispatches the one that would be exhausted first; None when there is none."""
    left = _left(schedule)
    losses = []
    for attempts, due_at in waiting:
        # A schedule that was shortened meanwhile still has the attempt that is due.
        after, attempts_left = left[min(attempts, len(left) - 1)]
        losses.append(Loss(max(due_at - now, timedelta()) + after, attempts_left))
    return min(losses, key=lambda loss: loss.time_left, default=None)


@lru_cache
def _left(schedule: RetrySchedule) -> list[tuple[timedelta, int]]:
    """By attempts made: the waits from the next attempt to the last, and the attempts."""
    waits = schedule.waits
    return [
        (sum(waits[made:], timedelta()), 1 + max(len(waits) - made, 0))
        for made in range(len(waits) + 1)
    ]
