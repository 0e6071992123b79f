"""The README is true: its commands run, and its tables name what there is."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from aiohttp import web

from dispatcher.cli import cli
from dispatcher.service import Parts, service
from dispatcher.settings.settings import Settings
from receiver.callbacks.not_taken import SPELLINGS
from receiver.settings.settings import ServerSettings, StoreSettings
from tests.docs.documents import README, ROOT, Shown, agrees, blocks, blocks_of, shown_in, typed_in
from tests.end_to_end.processes import LIMIT, an_endpoint, running


async def run(line: str, folder: Path, said: str = "") -> tuple[int, str]:
    """The exit code of a line typed in `folder`, and what it prints, when `said` is typed into it.
    Without the lines of progress, which come only where the machine is slow."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-o", "pipefail", "-c", line),
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
    )
    async with asyncio.timeout(LIMIT):
        printed, _ = await shell.communicate(said.encode())
    assert shell.returncode is not None
    text = re.sub(r"^\w+: +\d+%\n", "", printed.decode(), flags=re.MULTILINE)
    return shell.returncode, text


async def check(shown: Shown, folder: Path, url: str) -> None:
    """That a command, typed against the server at `url`, ends and prints as it is shown."""
    code, printed = await run(shown.typed.replace("http://127.0.0.1:8080", url), folder)
    assert agrees(printed, shown.printed), f"$ {shown.typed}\n{printed}"
    assert code == shown.code, f"$ {shown.typed}\nexit code {code}, shown {shown.code}"


async def test_the_commands_print_what_is_shown(tmp_path: Path) -> None:
    """A reader who types the README's commands in order sees what the README shows."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "scenarios").symlink_to(ROOT / "config" / "scenarios")
    shown = [each for block in blocks("console") for each in shown_in(block)]
    with_endpoint = next(n for n, each in enumerate(shown) if each.typed == "dlr dispatches")
    async with running(tmp_path, "serve") as server:
        for command in shown[:with_endpoint]:
            await check(command, tmp_path, server.url)
        await server.stop()
    # The tester's part: an endpoint is named, and the server started again with --speed.
    async with running(tmp_path, "listen", "--fail-first", "3") as customer:
        text = f'[[endpoint]]\nname = "acme"\nurl = "{customer.url}"\n'
        (tmp_path / "dlr.toml").write_text(text)
        async with running(tmp_path, "serve", "--speed", "600") as server:
            await customer.out.find("push 5: .* answered 200")  # three refused, two taken
            for command in shown[with_endpoint:]:
                await check(command, tmp_path, server.url)


async def test_the_endpoints_are_changed_as_it_is_shown(tmp_path: Path) -> None:
    """Each line about endpoints at run time is taken, on the command line and over HTTP."""
    section = README.split("## Endpoints at run time")[1].split("\n## ")[0]
    (tmp_path / "dlr.toml").write_text(an_endpoint("https://acme.example/dlr"))
    lines = [each.text for block in blocks_of("README.md", section) for each in typed_in(block)]
    assert len(lines) > 8
    async with running(tmp_path, "serve") as server:
        for line in lines:
            typed = line.replace("http://127.0.0.1:8080", server.url).replace("curl ", "curl -sf ")
            code, printed = await run(typed, tmp_path, said="a secret\n")
            assert code == 0, f"$ {line}\n{printed}"


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
