"""The guide "test your app" is true: each example runs as it is written, in an app's own suite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, blocks_of
from tests.end_to_end.processes import LIMIT
from tests.sdk.driven import missing

GUIDE = "dispatcher/sandbox/TESTING.md"
FILES = {
    found[1]: block.text
    for block in blocks_of(GUIDE, (ROOT / GUIDE).read_text("utf-8"))
    if (found := re.match(r"(?:#|//) (\w+(?:\.test)?\.(?:py|js))\b", block.text))
}
SUITES = [name for name in FILES if name.startswith("test_")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the guide, in the folder of an app."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def run(folder: Path, *command: str) -> str:
    """What it prints; it must end well. `dlr` is the one of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=4 * LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("suite", SUITES)
def test_each_suite_of_the_guide_passes(folder: Path, suite: str) -> None:
    """Flask, Django, FastAPI and signed pushes, in a pytest of their own."""
    assert "1 passed" in run(
        folder, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", suite
    )


def test_the_suite_for_node_passes(folder: Path) -> None:
    """By Node's own test runner."""
    if not any((Path(each) / "node").exists() for each in os.environ["PATH"].split(os.pathsep)):
        missing("node is missing: apt-get install nodejs")

    assert "# pass 1" in run(folder, "node", "--test", "--test-reporter=tap", "shop.test.js")


def test_nothing_of_the_guide_is_left_out() -> None:
    """Each program of it is a file that these tests run, or that those files import."""
    assert {"test_flask.py", "test_django.py", "test_fastapi.py", "test_signed.py"} == set(SUITES)
    assert set(FILES) - set(SUITES) == {"shop.py", "conftest.py", "shop.test.js"}
