"""The states of a dispatch, and what an attempt does to it."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from dispatcher.retrying.dispatch import (
    TRANSITIONS,
    DispatchState,
    InvalidTransition,
    Next,
    after_attempt,
)
from dispatcher.retrying.outcome import Outcome
from dispatcher.retrying.schedule import INFOBIP
from tests.dispatcher.support import START

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


def test_transitions() -> None:
    """A dispatch goes back and forth between waiting and leased, and ends in one of three ways."""
    steps = {(state, to) for state, following in TRANSITIONS.items() for to in following}

    assert steps == {
        ("waiting", "leased"),
        ("waiting", "cancelled"),
        ("leased", "waiting"),
        ("leased", "acknowledged"),
        ("leased", "exhausted"),
    }


def test_every_state_is_in_the_table() -> None:
    """The table tells of each state where it leads, if only that it leads nowhere."""
    assert set(TRANSITIONS) == set(get_args(DispatchState))
    ends = {state for state, following in TRANSITIONS.items() if not following}
    assert ends == {"acknowledged", "exhausted", "cancelled"}


def test_invalid_transition_tells_which() -> None:
    """A refused step says which dispatch, from where, and where to."""
    error = InvalidTransition("7f3c", "exhausted", "leased")

    assert str(error) == "dispatch 7f3c: cannot go from exhausted to leased"


def after(outcome: Outcome, attempts_made: int) -> Next:
    return after_attempt(outcome, attempts_made=attempts_made, started_at=START, schedule=INFOBIP)


@pytest.mark.parametrize("attempts_made", [1, 20, 21])
def test_acknowledged_is_the_end(attempts_made: int) -> None:
    """A push that was acknowledged is done with, at the first attempt as at the last."""
    assert after(Outcome.ACKNOWLEDGED, attempts_made) == Next("acknowledged", None)


@pytest.mark.parametrize("outcome", FAILURES)
def test_every_failure_is_repeated(outcome: Outcome) -> None:
    """Whatever failed is tried again: the wait counts from the start of the attempt."""
    assert after(outcome, 1) == Next("waiting", START + timedelta(minutes=1))
    assert after(outcome, 20) == Next("waiting", START + timedelta(minutes=362))


@pytest.mark.parametrize("outcome", FAILURES)
def test_exhausted_after_the_last(outcome: Outcome) -> None:
    """After attempt 21 has failed there is no other."""
    assert after(outcome, 21) == Next("exhausted", None)
