"""When messages leave: sendAt, deliveryTimeWindow and sendingSpeedLimit together."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.sandbox.messages.send import DeliveryTimeWindow, SendingSpeed
from dispatcher.sandbox.messages.sending_times import gap_of, open_at, sending_times

MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MORNING = DeliveryTimeWindow(frozenset({0}), time(9), time(11))
WEEKEND = DeliveryTimeWindow(frozenset({5, 6}))


@pytest.mark.parametrize(
    ("window", "at", "opens"),
    [
        (None, MONDAY, MONDAY),
        (MORNING, MONDAY - 2 * HOUR, MONDAY - 2 * HOUR),
        (MORNING, MONDAY - 5 * HOUR, MONDAY - 3 * HOUR),
        (MORNING, MONDAY - HOUR, MONDAY - 3 * HOUR + timedelta(days=7)),
        (WEEKEND, MONDAY, datetime(2026, 3, 7, tzinfo=UTC)),
        (
            WEEKEND,
            datetime(2026, 3, 8, 23, 59, tzinfo=UTC),
            datetime(2026, 3, 8, 23, 59, tzinfo=UTC),
        ),
    ],
    ids=["none", "open", "earlier", "just over", "other days", "last minute"],
)
def test_windows(window: DeliveryTimeWindow | None, at: datetime, opens: datetime) -> None:
    """Inside of its window a message goes at once, else when it opens next; its end is outside."""
    assert open_at(window, at) == opens


@given(
    st.integers(0, 10**6).map(lambda minutes: MONDAY + minutes * timedelta(minutes=1)),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 22),
)
def test_a_window_opens_within_a_week(at: datetime, days: frozenset[int], hour: int) -> None:
    """A message never leaves before it could, nor on another day, nor more than a week later."""
    opens = open_at(DeliveryTimeWindow(days, time(hour), time(hour + 1)), at)

    assert at <= opens <= at + timedelta(days=7)
    assert opens.weekday() in days
    assert opens.hour == hour


def test_speed_spaces_the_messages() -> None:
    """At 120 a minute a message leaves each half second; without a limit all leave together."""
    starts = [(MONDAY, None)] * 3

    half = timedelta(milliseconds=500)
    assert list(sending_times(starts, gap_of(SendingSpeed(120, timedelta(minutes=1))))) == [
        MONDAY,
        MONDAY + half,
        MONDAY + 2 * half,
    ]
    assert list(sending_times(starts, gap_of(None))) == [MONDAY] * 3


def test_speed_never_exceeds_its_limit() -> None:
    """A gap that is no whole number of milliseconds is rounded up."""
    assert gap_of(SendingSpeed(7, timedelta(minutes=1))) == timedelta(milliseconds=8572)


def test_speed_and_send_at_and_window() -> None:
    """A message waits for its own start, and those behind it keep their distance."""
    late = (MONDAY + HOUR, None)
    gap = timedelta(minutes=10)

    assert list(sending_times([(MONDAY, None), late, (MONDAY, None)], gap)) == [
        MONDAY,
        MONDAY + HOUR,
        MONDAY + HOUR + gap,
    ]
