"""A client of the provider in a process of its own, and the environments in which clients live.

The environments are in pytest's cache, which git ignores: made once, kept between runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any, NoReturn

import pytest

from tests.end_to_end.processes import LIMIT, Customer

ROOT = Path(__file__).parents[2]
CLIENTS = Path(__file__).parent / "clients"


class Raised(Exception):
    """What the client raised: the name of the exception, the HTTP status, its parsed body."""

    def __init__(self, name: str, status: int | None, data: Any) -> None:
        super().__init__(name, status, data)
        self.name = name
        self.status = status
        self.data = data


class Driven:
    """A client that does what it is told. Made by `driven`."""

    def __init__(self, process: subprocess.Popen[str], credentials: Mapping[str, Any]) -> None:
        self.url = ""
        self.credentials = credentials
        self._process = process

    def call(self, name: str, *positional: Any, **named: Any) -> Any:
        """What a call answered, by the names of the wire. Raises Raised."""
        asked = {
            "url": self.url,
            "credentials": self.credentials,
            "call": name,
            "positional": positional,
            "named": named,
        }
        told = self._tell(json.dumps(asked))
        if "raised" in told:
            raise Raised(told["raised"], told["status"], told["data"])
        return told["answer"]

    def _tell(self, line: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = Timer(LIMIT, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            told = self._process.stdout.readline()
        finally:
            timer.cancel()
        assert told, "the client has ended; its last words are on standard error"
        return json.loads(told)


@contextmanager
def driven(
    *command: str | Path, credentials: Mapping[str, Any], **environment: str
) -> Iterator[Driven]:
    """A process that answers lines; it ends with the block."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Driven(process, credentials)
        finally:
            process.kill()


async def pushed(app: Customer, reports: int) -> list[str]:
    """The bodies that a customer got, as soon as they tell of so many reports."""
    while sum(len(push.message_ids) for push in app.pushes) < reports:
        await app.came.reach(len(app.pushes) + 1)
    return [push.body.decode() for push in app.pushes]


# --- environments ------------------------------------------------------------------------------


def python_with(requirement: str, folder: Path) -> Path:
    """The interpreter of a virtual environment in `folder` that has this."""
    python = folder / "bin" / "python"

    def make() -> None:
        # Without a pip of its own it is there in a tenth of a second.
        _run(sys.executable, "-m", "venv", "--clear", "--without-pip", folder)
        install = ("--python", python, "install", "--disable-pip-version-check", requirement)
        _run(sys.executable, "-m", "pip", *install)

    _once(folder, requirement, make)
    return python


def node_modules_with(packages: str, folder: Path) -> Path:
    """The node_modules in `folder` that has these; between two of them is a blank."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        missing("node and npm are missing: apt-get install nodejs npm")
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-save")
    command = (npm, "install", *options, "--prefix", folder, *packages.split())
    _once(folder, packages, lambda: _run(*command))
    return folder / "node_modules"


def _once(folder: Path, what: str, make: Any) -> None:
    mark = folder / f"made-{sys.version_info.major}.{sys.version_info.minor}"
    folder.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of one run may want the same
        if mark.exists() and mark.read_text("utf-8") == what:
            return
        try:
            make()
        except subprocess.CalledProcessError as error:
            told = [line for line in error.output.splitlines() if "error" in line.lower()]
            why = "\n".join(told[:3]) or str(error)
            missing(f"{what} cannot be installed; run this test once with network:\n{why}")
        mark.write_text(what, "utf-8")


def _run(*command: Any) -> None:
    subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def missing(text: str) -> NoReturn:
    """In CI a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)
