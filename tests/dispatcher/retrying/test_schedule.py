"""The retry table, against the platform's documented figures."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatcher.retrying.schedule import INFOBIP, RetrySchedule

TABLE = [
    # retry, wait in minutes, since the first attempt (h:mm), as the platform prints them
    (0, 1, "0:01"),
    (1, 2, "0:03"),
    (2, 5, "0:08"),
    (3, 10, "0:18"),
    (4, 17, "0:35"),
    (5, 26, "1:01"),
    (6, 37, "1:38"),
    (7, 50, "2:28"),
    (8, 65, "3:33"),
    (9, 82, "4:55"),
    (10, 101, "6:36"),
    (11, 122, "8:38"),
    (12, 145, "11:03"),
    (13, 170, "13:53"),
    (14, 197, "17:10"),
    (15, 226, "20:56"),
    (16, 257, "25:13"),
    (17, 290, "30:03"),
    (18, 325, "35:28"),
    (19, 362, "41:30"),
]


def test_the_table() -> None:
    """Retry n comes 1 min + 1 min·n² after the attempt before; all together 41:30 h."""
    rows = [
        (number, wait // timedelta(minutes=1), _hours_minutes(since))
        for number, wait, since in INFOBIP.rows()
    ]

    assert rows == TABLE


def test_21_attempts() -> None:
    """There is one first attempt, and 20 retries."""
    assert INFOBIP.attempts == 21
    assert sum(INFOBIP.waits, timedelta()) == timedelta(hours=41, minutes=30)


@pytest.mark.parametrize(("made", "minutes"), [(1, 1), (2, 2), (3, 5), (20, 362)])
def test_wait_after(made: int, minutes: int) -> None:
    """After so many attempts the wait is that of the next retry."""
    assert INFOBIP.wait_after(made) == timedelta(minutes=minutes)


@pytest.mark.parametrize("made", [21, 22, 1000])
def test_no_wait_after_the_last(made: int) -> None:
    """After the last attempt there is no wait, and so no further attempt."""
    assert INFOBIP.wait_after(made) is None


def test_schedule_without_retries() -> None:
    """A schedule without waits has one attempt; a wait of nothing is one."""
    once = RetrySchedule("once", (), "")
    at_once = RetrySchedule("at once", (timedelta(0),), "")

    assert (once.attempts, once.wait_after(1), once.rows()) == (1, None, [])
    assert at_once.wait_after(1) == timedelta(0)


def _hours_minutes(span: timedelta) -> str:
    minutes = span // timedelta(minutes=1)
    return f"{minutes // 60}:{minutes % 60:02}"
