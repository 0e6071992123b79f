"""`Retry-After`: both its forms, garbage, and how far it is obeyed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.retrying.dispatch import Next, after_attempt
from dispatcher.retrying.outcome import Answer, Outcome, OutcomeRules
from dispatcher.retrying.retry_after import RetryAfter, asked_for
from dispatcher.retrying.schedule import INFOBIP, RetrySchedule

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
OBEYED = OutcomeRules(retry_after=RetryAfter())


def after(
    text: str | None,
    *,
    status: int = 503,
    rules: OutcomeRules = OBEYED,
    schedule: RetrySchedule = INFOBIP,
    took: timedelta = timedelta(0),
) -> timedelta:
    """The wait after a first attempt at NOW that was answered so, counted from its start."""
    following = after_attempt(
        Outcome.FAILED,
        attempts_made=1,
        started_at=NOW,
        ended_at=NOW + took,
        schedule=schedule,
        answer=Answer(1.0, status=status, retry_after=text),
        rules=rules,
        rng=Random(1),
    )
    assert following.due_at is not None
    return following.due_at - NOW


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("0", timedelta(0)),
        ("120", 2 * MINUTE),
        (" 120 ", 2 * MINUTE),
        ("-5", -5 * SECOND),
        ("Sat, 21 Nov 2026 10:05:00 GMT", 5 * MINUTE),
        ("Saturday, 21-Nov-26 10:05:00 GMT", 5 * MINUTE),
        ("Sat Nov 21 10:05:00 2026", 5 * MINUTE),
        ("Sat, 21 Nov 2026 09:00:00 GMT", -HOUR),
        ("Sat, 21 Nov 2026 11:05:00 +0100", 5 * MINUTE),
        ("9" * 8000, 36_500 * DAY),
        ("99999999999", 36_500 * DAY),
        ("9999999999", 36_500 * DAY),
        ("-" + "9" * 8000, -36_500 * DAY),
    ],
)
def test_both_forms(text: str, asked: timedelta) -> None:
    """Seconds or an HTTP date, in each of the three ways in which HTTP has written dates."""
    assert asked_for(text, NOW) == asked


@pytest.mark.parametrize("text", ["", " ", "soon", "1.5", "1e3", "0x10", "٣", "12 s", "5, 6"])
def test_garbage_says_nothing(text: str) -> None:
    """What is neither seconds nor a date is as good as no header."""
    assert asked_for(text, NOW) is None
    assert after(text) == MINUTE


@given(st.text(max_size=60))
@example("Sat, 99 Nov 2026 10:05:00 GMT")
@example("Sat, 21 Nov 2026 10:05:00 +9999")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("1 Jan 99999999999999999999 00:00:00")
def test_no_text_breaks_it(text: str) -> None:
    """Whatever an endpoint writes, the next attempt is within the bounds."""
    assert MINUTE <= after(text) <= DAY


def test_waits_as_long_as_asked() -> None:
    """An answer that asks for an hour gets it, counted from the answer."""
    assert after("3600") == HOUR
    assert after("3600", took=8 * SECOND) == HOUR + 8 * SECOND
    assert after("Sat, 21 Nov 2026 11:00:00 GMT", took=8 * SECOND) == HOUR


@pytest.mark.parametrize("text", ["0", "1", "59", "-100", "Sat, 21 Nov 2020 10:00:00 GMT"])
def test_never_before_the_schedule(text: str) -> None:
    """What asks for less than the schedule's wait, or for the past, gets the schedule's wait."""
    assert after(text) == MINUTE


@pytest.mark.parametrize("text", ["86401", "9" * 100, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_never_beyond_the_bound(text: str) -> None:
    """What asks for more than the bound gets the bound."""
    assert after(text) == DAY


def test_the_schedule_wins_over_a_bound_below_it() -> None:
    """A bound that is less than the schedule's wait does not hurry a retry."""
    rules = OutcomeRules(retry_after=RetryAfter(most=10 * SECOND))

    assert after("3600", rules=rules) == MINUTE


@pytest.mark.parametrize("status", [429, 503])
def test_obeyed_at_429_and_503(status: int) -> None:
    """Too many requests, and unavailable for now: these are what the header is for."""
    assert after("3600", status=status) == HOUR


@pytest.mark.parametrize("status", [302, 400, 413, 500, 502])
def test_ignored_at_other_statuses(status: int) -> None:
    """With any other status the header changes nothing."""
    assert after("3600", status=status) == MINUTE


def test_ignored_unless_it_is_to_be_honoured() -> None:
    """By default, and by Infobip's rules, the header changes nothing."""
    assert after("3600", rules=OutcomeRules()) == MINUTE
    assert after("3600", rules=INFOBIP.rules) == MINUTE


def test_takes_no_retry_and_gives_none() -> None:
    """After the last attempt a Retry-After does not bring another one."""
    following = after_attempt(
        Outcome.FAILED,
        attempts_made=21,
        started_at=NOW,
        schedule=INFOBIP,
        answer=Answer(1.0, status=503, retry_after="60"),
        rules=OBEYED,
    )

    assert following == Next("exhausted", None)


def test_waits_from_the_end_of_an_attempt() -> None:
    """Where waits count from the end of the attempt before, so does what is asked for."""
    schedule = RetrySchedule("from the end", (MINUTE,), "", counted_from="end")

    assert after(None, schedule=schedule, took=8 * SECOND) == MINUTE + 8 * SECOND
    assert after("3600", schedule=schedule, took=8 * SECOND) == HOUR + 8 * SECOND
