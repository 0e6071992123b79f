"""`dlr simulate --compare`, `--sweep`, `--find`, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from dispatcher.cli import cli
from dispatcher.commands import simulate_many
from dispatcher.simulation.engines import simulate_with
from dispatcher.simulation.scenario import Scenario
from dispatcher.simulation.timeline import Timeline
from tests.simulation.test_plots import SCENARIO


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    file = tmp_path / "ten-minutes.toml"
    file.write_text(SCENARIO)
    return file


def typed(scenario: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["simulate", str(scenario), *words])


def test_a_comparison_is_a_table(scenario: Path) -> None:
    """Under the story, with what waits over time below it."""
    done = typed(scenario, "--compare", "infobip,github")

    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["Ten", "minutes"]
    assert lines[1] == ["infobip", "github"]
    assert ["lost", "0", "30"] in lines
    assert done.exit_code == 0


def test_a_sweep_is_a_table_json_and_rows(scenario: Path, tmp_path: Path) -> None:
    """The same figures in each."""
    rows = tmp_path / "rows.csv"
    done = typed(
        scenario, "--sweep", "schedule.preset=github,infobip", "--csv", str(rows), "--json"
    )

    told = json.loads(done.stdout)
    assert (told["swept"], told["partial"]) == ("schedule.preset", False)
    assert [each["figures"]["lost"] for each in told["points"]] == [30, 0]
    assert [line.split(",")[2] for line in rows.read_text().splitlines()] == ["lost", "30", "0"]


def test_an_answer_is_a_sentence_and_a_number(scenario: Path) -> None:
    """As JSON too."""
    words = ("--find", "max-outage-without-loss")

    assert typed(scenario, *words).stdout.splitlines()[2].startswith("149400 seconds, exact to 60")
    assert json.loads(typed(scenario, *words, "--json").stdout)["value"] == 149_400


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--compare", "infobip,svix", "--sweep", "outage=1h..2h"), "one of --compare, --sweep"),
        (("--find", "min-capacity"), "belong together"),
        (("--drain", "1h"), "belong together"),
        (("--find", "max-outage-without-loss", "--plot", "a.svg"), "nothing to plot"),
    ],
)
def test_what_does_not_go_together_is_refused(
    scenario: Path, words: tuple[str, ...], said: str
) -> None:
    """In one line."""
    done = typed(scenario, *words)

    assert done.exit_code == 2
    assert said in done.stderr


def test_ctrl_c_leaves_the_points_that_are_done(
    scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of three is broken off."""
    begun: list[Scenario] = []

    def broken_off(given: Scenario, engine: object, watch: object) -> Timeline:  # noqa: ARG001
        begun.append(given)
        return simulate_with(given, "exact", lambda _: len(begun) < 2)

    monkeypatch.setattr(simulate_many, "simulate_with", broken_off)
    monkeypatch.setattr("dispatcher.simulation.exact.WATCHED_EVERY", 1)
    done = typed(scenario, "--sweep", "outage=1m,5m,9m", "--json")

    told = json.loads(done.stdout)
    assert done.exit_code == 130
    assert "PARTIAL: broken off after 1 of 3 values" in done.stderr
    assert told["partial"] is True
    assert [each["value"] for each in told["points"]] == ["1m"]


def test_a_plot_is_opened(scenario: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a page of its own when no file is named."""
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", opened.append)

    done = typed(scenario, "--open")

    assert done.exit_code == 0, done.output
    assert Path(opened[0]).read_bytes().startswith(b"<!DOCTYPE html>")


def test_who_does_not_plot_does_not_wait_for_the_library(scenario: Path) -> None:
    """matplotlib takes longer to import than a small scenario to simulate."""
    program = (
        "import sys\nfrom dispatcher.cli import cli\n"
        f"cli(['simulate', {str(scenario)!r}], standalone_mode=False)\n"
        "sys.exit('matplotlib' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
