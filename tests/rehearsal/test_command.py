"""`dlr rehearse`: what it takes, prints and returns."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from dispatcher.cli import cli
from dispatcher.rehearsal import CHECKS, select
from tests.data.webhooks import wrong
from tests.data.webhooks.right_aiohttp import Webhook
from tests.docs.documents import Shown, agrees, blocks, shown_in
from tests.end_to_end.processes import Ended, dlr
from tests.rehearsal.served import listening


async def rehearse(folder: Path, webhook: Webhook, *words: str) -> Ended:
    """`dlr rehearse` of a webhook. `{base}` in the words is its address."""
    async with listening(webhook) as base:
        told = [word.replace("{base}", base) for word in words]
        return await dlr(folder, "rehearse", base + "/dlr", *told)


async def test_what_is_printed(tmp_path: Path) -> None:
    """A line for each check as it ends, what to mend, the verdict; and the exit code is 1."""
    done = await rehearse(
        tmp_path,
        wrong.LastWins(),
        *("--only", "json-v2,late-intermediate", "--seed", "7"),
        *("--verify", "{base}/messages/{messageId}", "--patience", "200ms"),
    )

    lines = done.out.splitlines()
    assert lines[0].endswith("/dlr  seed 7, 2 checks")
    assert lines[1].split()[:2] == ["passed", "json-v2"]
    assert lines[2].split()[:2] == ["failed", "late-intermediate"]
    assert lines[4].startswith("failed  late-intermediate: an intermediate report after the final")
    assert [line.split()[0] for line in lines[5:12]] == [
        *("found", "sent", "sent", "came", "came", "why", "rule"),
    ]
    assert lines[-2].split() == ["verdict", "failed"]
    assert lines[-1].startswith("1 failed, 1 passed in ")
    assert (done.code, done.err) == (1, "")


SHOWN = [shown for block in blocks("text") for shown in shown_in(block)]


@pytest.mark.parametrize("shown", SHOWN, ids=["checks", "drill"])
async def test_the_transcripts_of_the_readme(tmp_path: Path, shown: Shown) -> None:
    """The guide's transcripts of failures are what is printed."""
    async with listening(wrong.LastWins()) as base:
        command, *words = shlex.split(shown.typed.replace("http://127.0.0.1:9000", base))
        done = await dlr(tmp_path, *words, "--patience", "200ms")

    assert (command, done.code, shown.code) == ("dlr", 1, 1)
    assert agrees(done.out.replace(base, "http://127.0.0.1:9000"), shown.printed), done.out


async def test_the_right_one(tmp_path: Path) -> None:
    """Exit code 0 when nothing has failed; without --verify it says what was not seen."""
    done = await rehearse(tmp_path, Webhook(), "--only", "semantics")

    assert done.code == 0
    assert "answered only late-intermediate" in done.out
    assert "without --verify" in done.out


async def test_a_report_goes_to_stdout_alone(tmp_path: Path) -> None:
    """In another format stdout is the report, and what is going on is on stderr."""
    done = await rehearse(tmp_path, Webhook(), "--only", "answers", "--quick", "--format", "json")

    assert json.loads(done.out)["verdict"] == "passed"
    assert "passed        garbage-bytes" in done.err


@pytest.mark.parametrize(
    ("form", "start"),
    [("json", "{"), ("junit", "<?xml"), ("html", "<!DOCTYPE html>"), ("text", "rehearsing http")],
)
async def test_output(tmp_path: Path, form: str, start: str) -> None:
    """--output writes the report to a file; what is going on stays on stdout."""
    words = ("--only", "json-v2", "--format", form, "--output", "report")
    done = await rehearse(tmp_path, Webhook(), *words)

    assert (tmp_path / "report").read_text().startswith(start)
    assert "passed        json-v2" in done.out
    assert done.err == "written to report\n"


async def test_nobody_listens(tmp_path: Path) -> None:
    """A URL where nobody listens has failed, whatever was to be checked."""
    done = await dlr(tmp_path, "rehearse", "http://127.0.0.1:1/dlr", "--only", "semantics")

    assert done.code == 1
    assert "does not accept even a plain report: connection refused" in done.out
    assert "verdict  failed" in done.out


async def test_credentials_are_sent_and_not_shown(tmp_path: Path) -> None:
    """--header lets the run in, and stands in no output."""
    words = ("--header", f"Authorization: {wrong.SECRET}", "--only", "json-v2,credentials-wrong")
    done = await rehearse(tmp_path, wrong.Guarded(), *words)

    assert done.code == 0, done.out
    assert wrong.SECRET.split()[1] not in done.out + done.err


async def test_the_list(tmp_path: Path) -> None:
    """--list names every check with its group, and sends nothing."""
    done = await dlr(tmp_path, "rehearse", "--list")

    assert [line.split()[:2] for line in done.out.splitlines()[1:]] == [
        [check.name, check.group] for check in CHECKS
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "dlr: expected the URL of a webhook: dlr rehearse http://127.0.0.1:9000/dlr"),
        (("app/dlr",), "dlr: expected an http or https URL with a host, got 'app/dlr'"),
        (
            ("http://app/", "--only", "late-intermedate"),
            "dlr: there is no check or group 'late-intermedate': did you mean"
            " late-intermediate? (--list shows all)",
        ),
        (("http://app/", "--only", "load", "--skip", "load"), "dlr: --only and --skip leave no"),
        (("http://app/", "--verify", "http://app/"), "dlr: --verify: expected {messageId} in"),
        (("http://app/", "--verify-path", "count=n"), "dlr: --verify-path needs --verify"),
        (("http://app/", "--header", "secret"), "dlr: --header: expected 'Name: value', got no"),
        (("http://app/", "--timeout", "0s"), "dlr: --timeout: expected a positive duration"),
        (("http://app/", "--output", "no/where"), "dlr: --output: there is no directory no"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], told: str) -> None:
    """Wrong usage is one line that says what was expected, and exit code 2."""
    done = CliRunner().invoke(cli, ["rehearse", *words])

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1


async def test_an_app_that_cannot_be_asked(tmp_path: Path) -> None:
    """A --verify that leads nowhere is told as wrong usage, before the checks."""
    words = ("--only", "json-v2", "--verify", "http://127.0.0.1:1/{messageId}")
    done = await rehearse(tmp_path, Webhook(), *words)

    assert done.code == 2
    assert done.err.startswith("dlr: --verify: GET http://127.0.0.1:1/rehearsal-")
    assert done.err.endswith("connection refused\n")


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"only": ["load"]}, {"burst", "fifty-at-once", "sustained", "growth"}),
        ({"only": ["load"], "skip": ["burst"]}, {"fifty-at-once", "sustained", "growth"}),
        ({"only": ["answers"], "quick": True}, {"garbage-bytes"}),
        ({"only": ["sustained"], "quick": True}, {"sustained"}),
    ],
)
def test_selection(choice: Mapping[str, object], names: set[str]) -> None:
    """Names and groups are chosen and left out; --quick leaves out all but the fifteen that find
    most, unless a check is named."""
    assert {check.name for check in select(**choice)} == names  # type: ignore[arg-type]
