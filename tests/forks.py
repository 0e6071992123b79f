"""`dlr` processes that cost no imports: forks of `tests/preloaded.py`, of which each process of a
test run has one, from the first time that it is needed.

`fork` starts one as `asyncio.create_subprocess_exec` does, and `Fork` is used as its `Process`.
Where a command is wanted that something else starts, `python` and `bin_folder` have one.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
from asyncio import StreamReader, StreamReaderProtocol, StreamWriter
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from tests.preloaded import Order
from tests.stand_in import limits

ROOT = Path(__file__).parents[1]
STAND_IN = ROOT / "tests" / "stand_in.py"


@cache
def _folder() -> Path:
    """Where this process's own `tests.preloaded` listens at `socket`, and `bin/dlr` lies."""
    stack = ExitStack()
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="dlr-forks-")))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        listening.listen(100)
        preloaded = subprocess.Popen(
            [sys.executable, "-m", "tests.preloaded", str(listening.fileno())],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[listening.fileno()],
        )
    stack.enter_context(preloaded)  # closes its stdin, by which it ends
    atexit.register(stack.close)
    return folder


def python(*words: str) -> list[str]:
    """The command that does what `python -m words…` does, for a module of ours, by a fork."""
    return [sys.executable, "-IS", str(STAND_IN), str(_folder() / "socket"), *words]


@cache
def bin_folder() -> Path:
    """A folder for the PATH, with a `dlr` that forks."""
    folder = _folder() / "bin"
    folder.mkdir()
    command = shlex.join(python(str(Path(sys.executable).parent / "dlr")))
    (folder / "dlr").write_text(f'#!/bin/sh\nexec {command} "$@"\n', "utf-8")
    (folder / "dlr").chmod(0o755)
    return folder


def ordered(order: Order, standard: Sequence[int]) -> socket.socket:
    """Order a process with these three as stdin, stdout and stderr. What tells its number and its
    exit code."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(_folder() / "socket"))
    socket.send_fds(connection, [b"+"], standard)
    connection.sendall(json.dumps(asdict(order)).encode() + b"\n")
    return connection


class Fork:
    """A process, used as an `asyncio.subprocess.Process`. Made by `fork`."""

    def __init__(
        self,
        pid: int,
        told: tuple[StreamReader, StreamWriter],
        given: BinaryIO | None,
        stdout: StreamReader,
        stderr: StreamReader,
    ) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = stdout
        self.stderr = stderr
        self._given = given
        self._ending = asyncio.create_task(self._end(*told))

    async def _end(self, told: StreamReader, end_of_told: StreamWriter) -> None:
        self.returncode = int(await told.readline())
        end_of_told.close()

    async def wait(self) -> int:
        await asyncio.shield(self._ending)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def communicate(self, said: bytes | None = None) -> tuple[bytes, bytes]:
        """Write what is said to stdin, and wait for the end. What it wrote to its outputs."""
        say = asyncio.to_thread(self._say, said or b"")
        out, err, _ = await asyncio.gather(self.stdout.read(), self.stderr.read(), say)
        await self.wait()
        return out, err

    def _say(self, said: bytes) -> None:
        if self._given is not None:
            with suppress(BrokenPipeError), self._given:  # it may have read enough
                self._given.write(said)


async def fork(
    folder: Path,
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: int,
    descriptors: int | None = None,
) -> Fork:
    """`dlr words…` in this folder, with these variables and no others. `stdin` is PIPE, DEVNULL or
    a descriptor; both outputs are pipes. With `descriptors` it may have so many open."""
    given = None
    if stdin == PIPE:
        taken, giving = os.pipe()
        given = os.fdopen(giving, "wb", buffering=0)
    else:
        taken = os.open(os.devnull, os.O_RDONLY) if stdin == DEVNULL else os.dup(stdin)
    (stdout, out), (stderr, err) = os.pipe(), os.pipe()
    allowed = limits()
    if descriptors is not None:
        allowed[resource.RLIMIT_NOFILE] = (descriptors, descriptors)
    order = Order("dispatcher", list(words), str(folder), dict(environment), allowed)
    told = await asyncio.open_unix_connection(sock=ordered(order, (taken, out, err)))
    for theirs in (taken, out, err):
        os.close(theirs)
    pid = int(await told[0].readline())
    return Fork(pid, told, given, await _reader(stdout), await _reader(stderr))


async def _reader(descriptor: int) -> StreamReader:
    reader = StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader
