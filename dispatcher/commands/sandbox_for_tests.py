"""The process behind the fixture `dlr_sandbox`: `dlr sandbox`, as new for each test.

Each line on its standard input ends the sandbox, whatever is under way, and begins another one with
a database of its own, at the same port: clock, endpoints, metrics, everything is as after a start.
That takes 15 ms of CPU; a process takes a second. Whoever asks in between waits in the socket's
queue. It ends with its standard input, so it never outlives the tests.

    python -m dispatcher.commands.sandbox_for_tests
"""

from __future__ import annotations

import asyncio
import gc
import shutil
import signal
import socket
import sys
from itertools import count
from pathlib import Path

from aiohttp import web_app

from dispatcher.commands.saying import say
from dispatcher.observe import logs
from dispatcher.observe.attempt_lines import AttemptLines
from dispatcher.service import Parts, service
from dispatcher.settings.settings import Settings
from dispatcher.storage import migrate
from receiver.settings.reader import read

AS_NEW = "as-new.db"
"""A migrated database with nothing in it, which is copied for each sandbox."""


def main() -> None:
    """In the working directory, with the default settings."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which may go on
    settings = read(Settings, None, {})
    logs.set_up(settings.log.format, settings.log.level)
    asyncio.run(migrate(AS_NEW))
    gc.freeze()  # so that looking for what a sandbox has left costs no look at all modules
    with socket.create_server((settings.server.bind, 0), backlog=1024) as bound:
        for number in count(1):
            shutil.copyfile(AS_NEW, f"{number}.db")
            # In an event loop of its own: timers of connections would keep the one before alive.
            if not asyncio.run(_serve(bound, f"{number}.db")):
                return
            _remove(f"{number}.db")
            _let_go()


async def _serve(bound: socket.socket, database: str) -> bool:
    """Run a sandbox until the next line comes; False: none will."""
    settings = read(Settings, None, {**_AT_ONCE, "DLR_STORE_DATABASE": database})
    attempts = AttemptLines(settings.log.format, settings.log.level)
    async with service(
        settings, parts=Parts(sandbox=True), listeners=[attempts], bound=bound
    ) as running:
        say(f"listening on {running.url}")
        sys.stdout.flush()
        more = bool(await asyncio.to_thread(sys.stdin.readline))
    attempts.flush()
    return more


def _let_go() -> None:
    """Of the memory of a sandbox that has ended. aiohttp has a cache of the last thousand handlers,
    which keeps their applications, and left to itself the collector comes after some 100 MB."""
    if (kept := getattr(web_app, "_cached_build_middleware", None)) is not None:
        kept.cache_clear()
    gc.collect()


def _remove(database: str) -> None:
    """With the files beside it."""
    for file in Path().glob(f"{database}*"):
        file.unlink()


_AT_ONCE = {"DLR_SERVER_STOP_TIMEOUT": "0s"}
"""Nothing of a sandbox is wanted any more when its test is over."""


if __name__ == "__main__":
    main()
