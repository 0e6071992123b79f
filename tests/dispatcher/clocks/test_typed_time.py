"""A time that somebody types means one instant, whoever reads it: the command line, the search of
the inbox and a request for a replay. Before, `reports --received-since 14:00` was refused,
`--received-since 2026-11-21` was UTC, and `replay --since 2026-11-21` in the machine's zone: you
looked at one window and replayed another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.clocks.typed_time import read_end, read_time

ZURICH = ZoneInfo("Europe/Zurich")
NOW = datetime(2026, 11, 28, 10, 30, tzinfo=ZURICH)


@pytest.fixture
def in_zurich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine stands in Zurich."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Zurich")
        time.tzset()
        yield
    time.tzset()


def utc(text: str, now: datetime = NOW, zone: ZoneInfo | None = ZURICH) -> str:
    return read_time(text, now, zone).at.astimezone(UTC).isoformat()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:00", "2026-11-28T09:00:00+00:00"),
        ("9:05", "2026-11-28T08:05:00+00:00"),
        ("10:30", "2026-11-28T09:30:00+00:00"),
        ("14:00", "2026-11-27T13:00:00+00:00"),
        ("14:00:30", "2026-11-27T13:00:30+00:00"),
        ("24h", "2026-11-27T09:30:00+00:00"),
        ("7d", "2026-11-21T09:30:00+00:00"),
        ("1h30m", "2026-11-28T08:00:00+00:00"),
        ("today", "2026-11-27T23:00:00+00:00"),
        ("Yesterday", "2026-11-26T23:00:00+00:00"),
        ("2026-07-01", "2026-06-30T22:00:00+00:00"),
        ("2026-07-01T14:00", "2026-07-01T12:00:00+00:00"),
        ("2026-07-01 14:00:05", "2026-07-01T12:00:05+00:00"),
        (" 2026-07-01T14:00:00Z ", "2026-07-01T14:00:00+00:00"),
        ("2026-07-01T14:00:00.5-05:00", "2026-07-01T19:00:00.500000+00:00"),
        ("2026-07-01T14:00:00.000+0100", "2026-07-01T13:00:00+00:00"),
    ],
)
def test_what_can_be_typed(text: str, expected: str) -> None:
    """A time of day is the last one, a duration counts back from now, and what brings no zone is in
    the one of whoever types."""
    assert utc(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "noon", "25:00", "14", "24", "h", "-1h", "9999999d", "2026-02-30", "2026-11-28T25:00"],
)
def test_anything_else_is_refused_with_examples(text: str) -> None:
    """The text has a valid example of each kind, and what was typed."""
    with pytest.raises(ValueError, match=r"expected a time such as 14:00, 24h .* or 2026-") as told:
        read_time(text, NOW, ZURICH)
    assert f'got "{text}"' in str(told.value)


def test_it_is_told_in_the_zone_that_is_meant() -> None:
    """Also what was typed in another zone, so that it can be compared with the clock."""
    assert str(read_time("24h", NOW, ZURICH)) == "2026-11-27T10:30:00+01:00 (CET)"
    assert str(read_time("2026-07-01T14:00Z", NOW, ZURICH)) == "2026-07-01T16:00:00+02:00 (CEST)"


@pytest.mark.usefixtures("in_zurich")
@pytest.mark.parametrize("zone", [None, ZURICH])
def test_an_hour_that_never_was(zone: ZoneInfo | None) -> None:
    """On 2026-03-29 clocks in Zurich went from 02:00 to 03:00. What is typed between is when they
    did, whether by the machine's zone or a named one."""
    for text in ("2026-03-29 02:30", "2026-03-29T02:00", "2026-03-29T02:59:59.5"):
        read = read_time(text, NOW, zone)
        assert read.at.isoformat() == "2026-03-29T03:00:00+02:00"
    assert str(read_time("2026-03-29 02:30", NOW, zone)) == (
        "2026-03-29T03:00:00+02:00 (CEST): clocks went forward and did not show 02:30; this is when"
        " they went forward"
    )
    that_noon = datetime(2026, 3, 29, 12, tzinfo=ZURICH)
    assert read_time("2:30", that_noon, zone).at.isoformat() == "2026-03-29T03:00:00+02:00"


@pytest.mark.usefixtures("in_zurich")
@pytest.mark.parametrize("zone", [None, ZURICH])
def test_an_hour_that_was_twice(zone: ZoneInfo | None) -> None:
    """On 2026-10-25 clocks in Zurich went from 03:00 back to 02:00. What is typed between is the
    first time, and the second one is told as it can be typed."""
    read = read_time("2026-10-25T02:30", NOW, zone)

    assert str(read) == (
        "2026-10-25T02:30:00+02:00 (CEST): clocks went back and showed 02:30 twice;"
        " 2026-10-25T02:30:00+01:00 is the second time"
    )
    second = read_time("2026-10-25T02:30:00+01:00", NOW, zone)
    assert (second.at - read.at, second.note) == (timedelta(hours=1), None)
    assert read_end("2026-10-25T02:30:00+01:00", read, NOW, zone) == second
    assert read_time("2026-10-25T03:00", NOW, zone).note is None


def test_a_day_without_midnight() -> None:
    """In Beirut clocks go forward at midnight: the day begins at 01:00."""
    read = read_time("2026-03-29", NOW, ZoneInfo("Asia/Beirut"))

    assert str(read).startswith("2026-03-29T01:00:00+03:00 (EEST): clocks went forward")


@pytest.mark.parametrize(
    ("now", "since", "until", "expected"),
    [
        ("13:00", "14:00", "17:00", ("27T14:00", "27T17:00")),
        ("15:00", "14:00", "17:00", ("28T14:00", "28T17:00")),
        ("18:00", "14:00", "17:00", ("28T14:00", "28T17:00")),
        ("01:00", "22:00", "00:30", ("27T22:00", "28T00:30")),
        ("13:00", "2026-11-28", "14:00", ("28T00:00", "28T14:00")),
        ("13:00", "7d", "14:00", ("21T13:00", "27T14:00")),
    ],
)
def test_a_range(now: str, since: str, until: str, expected: tuple[str, str]) -> None:
    """A range of times of day is the last one that has begun."""
    at = datetime.fromisoformat(f"2026-11-28T{now}").replace(tzinfo=ZURICH)
    begin = read_time(since, at, ZURICH)
    end = read_end(until, begin, at, ZURICH)

    assert (f"{begin.at:%dT%H:%M}", f"{end.at:%dT%H:%M}") == expected


@pytest.mark.parametrize(
    "text",
    [
        *("20261128", "2026-W48-6", "2026-11-28T10:00:00+00:00:30"),
        *("0001-01-01", "9999-12-31T23:59:59-01:00"),
    ],
)
def test_odd_instants_are_refused(text: str) -> None:
    """Forms that Python alone takes, and instants that have no name in UTC."""
    with pytest.raises(ValueError, match="expected a time such as"):
        read_time(text, NOW, ZURICH)


@pytest.mark.parametrize("until", ["14:00", "2h", "2026-11-27", "17:00"])
def test_an_end_before_the_beginning_is_refused(until: str) -> None:
    """Both are told as they were understood."""
    now = datetime(2026, 11, 28, 18, 30, tzinfo=ZURICH)
    begin = read_time("17:00", now, ZURICH)

    with pytest.raises(ValueError, match=r"is 2026-11-28T17:00:00\+01:00 \(CET\), got 2026-11-2"):
        read_end(until, begin, now, ZURICH)


ZONES = st.sampled_from(["Europe/Zurich", "Asia/Beirut", "Australia/Lord_Howe", "America/Havana"])


@given(ZONES.map(ZoneInfo), st.datetimes(*(datetime(year, 1, 1) for year in (2000, 2037))))  # noqa: DTZ001
def test_whatever_clocks_show_is_found(zone: ZoneInfo, shown: datetime) -> None:
    """A time on a clock is an instant at which a clock there shows it; or just after which it shows
    a later one, and just before which an earlier one."""
    read = read_time(shown.isoformat(), NOW, zone)
    clocks = read.at.replace(tzinfo=None)

    if read.note is None or "twice" in read.note:
        assert clocks == shown
    else:
        before = (read.at.astimezone(UTC) - timedelta(seconds=1)).astimezone(zone)
        assert before.replace(tzinfo=None) < shown < clocks
