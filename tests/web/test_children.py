"""The processes of simulations and rehearsals end with whoever asked for them.

A simulation that takes minutes was left behind by a closed browser, kept all others waiting and the
program from stopping, and outlived it when it was killed.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import msgspec
import psutil

from dispatcher.web.simulating import Wanted
from tests.end_to_end.processes import LIMIT
from tests.web.processes import Dlr

Start = Callable[..., Dlr]

ENDLESS = """
duration = "30d"
[arrivals]
kind = "constant"
per_second = 5000.0
[[phase]]
behaves = "refuses"
"""

SHORT = ENDLESS.replace("30d", "1h").replace("5000.0", "1.0")


def _children() -> list[psutil.Process]:
    """The children of the processes that this test has started."""
    found = []
    for each in psutil.Process().children(recursive=True):
        try:
            if "dispatcher.web.child" in each.cmdline() and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
        except psutil.NoSuchProcess:
            continue
    return found


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.05)


def _asking(dlr: Dlr) -> socket.socket:
    """A browser that waits for a simulation without end, which has begun."""
    place = urlsplit(dlr.url)
    opened = socket.create_connection((place.hostname or "", place.port or 0))
    query = urlencode({"scenario": ENDLESS})
    opened.sendall(f"GET /simulate?{query} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
    _until(lambda: len(_children()) == 1)
    return opened


def test_a_closed_browser_ends_its_simulation(start: Start) -> None:
    """And whoever comes next does not wait for it."""
    dlr = start()
    _asking(dlr).close()

    with urlopen(f"{dlr.url}/simulate?{urlencode({'scenario': SHORT})}", timeout=LIMIT) as answer:
        assert b"of 3,600 reports" in answer.read()

    _until(lambda: not _children())


def test_a_simulation_does_not_keep_the_program_from_stopping(start: Start) -> None:
    """Whoever waits for it is told, and its process is gone."""
    dlr = start()
    with _asking(dlr) as browser:
        browser.settimeout(LIMIT)
        (server,) = (each for each in psutil.Process().children() if "serve" in each.cmdline())
        server.terminate()
        assert b"dlr is stopping" in b"".join(iter(lambda: browser.recv(65_536), b""))
        _until(lambda: not _children())


def test_a_child_ends_when_its_page_is_gone() -> None:
    """However that happened: a process that is killed can tell nobody, but its pipe ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "dispatcher.web.child", "simulate"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as child:
        assert child.stdin is not None
        child.stdin.write(msgspec.json.encode(Wanted(ENDLESS)) + b"\n")
        child.stdin.close()
        assert child.wait(LIMIT) == 1
