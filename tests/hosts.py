"""Machines of their own for processes of a test: network namespaces of Linux, with cables.

Each has two cables to the machine that the test runs on: one leads to the database, the other one
to everything else. A cable can be pulled: then nobody is told anything, as behind a broken switch.
It takes the rights of root, or CAP_SYS_ADMIN and CAP_NET_ADMIN, and the command `ip` of iproute2.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import randbelow, token_hex
from typing import Literal

import pytest

Cable = Literal["database", "world"]
_NEEDED = "network namespaces are needed: run as root, with iproute2 and CAP_SYS_ADMIN ({})"


@dataclass(frozen=True, slots=True)
class Host:
    """`here` are the addresses at which it finds the machine of the test, by cable; `there` is its
    own at the one to the world."""

    name: str
    here: dict[Cable, str]
    there: str

    def pull(self, cable: Cable) -> None:
        _ip("link", "set", self.end_of(cable), "down")

    def plug(self, cable: Cable) -> None:
        _ip("link", "set", self.end_of(cable), "up")

    def end_of(self, cable: Cable) -> str:
        """The device of this machine."""
        return f"{self.name}{cable[0]}"

    def command(self, *words: str) -> tuple[str, ...]:
        """What runs a command on it."""
        return ("ip", "netns", "exec", self.name, *words)


@contextmanager
def hosts(number: int) -> Iterator[list[Host]]:
    """So many machines. Where there can be none, the test is skipped, and fails in CI."""
    with ExitStack() as stack:
        try:
            made = [stack.enter_context(_host(each)) for each in range(number)]
        except (OSError, subprocess.CalledProcessError) as error:
            why = _NEEDED.format(getattr(error, "stderr", "") or error)
            if os.environ.get("CI"):
                pytest.fail(why)
            pytest.skip(why)
        yield made


@contextmanager
def _host(number: int) -> Iterator[Host]:
    name, net = f"dlr{token_hex(3)}", randbelow(200)
    first = 8 * number + 1  # 10.213.net.0/24 has room for 31 of them, each with two nets of four
    host = Host(
        name,
        {"database": f"10.213.{net}.{first}", "world": f"10.213.{net}.{first + 4}"},
        f"10.213.{net}.{first + 5}",
    )
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        for cable, here in host.here.items():
            end, far = host.end_of(cable), f"far{cable[0]}"
            there = here.rpartition(".")[0] + f".{int(here.rpartition('.')[2]) + 1}"
            _ip("link", "add", end, "type", "veth", "peer", "name", far, "netns", name)
            _ip("addr", "add", f"{here}/30", "dev", end)
            _ip("-n", name, "addr", "add", f"{there}/30", "dev", far)
            _ip("link", "set", end, "up")
            _ip("-n", name, "link", "set", far, "up")
        _ip("-n", name, "route", "add", "default", "via", host.here["world"])
        yield host
    finally:
        _ip("netns", "del", name)  # its cables go with it


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, cwd=Path("/"))
