"""No check that cannot fail: a planted defect is caught, by the invariant that is there for it."""

from __future__ import annotations

import re

import pytest

from tests.simulation.faults.defects import FOUND, PLANTED, SHOWN_BY, Defect
from tests.simulation.faults.world import play, violations

SEEDS = 500
"""Within so many, or by the seed that SHOWN_BY names, each is caught."""


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_caught(name: str) -> None:
    """A defect in production code hurts the invariant that speaks of it."""
    _is_caught(name, PLANTED[name])


@pytest.mark.parametrize("name", FOUND)
def test_a_defect_that_was_found_here_would_be_found_again(name: str) -> None:
    """What was wrong once, and is told of in defects.py, is planted again and caught again; and
    without it the same seed comes to rest."""
    _is_caught(name, FOUND[name])
    play(SHOWN_BY[name], acts=FOUND[name].acts)


def _is_caught(name: str, defect: Defect) -> None:
    told: list[str] = []
    with defect.plant():
        for violation in violations([SHOWN_BY.get(name, 0), *range(SEEDS)], defect.acts):
            told.append(str(violation).splitlines()[0])
            if re.search(defect.caught_by, told[-1]):
                return
    pytest.fail(f"not caught by {SEEDS} seeds; but there were: {told[:5]}")
