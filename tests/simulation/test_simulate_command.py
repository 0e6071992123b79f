"""`dlr simulate`: the answer in a table, as JSON and as CSV; what Ctrl-C leaves."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dispatcher.cli import cli

SCENARIO = """
story = "Ten minutes without an answer"
duration = "1h"
[arrivals]
per_second = 0.5
by_chance = true
[[phase]]
at = "10m"
lasts = "10m"
behaves = "refuses"
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    file = tmp_path / "scenario.toml"
    file.write_text(SCENARIO)
    return file


def dlr(*words: str | Path) -> Result:
    env = {"COLUMNS": "200"}
    return CliRunner(env=env).invoke(cli, ["simulate", "--engine", "exact", *map(str, words)])


def test_the_answer_comes_first(scenario: Path) -> None:
    """The story, sentences, then the figures; with no progress in between."""
    done = dlr(scenario)

    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0] == "Ten minutes without an answer"
    assert lines[1].startswith("271 of 1,8")
    assert "none were lost." in lines[1]
    table = {" ".join(line.split()) for line in lines[4:]}
    assert table >= {
        "lost 0 (0.0%)",
        "trouble 00:10:00 to 00:20:00: refuses",
        "simulated by exact engine, schedule infobip, seed 1",
    }


def test_json_is_all_there_is_on_stdout(scenario: Path) -> None:
    """The same bytes each time, and others with another seed."""
    one, two, other = (
        dlr(scenario, "--json"),
        dlr(scenario, "--json"),
        dlr(scenario, "--json", "--seed", "2"),
    )

    said = json.loads(one.stdout)
    assert one.stdout_bytes == two.stdout_bytes != other.stdout_bytes
    assert said["seed"] == 1
    assert json.loads(other.stdout)["seed"] == 2
    assert said["totals"]["exhausted"] == 0


def test_csv_is_written_beside_the_table(scenario: Path, tmp_path: Path) -> None:
    """A row for each bin."""
    done = dlr(scenario, "--csv", tmp_path / "timeline.csv")

    with (tmp_path / "timeline.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    said = json.loads(dlr(scenario, "--json").stdout)
    assert done.stdout.startswith("Ten minutes")
    assert [int(row["arrivals"]) for row in rows] == said["bins"]["arrivals"]
    assert [int(row["unreachable"]) for row in rows] == said["bins"]["failed"]["unreachable"]


def typed(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process, which has errors of one line."""
    return subprocess.run(
        [Path(sys.executable).parent / "dlr", "simulate", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_faults_are_a_line_each(tmp_path: Path) -> None:
    """On stderr, with exit code 2."""
    (tmp_path / "bad.toml").write_text('duration = "soon"\n[[phase]]\nbehaves = "naps"\n')
    done = typed(tmp_path / "bad.toml")

    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(": ")[2] for line in done.stderr.splitlines()] == [
        "duration",
        "phase[0].behaves",
    ]


def test_a_scenario_that_is_not_there_is_told(tmp_path: Path) -> None:
    """By its name."""
    done = typed(tmp_path / "none.toml")

    assert done.returncode == 2
    assert done.stderr == f"dlr: {tmp_path / 'none.toml'}: there is no such file\n"


OFTEN = """
from dispatcher.cli import main
from dispatcher.commands import simulation_progress
simulation_progress.LINE_EVERY_SECONDS = 0
main()
"""


def test_ctrl_c_leaves_a_partial_result(tmp_path: Path) -> None:
    """What has been simulated so far, and the words that it is no more. The key is pressed when the
    first line of progress has come."""
    (tmp_path / "long.toml").write_text('duration = "30d"\nbin = "1h"')
    process = subprocess.Popen(
        [sys.executable, "-c", OFTEN, "simulate", "--engine", "exact", "long.toml"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        progress = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)

    assert progress == "simulating: 0%\n"
    assert process.returncode == 130
    assert printed.startswith("PARTIAL: stopped at ")
    assert any(line.startswith("broken off at") for line in printed.splitlines())
