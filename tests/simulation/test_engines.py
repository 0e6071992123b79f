"""Which engine is taken, and what its answer says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dispatcher.cli import cli
from dispatcher.simulation.answer import ESTIMATED, answer
from dispatcher.simulation.engines import is_small, simulate_with
from tests.simulation.support import a_scenario

SLOWS = {"behaves": "slows", "at": "10s", "lasts": "20s", "per_second": 4}

TOUCHY: list[dict[str, Any]] = [
    {"phase": [SLOWS]},
    {"phase": [{"behaves": "limits", "per_second": 1}]},
    {"phase": [{"behaves": "refuses", "every": "10s", "each_time": "1s"}]},
    {"endpoint": {"breaker_failures": 3}},
]


@pytest.mark.parametrize("said", TOUCHY)
def test_counts_of_what_hinders_each_other_are_called_estimated(said: dict[str, Any]) -> None:
    """An endpoint that worked off four pushes a second after an outage had 2,400 late reports by
    the exact engine and 4,176 by the cohort engine, which `auto` took without a word. One push more
    in its queue is a timeout more, and so on: counts cannot follow that, so they say it."""
    played = a_scenario(duration="60s", **said)

    assert answer(simulate_with(played, "cohort"))[-1] == ESTIMATED
    assert ESTIMATED not in answer(simulate_with(played, "exact"))


def test_where_counts_are_estimates_more_is_followed_one_by_one() -> None:
    """21,600 reports are counted to an endpoint that is up, and followed to one that works off four
    a second."""
    counted, followed = a_scenario(duration="6h"), a_scenario(duration="6h", phase=[SLOWS])

    assert (is_small(counted), is_small(followed)) == (False, True)
    assert not is_small(a_scenario(duration="60h", phase=[SLOWS]))


def test_counts_of_an_outage_are_not() -> None:
    """Whose pushes are down or up together, however many."""
    played = a_scenario(duration="60s", phase=[{"behaves": "refuses", "lasts": "30s"}])

    assert not simulate_with(played, "cohort").estimated


@pytest.mark.parametrize(
    "asked",
    [
        (),
        ("--compare", "infobip,svix"),
        ("--sweep", "outage=10s,20s"),
        ("--find", "max-outage-without-loss"),
    ],
)
def test_every_answer_says_it(tmp_path: Path, asked: tuple[str, ...]) -> None:
    """Whatever is asked: as a sentence, and as JSON."""
    file = tmp_path / "slow.toml"
    file.write_text(
        'duration = "60s"\n[[phase]]\nbehaves = "refuses"\nlasts = "10s"\n'
        '[[phase]]\nat = "10s"\nbehaves = "slows"\nper_second = 4\n'
    )

    def dlr(*more: str) -> str:
        words = ["simulate", str(file), "--engine", "cohort", *asked, *more]
        return CliRunner().invoke(cli, words, catch_exceptions=False).stdout

    assert ESTIMATED in dlr().splitlines()
    assert '"estimated":true' in dlr("--json")


def test_a_csv_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    """By the option's name: it was `[Errno 2]`, after the whole simulation."""
    words = ["simulate", "not-read.toml", "--csv", str(tmp_path / "none" / "rows.csv")]
    done = CliRunner().invoke(cli, words)

    assert str(done.exception) == f"--csv: there is no directory {tmp_path / 'none'}"
