"""What an answer means."""

from __future__ import annotations

import pytest

from dispatcher.retrying.outcome import Answer, Outcome, judge

FAILURES = [
    Outcome.REDIRECTED,
    Outcome.REFUSED,
    Outcome.FAILED,
    Outcome.UNREACHABLE,
    Outcome.TIMED_OUT,
    Outcome.BROKEN_OFF,
    Outcome.TLS_FAILED,
    Outcome.NOT_HTTP,
]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.ACKNOWLEDGED),
        (201, Outcome.ACKNOWLEDGED),
        (204, Outcome.ACKNOWLEDGED),
        (299, Outcome.ACKNOWLEDGED),
        (300, Outcome.REDIRECTED),
        (301, Outcome.REDIRECTED),
        (304, Outcome.REDIRECTED),
        (308, Outcome.REDIRECTED),
        (400, Outcome.REFUSED),
        (401, Outcome.REFUSED),
        (404, Outcome.REFUSED),
        (410, Outcome.REFUSED),
        (429, Outcome.REFUSED),
        (499, Outcome.REFUSED),
        (500, Outcome.FAILED),
        (503, Outcome.FAILED),
        (599, Outcome.FAILED),
        (101, Outcome.FAILED),
        (0, Outcome.FAILED),
        (600, Outcome.FAILED),
        (999, Outcome.FAILED),
    ],
)
def test_judges_by_status(status: int, outcome: Outcome) -> None:
    """The first digit of the status decides; any 2xx acknowledges."""
    assert judge(Answer(1.0, status=status, body=b"OK")) is outcome


@pytest.mark.parametrize("failure", FAILURES)
def test_judges_by_failure(failure: Outcome) -> None:
    """Where no answer came, the reason is the outcome."""
    assert judge(Answer(1.0, failure=failure)) is failure


def test_only_acknowledged_acknowledges() -> None:
    """There is one outcome that ends the matter."""
    assert [outcome for outcome in Outcome if outcome.acknowledges] == [Outcome.ACKNOWLEDGED]


def test_nothing_is_a_failure() -> None:
    """An answer that says neither status nor failure does not acknowledge."""
    assert judge(Answer(1.0)) is Outcome.FAILED
