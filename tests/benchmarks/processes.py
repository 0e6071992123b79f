"""Programs in processes of their own, so that none shares an interpreter with the measuring."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

STOP_SECONDS = 30

CPU_TICK = 1 / os.sysconf("SC_CLK_TCK")
"""In how long steps, in seconds, the kernel tells what a process has used."""


class Running(Struct, frozen=True):
    """A server that has said where it listens."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def server(arguments: Sequence[str]) -> Iterator[Running]:
    """Run `python -m …` until the block ends. It must print `listening on http://…:PORT`."""
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield Running(process.pid, _port(process.stdout, arguments))
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(output: IO[str], arguments: Sequence[str]) -> int:
    for line in output:
        if line.startswith("listening on "):
            return int(line.rstrip().rpartition(":")[2])
    raise RuntimeError(f"{' '.join(arguments)} ended without listening")


@contextmanager
def dlr(
    command: str, database: Path, *, endpoint: str | None = None, **settings: int
) -> Iterator[Running]:
    """`dlr receive`, `dispatch` or `serve` on a free port; `settings` are those of the endpoint."""
    config = database.with_suffix(".toml")
    lines = [] if endpoint is None else ["[[endpoint]]", 'name = "sink"', f'url = "{endpoint}"']
    lines += [f"{name} = {value}" for name, value in settings.items()]
    config.write_text("\n".join(lines))
    words = ["dispatcher", command, "--port", "0"]
    words += ["--config", str(config), "--database", str(database)]
    with server(words) as running:
        yield running


def cpu_seconds(pid: int) -> float:
    """What a process has used of the CPUs so far, for itself and in the kernel. Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * CPU_TICK


def cpu_of_children(pid: int) -> float:
    """What the children of a process have used, those that have ended included: the sessions of a
    PostgreSQL server and its own workers."""
    while True:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ended = (int(fields[13]) + int(fields[14])) * CPU_TICK
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        with suppress(FileNotFoundError, ProcessLookupError):  # one ended since the list
            return ended + sum(cpu_seconds(int(child)) for child in children)


def run(arguments: Sequence[str]) -> Any:
    """Run `python -m …` to its end and give the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, check=True, timeout=3600
    )
    return json.loads(done.stdout)
