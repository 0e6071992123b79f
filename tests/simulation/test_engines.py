"""Which engine is taken, and what its answer says of itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dispatcher.cli import cli
from dispatcher.simulation import engines
from dispatcher.simulation.answer import answer, without_bounds
from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.engines import (
    EXACT_SECONDS,
    EXACT_SECONDS_PER_ATTEMPT,
    exact_seconds,
    is_small,
    simulate_with,
)
from dispatcher.simulation.timeline import Exactness
from tests.simulation.support import a_scenario

SLOWS = {"behaves": "slows", "at": "10s", "lasts": "20s", "per_second": 4}

TOUCHY: list[dict[str, Any]] = [
    {"phase": [SLOWS]},
    {"phase": [{"behaves": "limits", "per_second": 1}]},
    {"phase": [{"behaves": "refuses", "every": "10s", "each_time": "1s"}]},
    {"endpoint": {"breaker_failures": 3}},
]


@pytest.mark.parametrize("said", TOUCHY[:2])  # nothing is held up by the others
def test_counts_of_what_hinders_each_other_are_called_estimated(said: dict[str, Any]) -> None:
    """An endpoint that worked off four pushes a second after an outage had 2,400 late reports by
    the exact engine and 4,176 by the cohort engine, which `auto` took without a word. One push more
    in its queue is a timeout more, and so on: where they are counted the answer says it."""
    played = a_scenario(duration="60s", **said)
    counted = simulate_cohort(played, one_by_one=0, followed=0)

    assert answer(counted)[-1] == without_bounds(counted.exactness)
    assert counted.estimated


@pytest.mark.parametrize("said", TOUCHY)
def test_few_of_them_are_followed_and_exact(said: dict[str, Any]) -> None:
    """The cohort engine follows each push of these as far as it has time to, and says so."""
    played = a_scenario(duration="60s", **said)
    followed, exact = (simulate_with(played, engine) for engine in ("cohort", "exact"))

    assert followed.exactness == exact.exactness == Exactness("exact")
    assert followed.totals == exact.totals
    assert followed.lateness == exact.lateness


def test_auto_is_exact_for_as_long_as_ten_seconds() -> None:
    """Whatever is in the way of what: how long it takes decides, by one constant."""
    most = EXACT_SECONDS / EXACT_SECONDS_PER_ATTEMPT
    played = [a_scenario(duration=f"{round(part * most)}s") for part in (0.8, 1.2)]

    assert [is_small(each) for each in played] == [True, False]


def test_what_fails_by_chance_is_tried_more_often() -> None:
    """And takes the exact engine so much longer: half of all attempts fail, so each report has
    two."""
    halved = a_scenario(phase=[{"behaves": "refuses", "share": 0.5}])

    assert exact_seconds(halved) / exact_seconds(a_scenario()) == pytest.approx(2, rel=0.1)


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
def test_every_answer_says_it(
    tmp_path: Path, asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked: as a sentence, and as JSON."""
    counting = partial(simulate_cohort, one_by_one=0, followed=0)
    monkeypatch.setattr(engines, "simulate_cohort", counting)
    file = tmp_path / "slow.toml"
    file.write_text(
        'duration = "60s"\n[[phase]]\nbehaves = "refuses"\nlasts = "10s"\n'
        '[[phase]]\nat = "10s"\nbehaves = "slows"\nper_second = 4\n'
    )

    def dlr(*more: str) -> str:
        words = ["simulate", str(file), "--engine", "cohort", *asked, *more]
        return CliRunner().invoke(cli, words, catch_exceptions=False).stdout

    told = dlr("--json")
    assert any(
        line.startswith("ESTIMATED: the endpoint handles 4/s") for line in dlr().splitlines()
    )
    assert '"estimated":true' in told
    assert '"exactness":"estimated: because the endpoint handles 4/s' in told


def test_a_csv_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    """By the option's name: it was `[Errno 2]`, after the whole simulation."""
    words = ["simulate", "not-read.toml", "--csv", str(tmp_path / "none" / "rows.csv")]
    done = CliRunner().invoke(cli, words)

    assert str(done.exception) == f"--csv: there is no directory {tmp_path / 'none'}"
