"""`dlr rehearse --outage` and `--scenario`: what they take, print and return."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from dispatcher.cli import cli
from tests.data.webhooks import wrong
from tests.data.webhooks.right_aiohttp import Webhook
from tests.end_to_end.processes import dlr, started
from tests.rehearsal.served import listening

SHORT = ("--outage", "10m", "--rate", "1/s", "--speed", "2000")

SCENARIO = """
story = "Down for a minute"
duration = "10m"

[arrivals]
per_second = 0.5

[[phase]]
at = "2m"
lasts = "1m"
behaves = "answers"
status = 502
"""


async def test_an_outage(tmp_path: Path) -> None:
    """The outage as it goes, the verdicts, simulated beside rehearsed; JUnit has them too."""
    async with listening(Webhook()) as base:
        words = (*SHORT, "--verify", base + "/messages/{messageId}", "--format", "junit")
        done = await dlr(tmp_path, "rehearse", base + "/dlr", *words, "--output", "drill.xml")

    assert done.code == 0, done.out + done.err
    assert "00:00:30  the webhook is down: refuses\n" in done.out
    assert "00:10:30  the webhook is back\n" in done.out
    assert "simulated  rehearsed" in done.out
    assert "verdict  passed" in done.out
    cases = ElementTree.parse(tmp_path / "drill.xml").iter("testcase")
    assert [case.get("name") for case in cases] == ["drill-nothing-lost", "drill-state"]


async def test_a_scenario_of_the_simulator(tmp_path: Path) -> None:
    """The same file; as JSON both timelines, in the same form."""
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    async with listening(Webhook()) as base:
        words = ("--scenario", "scenario.toml", "--speed", "1000", "--format", "json")
        done = await dlr(tmp_path, "rehearse", base + "/dlr", *words)

    told = json.loads(done.out)
    assert (done.code, told["verdict"]) == (0, "passed")
    drill = told["drill"]
    assert drill["story"] == "Down for a minute"
    assert drill["simulated"].keys() == drill["rehearsed"].keys()
    assert drill["rehearsed"]["engine"] == "rehearsed"
    for timeline in (drill["simulated"], drill["rehearsed"]):
        assert timeline["totals"]["acknowledged"] == 300
        assert timeline["bands"] == [{"start": 120.0, "end": 180.0, "what": "answers 502"}]


async def test_a_lost_report_is_exit_code_1(tmp_path: Path) -> None:
    """A webhook that refuses repeats loses reports for good; they are named."""
    (tmp_path / "scenario.toml").write_text(
        SCENARIO.replace("answers", "half-open").replace("status = 502", "")
        + '[schedule]\npreset = "custom"\nwaits = ["1m", "1m"]\n'
    )
    async with listening(wrong.ConflictOnDuplicate()) as base:
        words = ("--scenario", "scenario.toml", "--speed", "1000", "--timeout", "200ms")
        done = await dlr(tmp_path, "rehearse", base + "/dlr", *words, "--seed", "7")

    assert done.code == 1
    assert "failed        drill-nothing-lost" in done.out
    assert "exhausted, 0 waiting: rehearsal-7-drill-" in done.out


async def test_ctrl_c(tmp_path: Path) -> None:
    """What there is so far is shown, the app is resumed, and the exit code is 130."""
    async with listening(Webhook()) as base:
        words = ("--outage", "1h", "--speed", "600", "--pause-cmd", "true")
        resume = ("--resume-cmd", f"touch {tmp_path / 'resumed'}")
        async with started(tmp_path, "rehearse", base + "/dlr", *words, *resume) as command:
            await command.out.find("it is paused")
            command.signal(signal.SIGINT)
            code = await command.ended()

    assert code == 130, command.err.text
    assert "not judged    drill-nothing-lost" in command.out.text
    assert "stopped at" in command.out.text
    assert (tmp_path / "resumed").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--rate", "20/s"), "dlr: --rate is read with --outage, or with --scenario where it fits"),
        (("--down", "5xx"), "dlr: --down is read with --outage"),
        ((*SHORT, "--quick"), "dlr: --only, --skip and --quick choose checks, and a drill is none"),
        (("--outage", "0s"), "dlr: --outage: expected a positive duration, got 0s"),
        (("--outage", "1h", "--rate", "fast"), "dlr: --rate: expected a rate such as 50/s"),
        (("--outage", "1h", "--rate", "0/s"), "dlr: --rate: expected a rate such as 50/s"),
        (("--outage", "1h", "--pause-cmd", "x"), "dlr: --pause-cmd and --resume-cmd belong"),
        (
            ("--outage", "1h", "--pause-cmd", "x", "--resume-cmd", "y", "--down", "5xx"),
            "dlr: --down is how our proxy is down: with --pause-cmd your app is",
        ),
        (("--scenario", "s.toml", "--rate", "1/s"), "dlr: --rate: the scenario says it already"),
        (("--outage", "3h", "--speed", "1"), "dlr: 3h18m at speed 1 take longer than 2h"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], told: str) -> None:
    """Wrong usage is one line that says what was expected, and exit code 2."""
    done = CliRunner().invoke(cli, ["rehearse", "http://127.0.0.1:1/dlr", *words])

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(told), done.stderr
    assert done.stderr.count("\n") == 1
