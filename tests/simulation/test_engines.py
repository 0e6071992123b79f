"""Which engine is taken, and what its answer says of itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.cli import cli
from dispatcher.simulation import engines
from dispatcher.simulation.answer import answer, without_bounds
from dispatcher.simulation.bounds import with_bounds
from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.engines import (
    EXACT_SECONDS,
    EXACT_SECONDS_PER_ATTEMPT,
    exact_seconds,
    is_small,
    simulate_with,
)
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.scenario import Scenario
from dispatcher.simulation.timeline import Exactness
from tests.simulation.support import a_scenario
from tests.simulation.test_cohort_agrees import tried

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


@st.composite
def touchy(draw: st.DrawFn) -> Scenario:
    """Minutes of reports to an endpoint that is down, and then one of which one push decides what
    becomes of the next; or to one behind a breaker."""
    down: dict[str, Any] = {
        "behaves": draw(st.sampled_from(["refuses", "stalls"])),
        "at": f"{draw(st.integers(20, 90))}s",
        "lasts": f"{draw(st.integers(30, 90))}s",
    }
    slow = {"behaves": "up", "latency": f"{draw(st.sampled_from([20, 300, 1_000]))}ms"}
    then: dict[str, Any] = {}
    endpoint = {"window": draw(st.sampled_from([2, 4, 20])), "read_timeout": "5s"}
    match draw(st.sampled_from(["paced", "flaps", "recovers now and then", "breaker"])):
        case "paced":
            then = {"behaves": draw(st.sampled_from(["slows", "limits"])), "per_second": 2.0}
            then |= {"at": "120s", "lasts": draw(st.sampled_from(["60s", "1h"]))}
        case "flaps":
            down |= {"every": "20s", "each_time": f"{draw(st.integers(1, 15))}s"}
        case "recovers now and then":
            then = {"behaves": "up", "every": "20s", "each_time": "5s"}
        case _:
            endpoint |= {"breaker_failures": draw(st.sampled_from([1, 3])), "breaker_probe": "20s"}
            down |= {"share": draw(st.sampled_from([0.1, 0.5, 1.0]))}
    return a_scenario(
        seed=draw(st.integers(1, 9)),
        duration="4m",
        until=draw(st.sampled_from(["6m", "30m"])),
        arrivals={"per_second": draw(st.sampled_from([1.0, 2.0]))},
        phase=[slow, down, *([then] if then else [])],
        endpoint=endpoint,
        schedule=draw(
            st.sampled_from(
                [{}, {"preset": "custom", "retries": 3, "waits": ["5s", "40s", "150s"]}]
            )
        ),
    )


def within_bounds(scenario: Scenario) -> None:
    counted = with_bounds(simulate_cohort(scenario, one_by_one=0, followed=0), scenario)
    bounds = counted.exactness.bounds
    if bounds is None:  # nothing was held up
        assert not counted.estimated
        return
    exact = simulate_exact(scenario)
    assert bounds.late[0] <= exact.lateness.late <= bounds.late[1]
    assert bounds.lost[0] <= exact.totals.exhausted <= bounds.lost[1]


@tried(4)
@given(touchy())
def test_the_exact_figures_lie_within_the_bounds(scenario: Scenario) -> None:
    """Where one push decides about the next there were no bounds at all: `the numbers can be far
    off`. Whatever it does, the endpoint is no better than one that is always up, and no worse than
    one that is down for all of its trouble."""
    within_bounds(scenario)


@pytest.mark.long
def test_the_exact_figures_lie_within_the_bounds_of_hundreds() -> None:
    """The same on others with each run."""
    tried(200, others_each_time=True)(given(touchy())(within_bounds))()


def test_bounds_of_an_outage_that_comes_and_goes() -> None:
    """None late at best, as when it never came, and at worst as many as when it stays."""
    outage = {"behaves": "stalls", "at": "60s", "lasts": "60s"}
    said: dict[str, Any] = {"duration": "3m", "endpoint": {"window": 2}}
    flaps = a_scenario(phase=[{**outage, "every": "9s", "each_time": "3s"}], **said)
    stays = simulate_exact(a_scenario(phase=[outage], **said))
    counted = simulate_cohort(flaps, one_by_one=0, followed=0)

    bounds = with_bounds(counted, flaps).exactness.bounds

    assert bounds is not None
    assert bounds.late[0] == 0
    assert stays.lateness.late <= bounds.late[1] < 90
    assert bounds.lost == (0, 0)


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
