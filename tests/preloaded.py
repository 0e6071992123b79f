"""A process in which all that `dlr` imports is imported already, and which forks a `dlr` for each
that asks.

The suite starts hundreds of them, and to import everything takes a second of CPU each time: as long
as most tests that start one. A fork is a process like any other, with its own number, working
directory, environment, outputs, limits, signals and exit code; only its imports were made before.
`tests/forks.py` asks; this is `python -m tests.preloaded`, with the number of a listening socket.

On a connection come a byte with the descriptors of stdin, stdout and stderr, and then an order, a
line of JSON. It is answered with the number of the process in a line, and, once that has ended,
with its code in another. If the connection is closed before, the process is killed.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from runpy import run_module, run_path
from select import select
from typing import Any

from dispatcher.cli import MODULES


@dataclass(frozen=True, slots=True)
class Order:
    """What to run, and how. `program` is a module (as of `python -m`) or the path of a script;
    `limits` are soft and hard ones, by their numbers in `resource`."""

    program: str
    words: list[str]
    folder: str
    environment: dict[str, str]
    limits: dict[int, tuple[int, int]]


MORE = ("uvloop", "aiohttp.web", "dispatcher.web.child")
"""What commands import only when they run."""


class Forking:
    """The process that forks. `until_wanted` returns in each fork, and once nobody asks any more:
    when stdin ends."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._child_ended, self._wake = socket.socketpair()
        self._running: dict[socket.socket, int] = {}

    def until_wanted(self) -> Order | None:
        self._wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: pytest's to answer
        while True:
            waited_for = [sys.stdin, self._child_ended, self._listening, *self._running]
            ready: list[Any] = select(waited_for, [], [])[0]
            if sys.stdin in ready:
                return None
            if self._child_ended in ready:
                self._child_ended.recv(1000)
                self._reap()
            for gone in self._running.keys() & ready:
                os.kill(self._running[gone], signal.SIGKILL)
            if self._listening in ready and (order := self._answer(self._listening.accept()[0])):
                return order

    def _reap(self) -> None:
        for connection, child in list(self._running.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                del self._running[connection]
                with connection, suppress(OSError):
                    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))

    def _answer(self, connection: socket.socket) -> Order | None:
        """The order, in the fork; None in the process that forks."""
        _, standard, _, _ = socket.recv_fds(connection, 1, 3)
        with connection.makefile("rb") as lines:
            order = Order(**json.loads(lines.readline()))
        if child := os.fork():
            connection.sendall(b"%d\n" % child)
            self._running[connection] = child
            for descriptor in standard:
                os.close(descriptor)
            return None
        connection.close()
        self._leave(standard)
        return order

    def _leave(self, standard: Sequence[int]) -> None:
        """In a fork: nothing of the process that it comes from stays open."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
            os.close(descriptor)
        # Python has seen once whether they can be read from another place, as a pipe cannot.
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        for each in (self._listening, self._child_ended, self._wake, *self._running):
            each.close()


def become(order: Order) -> None:
    """Run the program as Python does, in its folder and environment."""
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    for number, (soft, hard) in order.limits.items():
        resource.setrlimit(int(number), (soft, hard))
    sys.argv = [order.program, *order.words]
    if "/" in order.program:
        sys.path[0] = str(Path(order.program).parent)
        run_path(order.program, run_name="__main__")
    else:
        sys.path[0] = order.folder
        run_module(order.program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in (*(f"dispatcher.commands.{each}" for each in MODULES.values()), *MORE):
        import_module(name)
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        wanted = Forking(listening).until_wanted()
    if wanted is not None:
        become(wanted)
