"""When messages leave: not before their `sendAt`, in their `deliveryTimeWindow`, and one after the
other where there is a `sendingSpeedLimit`. Pure.

The provider documents the fields; how they go together is ours: the limit spaces the messages of a
bulk in their order, and a message that would leave outside of its window waits for the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, time, timedelta

from dispatcher.sandbox.messages.outcomes import MILLISECOND
from dispatcher.sandbox.messages.send import DeliveryTimeWindow, SendingSpeed

_DAY = timedelta(days=1)


def gap_of(speed: SendingSpeed | None) -> timedelta:
    """The time between two messages of a bulk, in milliseconds; zero: they go together."""
    if speed is None:
        return timedelta(0)
    return -(-(speed.per / speed.amount) // MILLISECOND) * MILLISECOND


def sending_times(
    starts: Iterable[tuple[datetime, DeliveryTimeWindow | None]],
    gap: timedelta,
    last: datetime | None = None,
) -> Iterator[datetime]:
    """When each message leaves, of those that could from their start on. `last` is when the one
    before them left."""
    for start, window in starts:
        slot = start if last is None or not gap else max(start, last + gap)
        last = open_at(window, slot)
        yield last


def open_at(window: DeliveryTimeWindow | None, at: datetime) -> datetime:
    """`at` if the window is open then, otherwise when it opens next. In UTC, as the window is."""
    if window is None:
        return at
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(-1, 8):  # yesterday's may be open over midnight
        day = midnight + number * _DAY
        if day.weekday() not in window.days:
            continue
        opens = day + _since_midnight(window.start or time.min)
        if at < opens + open_for(window.start, window.end):
            return max(at, opens)
    raise ValueError("a window with no days")


def open_for(start: time | None, end: time | None) -> timedelta:
    """How long a window is open each time: the whole day without its ends. An `end` before `start`
    is of the next day. Zero when they are the same."""
    if start is None or end is None:
        return _DAY
    return (_since_midnight(end) - _since_midnight(start)) % _DAY


def _since_midnight(at: time) -> timedelta:
    return timedelta(hours=at.hour, minutes=at.minute)
