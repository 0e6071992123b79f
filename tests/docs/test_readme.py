"""The README is true: its commands run, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import web

from dispatcher.cli import cli
from dispatcher.service import Parts, service
from dispatcher.settings.settings import Settings
from receiver.callbacks.not_taken import SPELLINGS
from receiver.settings.settings import ServerSettings, StoreSettings
from tests.docs.documents import README, ROOT, Block, Typed, blocks_of, typed_in
from tests.docs.following import follow

MOST_LINES = 250


async def test_the_readme_is_followed(tmp_path: Path) -> None:
    """A reader who types the README's commands in order sees what the README shows."""
    typed = await follow("README.md", tmp_path)

    assert len(typed) > 10


def test_it_is_short() -> None:
    """So that it is read; the guides have the rest."""
    assert README.count("\n") <= MOST_LINES


def test_it_has_the_two_commands_that_run_everything() -> None:
    """The program and all tests, from a fresh clone: .ci/run types them."""
    lines = [typed.text for block in blocks_of("README.md", README) for typed in typed_in_sh(block)]

    assert "python3 -m venv .venv && .venv/bin/pip install -q -e . && .venv/bin/dlr serve" in lines
    assert "bash .ci/test" in lines


def typed_in_sh(block: Block) -> list[Typed]:
    return list(typed_in(block)) if block.language == "sh" else []


def guide(file: str) -> str:
    return (ROOT / file).read_text("utf-8")


def test_every_command_is_in_the_table() -> None:
    """The table of commands names each command, and none that is not there."""
    table = guide("dispatcher/commands/COMMANDS.md").split("## All commands")[1].split("## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `dlr ")]
    named = {name for row in rows for name in re.findall(r"`dlr (\w+)[ `]", row.split(" | ")[0])}

    assert named == set(cli.commands)


async def test_every_path_is_in_the_table(tmp_path: Path) -> None:
    """The HTTP reference names each route, and none that is not there."""
    rows = [row for row in guide("dispatcher/HTTP.md").splitlines() if row.startswith("| `")]
    cells = [row.split(" | ")[0] for row in rows]
    named = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", "".join(cells)))
    settings = Settings(
        server=ServerSettings(port=0), store=StoreSettings(database=str(tmp_path / "dlr.db"))
    )

    async with service(settings, parts=Parts(sandbox=True)) as running:
        assert named == routes(running.app)


def routes(app: web.Application) -> set[str]:
    """Method and path of each route. A pattern in a path is shown without its expression. How else
    the path of callbacks may be spelled is no path of its own."""
    every = {
        (route.method, re.sub(r":[^}]*}", "}", route.resource.canonical))
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    spelled = {re.sub(r":[^}]*}", "}", each) for each in SPELLINGS}
    return {f"{method} {path}" for method, path in every if path not in spelled}


def test_the_state_drawing_is_that_of_the_code() -> None:
    """The guide, the dispatcher's README and dispatch.py draw the same states."""
    drawing = re.compile(r" +formed\n.*?by hand", re.DOTALL)
    drawn = [
        drawing.search(path.read_text())
        for path in (
            ROOT / "dispatcher" / "PUSH.md",
            ROOT / "dispatcher" / "README.md",
            ROOT / "dispatcher" / "retrying" / "dispatch.py",
        )
    ]
    plain = {re.sub(r" +\(kept, listed\)", "", found[0]) for found in drawn if found}

    assert None not in drawn
    assert len(plain) == 1
