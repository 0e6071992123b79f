"""How long an endpoint may go on failing until its first dispatch is exhausted.

Looked up at each scrape among the OLDEST waiting dispatches of each endpoint: as many rows of an
index, however many wait. That is exact while they come to their end in the order in which they were
formed, give or take OLDEST: with one schedule they do, for each began its 41:30 h when it was
formed. Not seen are those that are under way at this moment, and one that was formed after OLDEST
others and still ends before all of these: after `Retry-After`, a breaker that was open for hours or
a change of the schedule that may be, and then the figure is too large by what they were put off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from msgspec import Struct
from prometheus_client import CollectorRegistry, Gauge

from dispatcher.endpoints.endpoint import Endpoint, EndpointsInForce
from dispatcher.observe.base import QueueFigures, Waiting
from dispatcher.retrying.schedule import RetrySchedule
from receiver.store.base import StoreUnavailable

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


class LossMetrics:
    """Shows the first loss of each endpoint that has something waiting."""

    def __init__(
        self,
        registry: CollectorRegistry,
        figures: QueueFigures,
        endpoints: EndpointsInForce,
        schedule: RetrySchedule,
        now: Callable[[], datetime],
    ) -> None:
        """`schedule` is that of the endpoints which have none of their own."""
        self._figures = figures
        self._endpoints = endpoints
        self._schedule = schedule
        self._now = now
        self._seconds = Gauge(
            "dlr_endpoint_seconds_to_first_loss",
            "Until the first waiting dispatch is exhausted, if every attempt fails from now on.",
            ["endpoint"],
            registry=registry,
        )
        self._attempts = Gauge(
            "dlr_endpoint_attempts_to_first_loss",
            "The attempts that this dispatch still has.",
            ["endpoint"],
            registry=registry,
        )

    async def measure(self) -> None:
        try:
            endpoints = {each.name: each for each in await self._endpoints.endpoints()}
            waiting = await self._figures.oldest_waiting(endpoints.keys(), OLDEST)
        except StoreUnavailable:
            return  # dlr_store_readable says so
        self._show(endpoints, waiting)

    def _show(
        self, endpoints: Mapping[str, Endpoint], waiting: Mapping[str, Sequence[Waiting]]
    ) -> None:
        now = self._now()
        self._seconds.clear()
        self._attempts.clear()
        for name, rows in waiting.items():
            loss = first_loss(rows, endpoints[name].schedule or self._schedule, now)
            if loss is not None:
                self._seconds.labels(name).set(loss.time_left.total_seconds())
                self._attempts.labels(name).set(loss.attempts_left)
