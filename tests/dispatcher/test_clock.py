"""Where time comes from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.clock import CompressedClock, SystemClock, VirtualClock
from tests.dispatcher.support import MINUTE, START


def test_virtual_clock_stands_still() -> None:
    """A virtual clock moves only when it is moved."""
    clock = VirtualClock(START)
    assert clock.now() == clock.now() == START

    clock.advance(MINUTE)
    assert clock.now() == START + MINUTE
    clock.advance_to(START + 5 * MINUTE)
    assert clock.now() == START + 5 * MINUTE


def test_virtual_clock_never_goes_back() -> None:
    """An instant that has passed leaves the clock where it is."""
    clock = VirtualClock(START)
    clock.advance_to(START - MINUTE)
    clock.advance(-MINUTE)
    assert clock.now() == START


def test_compressed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed clock goes so many times as fast as the world, from when it was made."""
    seconds = 100.0
    monkeypatch.setattr("dispatcher.clock.time.monotonic", lambda: seconds)
    clock = CompressedClock(3600)
    start = clock.now()
    assert datetime.now(UTC) - start < MINUTE

    seconds += 0.5
    assert clock.now() - start == timedelta(minutes=30)
    assert clock.speed == 3600


def test_system_clock() -> None:
    """The system's clock tells the time of the world, aware and in UTC."""
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC
    assert SystemClock().speed == 1.0
