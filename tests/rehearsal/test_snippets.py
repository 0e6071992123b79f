"""The GitHub Action and the GitLab job of config/deploy do what they say: their scripts are run."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml

from tests.data.webhooks import wrong
from tests.data.webhooks.right_aiohttp import Webhook
from tests.end_to_end.processes import LIMIT
from tests.rehearsal.served import listening

DEPLOY = Path(__file__).parents[2] / "config" / "deploy"
BIN = Path(sys.executable).parent
ONE = "--only json-v2,late-intermediate --patience 200ms"


async def run(script: str, folder: Path, **environment: str) -> tuple[int | None, str]:
    """The exit code and the output of a script, as a runner of CI has it."""
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-e", "-o", "pipefail", "-c", script),
        cwd=folder,
        env={**os.environ, "PATH": f"{folder}:{BIN}:{os.environ['PATH']}", **environment},
        stdout=PIPE,
        stderr=STDOUT,
    )
    async with asyncio.timeout(LIMIT * 2):
        printed, _ = await shell.communicate()
    return shell.returncode, printed.decode()


def failures(folder: Path) -> list[str]:
    """The failed checks of the report that was left behind."""
    suites = JUnitXml.fromfile(str(folder / "rehearsal.xml"))
    return [case.name for suite in suites for case in suite if case.is_failure]


@pytest.mark.parametrize(
    ("webhook", "code", "failed"),
    [(Webhook, 0, []), (wrong.LastWins, 1, ["late-intermediate"])],
)
async def test_the_github_action(
    tmp_path: Path, webhook: type[Webhook], code: int, failed: list[str]
) -> None:
    """Its step reads the options, fails when a check has failed, and leaves the report."""
    action: dict[str, Any] = yaml.safe_load((DEPLOY / "action.yml").read_text())
    (step,) = [each for each in action["runs"]["steps"] if each.get("name") == "Rehearse"]
    (tmp_path / "dlr").symlink_to(BIN.parent)
    async with listening(webhook()) as base:
        options = f"{ONE} --verify '{base}/messages/{{messageId}}'"
        inputs = {"url": base + "/dlr", "options": options, "header": "X-Key: two words"}
        given = {
            name: inputs[value.split("inputs.")[1].split()[0]]
            for name, value in step["env"].items()
        }
        ended, printed = await run(step["run"], tmp_path, RUNNER_TEMP=str(tmp_path), **given)

    assert ended == code, printed
    assert failures(tmp_path) == failed


async def test_no_options(tmp_path: Path) -> None:
    """Without options and header there are none, not empty ones."""
    action: dict[str, Any] = yaml.safe_load((DEPLOY / "action.yml").read_text())
    (step,) = [each for each in action["runs"]["steps"] if each.get("name") == "Rehearse"]
    (tmp_path / "dlr").symlink_to(BIN.parent)
    given = {"DLR_URL": "http://127.0.0.1:1/dlr", "DLR_OPTIONS": "", "DLR_HEADER": ""}

    ended, printed = await run(step["run"], tmp_path, RUNNER_TEMP=str(tmp_path), **given)

    assert ended == 1, printed
    assert "connection refused" in printed


async def test_the_gitlab_job(tmp_path: Path) -> None:
    """Its script fails when a check has failed, and leaves the report where the job looks."""
    job: dict[str, Any] = yaml.safe_load((DEPLOY / "rehearse.gitlab.yml").read_text())["rehearse"]
    (tmp_path / "pip").write_text("#!/bin/sh\n")
    (tmp_path / "pip").chmod(0o755)
    script = "\n".join(job["script"])
    async with listening(wrong.Strict()) as base:
        given = {"DLR_URL": base + "/dlr", "DLR_STATE": base + "/messages/{messageId}"}
        ended, printed = await run(
            script, tmp_path, **{**job["variables"], **given, "DLR_HEADER": "X-Key: two words"}
        )

    assert ended == 1, printed
    assert job["artifacts"]["reports"]["junit"] == "rehearsal.xml"
    # With credentials in the run, a webhook that asks for none fails for that too.
    assert failures(tmp_path) == ["unknown-fields", "credentials-missing", "credentials-wrong"]
