"""Many seeds: with whatever befalls, no invariant is hurt, and then all comes to rest.

A failure names its seed. DLR_DST_SEED=… has this test play that one alone; its whole story is told
by `python -m tests.simulation.faults SEED`.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.simulation.faults.test_defects import SEEDS
from tests.simulation.faults.world import play, violations

SHORT = SEEDS
"""As many as a planted defect is looked for in (test_defects.py)."""
LONG = 12_000

AT_ONCE = 50
"""Seeds that one process of the machine plays in a go."""


def test_nothing_wrong_happens_and_all_comes_to_rest() -> None:
    """With none of the first seeds anything is lost, sent too early, or left lying."""
    if (chosen := os.environ.get("DLR_DST_SEED")) is not None:
        play(int(chosen))
    else:
        _play_all(range(SHORT))


@pytest.mark.long
def test_nothing_wrong_happens_with_many_more_seeds() -> None:
    """The same with so many that it takes minutes."""
    _play_all(range(SHORT, SHORT + LONG))


def _play_all(seeds: range) -> None:
    pieces = [seeds[start : start + AT_ONCE] for start in range(0, len(seeds), AT_ONCE)]
    # A fresh interpreter each: what pytest has started (threads, loops) is not to be forked.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        found = [text for text in pool.map(_violation, pieces) if text is not None]
    if found:
        pytest.fail("\n\n".join(found[:3]), pytrace=False)


def _violation(seeds: range) -> str | None:
    return next(map(str, violations(seeds)), None)
