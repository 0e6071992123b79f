"""A command imports what it needs. `dlr --help` took a second of CPU and each list as long, because
every command imported the whole service. What is imported decides it; how long it takes, no test
could say."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import click
import click.testing
import pytest

from dispatcher.cli import MODULES, SECTIONS, SUMMARIES, cli
from dispatcher.storage import storage

_RUN = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from dispatcher.cli import main
sys.argv = ["dlr", *sys.argv[1:]]
main()
"""

SERVING = {"aiohttp", "prometheus_client", "apscheduler", "numpy"}
"""Libraries of what serves, calls and simulates: each takes as long to import as a whole list."""

LISTS = (
    "reports",
    "messages",
    "quarantine",
    "totals",
    "dispatches",
    "endpoints",
    "replays",
    "audit",
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lists") / "dlr.db"

    async def make() -> None:
        async with storage(str(path)):
            pass

    asyncio.run(make())
    return path


def imported(*words: str) -> set[str]:
    """The modules of a process that has run this command."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *words], capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_is_said_of_all_commands_imports_none_of_them(option: str) -> None:
    """Nothing of ours but the list of commands, and nothing of what they are made of."""
    modules = imported(option)

    ours = {name for name in modules if name.partition(".")[0] in ("dispatcher", "receiver")}
    assert ours == {"dispatcher", "dispatcher.cli"}
    assert modules.isdisjoint({"asyncio", "msgspec", "sqlite3", "rich", "uvloop"} | SERVING)


@pytest.mark.parametrize("command", LISTS)
def test_a_list_imports_nothing_that_serves(database: Path, command: str) -> None:
    """It reads a database and prints: no HTTP, no metrics, no loop of a service."""
    modules = imported(*command.split(), "--database", str(database))

    assert "dispatcher.storage" in modules
    assert modules.isdisjoint({"dispatcher.service", "dispatcher.runner"} | SERVING)


def test_the_schedule_needs_no_database() -> None:
    """It is a table that is worked out."""
    modules = imported("schedule")

    assert modules.isdisjoint({"dispatcher.storage", "sqlite3"} | SERVING)


@pytest.mark.parametrize("name", MODULES)
def test_what_help_says_of_a_command_is_what_the_command_says(name: str) -> None:
    """Its summary is the first paragraph of its own help."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None

    paragraph, *_ = (command.help or "").split("\n\n")
    assert SUMMARIES[name] == " ".join(paragraph.split())


def test_every_command_stands_below_one_heading() -> None:
    """The list of `dlr --help` is whole, and no line is cut off."""
    listed = [name for names in SECTIONS.values() for name in names]
    help_text = click.testing.CliRunner().invoke(cli, ["--help"], terminal_width=80).output

    assert sorted(listed) == sorted(MODULES)
    assert "..." not in help_text.split("Run (")[1]
