"""How many reports of a replay may go at an instant. Nothing here has a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.replay.pace import CATCH_UP, Fed, Original, Rate, allowance, rate

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MANY = [0] * 100_000


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("50/s", Rate(50, "s")), ("100/m", Rate(100, "m")), ("1000/h", Rate(1000, "h"))],
)
def test_a_rate_is_read_and_written(text: str, expected: Rate) -> None:
    """A rate is so many reports in a second, minute or hour."""
    assert rate(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize("text", ["", "50", "0/s", "-1/s", "5/d", "50/ s", "1.5/s", "٣/s"])
def test_what_is_no_rate(text: str) -> None:
    """Anything else is refused in words."""
    with pytest.raises(ValueError, match="expected a rate such as 50/s"):
        rate(text)


def test_without_a_pace_all_may_go() -> None:
    """Without a pace only the endpoints hold back."""
    assert allowance(None, Fed(), [0, 9, 10**9], NOON).count == 3


def test_the_first_goes_at_once() -> None:
    """At a rate the first report does not wait for its interval."""
    assert allowance(Rate(1, "h"), Fed(), MANY, NOON).count == 1


@given(
    count=st.integers(1, 5_000),
    unit=st.sampled_from("smh"),
    gaps=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60),
)
def test_never_faster_than_the_rate_and_hardly_slower(
    count: int, unit: str, gaps: list[float]
) -> None:
    """However often it is asked, after any time exactly as many have gone as the rate allows."""
    pace = Rate(count, unit)
    fed, now, total = Fed(), NOON, 0
    for asked, gap in enumerate([0.0, *gaps], start=1):
        now += timedelta(seconds=gap)
        going = allowance(pace, fed, MANY, now)
        total += going.count
        if going.count:
            fed = Fed(going.anchor_at, now)
        elapsed = (now - NOON) - timedelta(microseconds=asked)
        assert total <= 1 + (now - NOON) / pace.period * count
        assert total >= int(elapsed / pace.period * count)


def test_lost_time_is_not_made_good() -> None:
    """After an hour in which nobody fed, the rate holds: no burst of what could have gone."""
    going = allowance(Rate(50, "s"), Fed(NOON, NOON), MANY, after(3600))

    assert going.count == 1 + 50 * CATCH_UP // SECOND
    assert allowance(Rate(50, "s"), Fed(going.anchor_at, after(3600)), MANY, after(3600)).count == 0


def test_a_slow_rate_is_not_starved() -> None:
    """A rate whose interval is longer than the time that is made good still goes."""
    assert allowance(Rate(6, "h"), Fed(NOON, NOON), MANY, after(599)).count == 0
    assert allowance(Rate(6, "h"), Fed(NOON, NOON), MANY, after(600)).count == 1
    assert allowance(Rate(6, "h"), Fed(NOON, NOON), MANY, after(7200)).count == 1


def test_a_rate_and_a_clock_set_back() -> None:
    """A clock that is set back by an hour neither stalls the replay nor hurries it."""
    going = allowance(Rate(50, "s"), Fed(NOON, NOON), MANY, after(-3600))

    assert going.count == 1
    assert allowance(Rate(50, "s"), Fed(going.anchor_at, NOON), MANY, after(-3599.9)).count == 5


def seconds(*offsets: float) -> list[int]:
    return [int(offset * 1_000_000) for offset in offsets]


def test_original_gaps() -> None:
    """At the original pace a report goes as long after the first as it came after it."""
    offsets = seconds(0, 0, 10, 30)

    first = allowance(Original(), Fed(), offsets, NOON)
    assert first.count == 2
    fed = Fed(first.anchor_at, NOON)
    assert allowance(Original(), fed, offsets[2:], after(9.999)).count == 0
    assert allowance(Original(), fed, offsets[2:], after(10)).count == 1


def test_original_gaps_faster() -> None:
    """With a speed of ten the gaps are a tenth."""
    fed = Fed(NOON, NOON)

    assert allowance(Original(10), fed, seconds(10, 30), after(0.999)).count == 0
    assert allowance(Original(10), fed, seconds(10, 30), after(1)).count == 1


def test_original_gaps_after_an_outage() -> None:
    """After an hour in which nobody fed the gaps are still the original ones."""
    offsets = seconds(10, 20, 30)

    going = allowance(Original(), Fed(NOON, NOON), offsets, after(3610))
    assert going.count == 1
    fed = Fed(going.anchor_at, after(3610))
    assert allowance(Original(), fed, offsets[1:], after(3619.9)).count == 0
    assert allowance(Original(), fed, offsets[1:], after(3620)).count == 1


def test_original_gaps_and_a_clock_set_back() -> None:
    """When the clock is set back by an hour the next report goes, and the gaps hold from there."""
    going = allowance(Original(), Fed(NOON, after(10)), seconds(20, 30), after(-3590))

    assert going.count == 1
    fed = Fed(going.anchor_at, after(-3590))
    assert allowance(Original(), fed, seconds(30), after(-3580.1)).count == 0
    assert allowance(Original(), fed, seconds(30), after(-3580)).count == 1


@pytest.mark.parametrize("speed", [1e-6, 1e-12, 5e-324])
def test_a_pace_that_no_calendar_has_room_for(speed: float) -> None:
    """The next report would be due in a million years. It waits, and the look at it does not fail:
    a replay that failed was looked at ten times a second, with a traceback each time."""
    slow, offsets = Original(speed), [0, 10**12]
    first = allowance(slow, Fed(), offsets, NOON)
    assert first.count == 1

    later = allowance(slow, Fed(first.anchor_at, NOON), offsets[1:], after(86_400))
    assert later.count == 0
    set_back = allowance(slow, Fed(first.anchor_at, after(9)), offsets[1:], NOON)
    assert set_back.anchor_at < NOON


def test_nothing_left() -> None:
    """Where nothing follows nothing goes."""
    assert allowance(Original(), Fed(), [], NOON).count == 0
    assert allowance(Rate(1, "s"), Fed(), [], NOON).count == 0
