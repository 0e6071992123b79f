"""The soak (soak.py): half a minute of it on PostgreSQL beside the other tests, an hour on either
database behind the long marker.

DLR_SOAK_SECONDS chooses another length for the short one, and then SQLite has it too; so CI has
five minutes after the suite. Whether memory and sizes are flat is judged from ten minutes on:
before that, caches and pages are still filling.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.end_to_end.soak import Kind, soak, told, verdict

CHOSEN = os.environ.get("DLR_SOAK_SECONDS")
SHORT: list[tuple[Kind, float]] = (
    [("postgres", float(CHOSEN)), ("sqlite", float(CHOSEN))] if CHOSEN else [("postgres", 30.0)]
)
JUDGED_FROM = 600.0


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        *SHORT,
        pytest.param("postgres", 3_600.0, marks=pytest.mark.long),
        pytest.param("sqlite", 3_600.0, marks=pytest.mark.long),
    ],
)
async def test_nothing_is_lost_and_nothing_grows(kind: Kind, seconds: float) -> None:
    """While processes are killed, an endpoint flaps, and the disk is full once."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    run = await soak(kind, seconds, rate=20, seed=seed)
    print(told(run))
    assert verdict(run, judge_sizes=seconds >= JUDGED_FROM) == []
    assert run.kills > 1
    if os.environ.get("CI"):
        assert run.was_full
