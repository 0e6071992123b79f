"""When an endpoint is left to other dispatchers, and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatcher.flow.alternation import (
    AFTER_FORMING,
    AFTER_OVERTAKEN,
    FIRST,
    LONGEST,
    Alternation,
)
from tests.dispatcher.support import START

TOOK = timedelta(milliseconds=4)
AT = START + TOOK


def formed(others: int, took: timedelta = TOOK) -> Alternation:
    """Dispatches were formed for Acme, until AT."""
    alternation = Alternation(1)
    alternation.formed({"acme": others}, AT - took, AT)
    return alternation


def test_alone_it_leaves_nothing() -> None:
    assert formed(0).until == {}


@pytest.mark.parametrize("others", [1, 3])
def test_each_of_the_others_is_given_time(others: int) -> None:
    alternation = formed(others)

    until = AT + others * AFTER_FORMING * TOOK
    assert alternation.until == {"acme": until}
    alternation.look(until - timedelta(microseconds=1))
    assert alternation.until == {"acme": until}
    alternation.look(until)
    assert alternation.until == {}


def test_one_that_is_overtaken_waits() -> None:
    alternation = Alternation(60)
    alternation.overtaken(["acme"], AT)
    assert alternation.until == {"acme": AT + AFTER_OVERTAKEN * FIRST * 60}

    alternation = formed(0)
    alternation.overtaken(["acme"], AT)
    assert alternation.until == {"acme": AT + AFTER_OVERTAKEN * TOOK}


@pytest.mark.parametrize("took", [timedelta(days=1), -timedelta(days=1)])
def test_no_wait_is_long(took: timedelta) -> None:
    """Such as after the clock was set, or a commit that waited for a lost server."""
    alternation = formed(7, took)

    (until,) = alternation.until.values()
    assert AT <= until <= AT + LONGEST


def test_a_step_of_the_clock() -> None:
    alternation, day = formed(1), timedelta(days=1)
    alternation.clock_stepped(day)

    assert alternation.until == {"acme": AT + day + AFTER_FORMING * TOOK}
