"""Where time comes from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from dispatcher.clocks.clock import CompressedClock, SystemClock, VirtualClock
from tests.dispatcher.support import MINUTE, START

HOUR = timedelta(hours=1)
MONTH = timedelta(days=30)


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


class Machine:
    """A machine's two clocks: the one on its wall, and how long it has been running."""

    def __init__(self) -> None:
        self.wall = START
        self.running = timedelta(days=3)

    def clock(self) -> SystemClock:
        return SystemClock(wall=lambda: self.wall, elapsed=lambda: self.running)

    def compressed(self, speed: float) -> CompressedClock:
        return CompressedClock(speed, wall=lambda: self.wall, elapsed=lambda: self.running)

    def pass_time(self, time: timedelta) -> None:
        self.wall += time
        self.running += time

    def set_clock(self, by: timedelta) -> None:
        self.wall += by


def test_compressed_clock() -> None:
    """A compressed clock goes so many times as fast as the world, from when it was made, whatever
    the wall clock is set to."""
    machine = Machine()
    clock = machine.compressed(3600)
    assert clock.now() == START

    machine.pass_time(timedelta(seconds=0.5))
    machine.set_clock(-HOUR)
    assert clock.now() - START == timedelta(minutes=30)
    assert clock.speed == 3600


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_a_clock_that_is_set_does_not_jump(by: timedelta) -> None:
    """Of a wall clock that is set by an hour nothing is seen at first; it is followed in ten."""
    machine = Machine()
    clock = machine.clock()
    machine.set_clock(by)
    assert clock.now() == START

    machine.pass_time(10 * MINUTE)
    assert clock.now() - START == 10 * MINUTE + (MINUTE if by > timedelta() else -MINUTE)
    machine.pass_time(10 * HOUR)
    assert clock.now() == machine.wall


def test_never_goes_back() -> None:
    """However often and wildly the wall clock is set within a day, the clock goes on."""
    machine = Machine()
    clock = machine.clock()
    seen = [clock.now()]
    for number in range(1, 200):
        machine.set_clock((-1) ** number * timedelta(minutes=number))
        machine.pass_time(timedelta(milliseconds=number))
        seen.append(clock.now())

    assert all(before < after for before, after in pairwise(seen))
    assert seen[-1] - START <= 1.1 * (machine.running - timedelta(days=3))


def test_a_laptop_that_slept_is_up_to_date() -> None:
    """What fell due while the machine slept is due when it wakes."""
    machine = Machine()
    clock = machine.clock()
    machine.pass_time(8 * HOUR)  # in one piece: nobody looked

    assert clock.now() == START + 8 * HOUR


def test_a_clock_that_had_not_been_set_is_followed() -> None:
    """A board without a battery starts in 1970; when it has learned the time, and has stayed with
    it for a minute, this clock follows."""
    machine = Machine()
    machine.wall = born = datetime(1970, 1, 1, tzinfo=UTC)
    clock = machine.clock()
    machine.wall = START

    assert clock.now() == born
    machine.pass_time(MINUTE)
    assert clock.now() == START + MINUTE


@pytest.mark.parametrize("by", [MONTH, -MONTH])
def test_a_clock_that_is_wrong_for_seconds_is_not_followed(by: timedelta) -> None:
    """A clock was a month ahead for eight seconds: all that was planned in them waited a month."""
    machine = Machine()
    clock = machine.clock()
    machine.set_clock(by)
    for passed in range(8):
        assert clock.now() == clock.believed_wall() == START + timedelta(seconds=passed)
        machine.pass_time(timedelta(seconds=1))
    machine.set_clock(-by)
    machine.pass_time(10 * MINUTE)

    assert clock.now() == clock.believed_wall() == machine.wall
    assert clock.due_step() is None


def test_a_clock_that_goes_astray_anew_is_doubted_anew() -> None:
    """A minute is counted from the last time that it was set."""
    machine = Machine()
    clock = machine.clock()
    for _ in range(10):
        machine.set_clock(2 * MONTH)
        clock.now()
        machine.pass_time(MINUTE * 0.9)
        assert machine.wall - clock.now() > MONTH


def test_who_has_planned_by_it_makes_the_step() -> None:
    """A clock that does not step by itself says when, and goes when it is told."""
    machine = Machine()
    clock = machine.clock()
    clock.steps_by_itself = False
    machine.set_clock(MONTH)
    assert clock.due_step() is None
    machine.pass_time(MINUTE)
    assert clock.now() == START + MINUTE

    assert clock.due_step() == MONTH
    clock.step(MONTH)

    assert clock.now() == clock.believed_wall() == machine.wall
    assert clock.due_step() is None


def test_what_others_go_by() -> None:
    """Others go by the wall clock, also while this one follows it, but not if it is off by days."""
    machine = Machine()
    clock = machine.clock()
    machine.set_clock(HOUR)

    assert clock.believed_wall() == machine.wall
    assert clock.now() == START


def test_system_clock() -> None:
    """The system's clock tells the time of the world, aware and in UTC."""
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC
    assert SystemClock().speed == 1.0
