"""The README is true: its commands run, and its tables name what there is."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from dispatcher.cli import cli
from dispatcher.service import Parts, service
from dispatcher.settings.settings import Settings
from receiver.settings.settings import ServerSettings, StoreSettings
from tests.end_to_end.processes import LIMIT, running

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@dataclass(frozen=True, slots=True)
class Command:
    """A line `$ …` of the README, what follows up to the next one is what it prints."""

    typed: str
    printed: str


def commands() -> Iterator[Command]:
    """All commands of the README that are shown with their output, in order."""
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            typed, printed = _split(part)
            yield Command(typed, printed)


def _split(part: str) -> tuple[str, str]:
    """A command ends with its line, or with the quote that it opens."""
    end = part.index("\n")
    while part[:end].count("'") % 2:
        end = part.index("\n", end + 1)
    return part[:end], part[end + 1 :]


def agrees(printed: str, shown: str) -> bool:
    """Whether what was printed is what is shown. `…` stands for anything; blanks do not count."""
    pattern = ".*".join(
        r"\s*".join(re.escape(word) for word in piece.split()) for piece in shown.split("…")
    )
    return re.fullmatch(rf"\s*{pattern}\s*.*", " ".join(printed.split()), re.DOTALL) is not None


async def typed(line: str, folder: Path) -> str:
    """What the shell prints for a line typed in `folder`, without the lines of progress, which come
    only where the machine is slow."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        line,
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        stdout=PIPE,
        stderr=STDOUT,
    )
    async with asyncio.timeout(LIMIT):
        printed, _ = await shell.communicate()
    return re.sub(r"^\w+: +\d+%\n", "", printed.decode(), flags=re.MULTILINE)


async def check(command: Command, folder: Path, url: str) -> None:
    """That a command, typed against the server at `url`, prints what is shown."""
    printed = await typed(command.typed.replace("http://127.0.0.1:8080", url), folder)
    assert agrees(printed, command.printed), f"$ {command.typed}\n{printed}"


async def test_the_commands_print_what_is_shown(tmp_path: Path) -> None:
    """A reader who types the README's commands in order sees what the README shows."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "scenarios").symlink_to(ROOT / "config" / "scenarios")
    shown = list(commands())
    with_endpoint = next(n for n, each in enumerate(shown) if each.typed == "dlr dispatches")
    async with running(tmp_path, "serve") as server:
        for command in shown[:with_endpoint]:
            await check(command, tmp_path, server.url)
        await server.stop()
    # The tester's part: an endpoint is named, and the server started again with --speed.
    async with running(tmp_path, "endpoint", "--fail-first", "3") as customer:
        text = f'[[endpoint]]\nname = "acme"\nurl = "{customer.url}"\n'
        (tmp_path / "dlr.toml").write_text(text)
        async with running(tmp_path, "serve", "--speed", "600") as server:
            await customer.out.find("push 5: .* answered 200")  # three refused, two taken
            for command in shown[with_endpoint:]:
                await check(command, tmp_path, server.url)


def test_every_command_is_in_the_table() -> None:
    """The README's table of commands names each command, and none that is not there."""
    table = README.split("## Commands")[1].split("##")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `dlr ")]
    named = {name for row in rows for name in re.findall(r"`dlr (\w+)`", row.split(" | ")[0])}

    assert named == set(cli.commands)


async def test_every_path_is_in_the_table(tmp_path: Path) -> None:
    """The README's table of paths names each route, and none that is not there."""
    table = README.split("## HTTP")[1].split("\n## ")[0]
    named = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", table))
    settings = Settings(
        server=ServerSettings(port=0), store=StoreSettings(database=str(tmp_path / "dlr.db"))
    )

    async with service(settings, parts=Parts(sandbox=True)) as running:
        assert named == routes(running.app)


def routes(app: web.Application) -> set[str]:
    """Method and path of each route. A pattern in a path is shown without its expression."""
    return {
        f"{route.method} {re.sub(r':[^}]*}', '}', route.resource.canonical)}"
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


def test_the_state_drawing_is_that_of_the_code() -> None:
    """README, the dispatcher's README and dispatch.py draw the same states."""
    drawing = re.compile(r" +formed\n.*?by hand", re.DOTALL)
    drawn = [
        drawing.search(path.read_text())
        for path in (
            ROOT / "README.md",
            ROOT / "dispatcher" / "README.md",
            ROOT / "dispatcher" / "retrying" / "dispatch.py",
        )
    ]
    plain = {re.sub(r" +\(kept, listed\)", "", found[0]) for found in drawn if found}

    assert None not in drawn
    assert len(plain) == 1
