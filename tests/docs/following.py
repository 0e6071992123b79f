"""A reader who follows a guide from its first line, in an empty folder.

Blocks are followed in order, as somebody would who types them:

- `toml` whose first line is a comment with the name of a file becomes that file;
- in `sh`, a line that starts a server (`dlr serve`, `dlr sandbox`, `dlr endpoint` …) is typed into
  another terminal and keeps running; the next one of its kind replaces it. A sandbox gets a folder
  of its own;
- any other `dlr` or `curl` line of `sh` is typed, and must end with exit code 0;
- a line of `console` must print what is shown. A command that changes nothing is typed again until
  it does, because what it asks about may still be on its way;
- what NOT_RUN has is left out, for the reason it has.

The servers listen on free ports. The addresses of the guide, 127.0.0.1:8080 and :9000, are theirs.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from tests.docs.documents import (
    ROOT,
    Block,
    Shown,
    agrees,
    blocks_of,
    shown_in,
    typed_in,
    words_of,
)
from tests.end_to_end.processes import LIMIT, Running, eventually, running
from tests.forks import bin_folder

SERVERS: Final = {
    "serve": "http://127.0.0.1:8080",
    "sandbox": "http://127.0.0.1:8080",
    "endpoint": "http://127.0.0.1:9000",
    "listen": "http://127.0.0.1:9000",
}
"""The commands that go on running, and the address that a guide has for each."""

LOOKING: Final = re.compile(
    r"dlr (reports|messages|dispatches|endpoints( list| show)?|replays|why|totals|audit)\b(?! --)"
    r"|curl (?!.*(-X|-d) )"
)
"""Commands that change nothing."""

NOT_RUN: Final = {
    "python3 -m venv .venv": "makes an environment",
    ".venv/bin/pip install -q -e .": "fetches packages; .ci/run types it for each run",
    "bash .ci/test": "runs this test",
    "pip install dist/dlr_relay-*.whl": "tests/docs/test_installation.py installs the wheel",
    "python3 -m pip install build": "fetches packages",
    "python3 -m build": "tests/docs/test_installation.py builds",
    "systemctl stop dlr": "the machine's own",
    "systemctl start dlr": "as above",
    "sudo python3 -m venv /opt/dlr": "makes an environment",
    "sudo /opt/dlr/bin/pip install dist/dlr_relay-*.whl": "as above",
    "export PATH=$PWD/.venv/bin:$PATH": "the shell's own",
    "podman build --format docker -f config/deploy/Containerfile -t dlr .": "as below",
    "podman run -v dlr:/var/lib/dlr -p 127.0.0.1:8080:8080"
    " -e DLR_SERVER_WITHOUT_CREDENTIALS=allowed dlr": "needs a container engine",
}
"""What neither `dlr` nor `curl` is, and why nobody types it here."""


def not_run(line: str) -> bool:
    return any(" ".join(words) in NOT_RUN for words in words_of(line))


LONGEST_COMMAND: Final = 10 * LIMIT
"""Seconds. A search by simulations is ten seconds of work, on a machine that others use too."""


async def run(line: str, folder: Path, said: str = "") -> tuple[int, str]:
    """The exit code of a line typed in `folder`, and what it prints, when `said` is typed into it.
    Without the lines of progress, which come only where the machine is slow."""
    path = f"{bin_folder()}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-o", "pipefail", "-c", line),
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
    )
    async with asyncio.timeout(LONGEST_COMMAND):
        printed, _ = await shell.communicate(said.encode())
    assert shell.returncode is not None
    text = re.sub(r"^\w+: +\d+%\n", "", printed.decode(), flags=re.MULTILINE)
    return shell.returncode, text


async def check(shown: Shown, folder: Path, addresses: Mapping[str, str]) -> None:
    """That a command, typed against the servers at `addresses`, ends and prints as it is shown."""
    code, printed = 0, ""

    async def as_shown() -> bool | None:
        nonlocal code, printed
        code, printed = await run(at(shown.typed, addresses), folder)
        return agrees(printed, shown.printed) or None

    looking = LOOKING.match(shown.typed)
    try:
        await eventually(as_shown, shown.typed, limit=LIMIT if looking else 0)
    except AssertionError:
        raise AssertionError(f"$ {shown.typed}\n{printed}") from None
    assert code == shown.code, f"$ {shown.typed}\nexit code {code}, shown {shown.code}"


def at(text: str, addresses: Mapping[str, str]) -> str:
    for shown, real in addresses.items():
        text = text.replace(shown, real)
    return text


class Reader:
    """Follows blocks in a folder. Made by `reader`."""

    def __init__(self, folder: Path, stack: AsyncExitStack, addresses: Mapping[str, str]) -> None:
        self._folder = folder
        self._stack = stack
        self._addresses = dict(addresses)
        self._servers: dict[str, Running] = {}
        self.typed: list[str] = []

    async def follow(self, block: Block) -> None:
        if block.language == "toml" and (name := re.match(r"# (\w+\.toml)\n", block.text)):
            (self._folder / name[1]).write_text(at(block.text, self._addresses), "utf-8")
        elif block.language == "sh":
            for line in typed_in(block):
                await self._type(line.text)
        elif block.language == "console":
            for shown in shown_in(block):
                self.typed.append(shown.typed)
                await check(shown, self._folder, self._addresses)

    async def _type(self, line: str) -> None:
        if not_run(line):
            return
        self.typed.append(line)
        ((program, command, *words),) = [[*each, ""] for each in words_of(line)[:1]]
        if program == "dlr" and command in SERVERS and "--help" not in words:
            await self._start(command, [word for word in words if word])
        else:
            typed = at(line, self._addresses).replace("curl ", "curl -sf ", 1)
            code, printed = await run(typed, self._folder, said="a secret\n")
            assert code == 0, f"$ {line}\n{printed}"

    async def _start(self, command: str, words: list[str]) -> None:
        address = SERVERS[command]
        if address in self._servers:
            await self._servers.pop(address).stop()
        if "--port" in words:
            del words[words.index("--port") : words.index("--port") + 2]
        folder = self._folder
        if command == "sandbox":
            folder = self._folder / f"sandbox-{len(self.typed)}"
            folder.mkdir()
        server = await self._stack.enter_async_context(running(folder, command, *words))
        self._servers[address] = server
        self._addresses[address] = server.url.removesuffix("/dlr")


@asynccontextmanager
async def reader(folder: Path, addresses: Mapping[str, str]) -> AsyncIterator[Reader]:
    """A reader in an empty folder, beside the scenarios of the clone."""
    (folder / "config").mkdir()
    (folder / "config" / "scenarios").symlink_to(ROOT / "config" / "scenarios")
    async with AsyncExitStack() as stack:
        yield Reader(folder, stack, addresses)


async def follow(file: str, folder: Path, **addresses: str) -> list[str]:
    """Follow a guide from its first line to its last. What was typed. `addresses` are others that
    the guide has, and what they are here."""
    async with reader(folder, addresses) as somebody:
        for block in blocks_of(file, (ROOT / file).read_text("utf-8")):
            try:
                await somebody.follow(block)
            except Exception as error:
                raise AssertionError(f"{block}: {error}") from error
        return somebody.typed
