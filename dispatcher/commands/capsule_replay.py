"""`dlr replays start --capsule`: the reports of a capsule to a URL, with everything in one process.

They go into a database of their own, which ends with the command: reports with other names do not
belong among those of customers. From there it is the same replay as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from dispatcher.capsule.capsule import Capsule, read_capsule
from dispatcher.clocks.clock import SystemClock
from dispatcher.commands import replay_output
from dispatcher.commands.options import fail
from dispatcher.commands.saying import say, say_left_out
from dispatcher.replay.request import Request, read_request
from dispatcher.security.urls import is_http_url, spelling_fault
from dispatcher.service import Parts, service
from dispatcher.settings.settings import EndpointSettings, Settings
from dispatcher.simulation.replayed import of_capsule
from dispatcher.storage import Storage
from receiver.settings.reader import read_table
from receiver.settings.settings import ServerSettings, StoreSettings

_NAME = "capsule"
_TAKEN = frozenset({"to", "rate", "pace", "speed", "stopOnErrors"})
_AT_ONCE = 1_000
_NEVER = "9999-12-31T00:00:00Z"
"""All reports of a capsule were received before."""


def replay(file: Path, asked: Mapping[str, Any]) -> int:
    """Push all reports of a capsule, as `asked` (to, rate, pace, speed, stopOnErrors). Returns the
    exit code. Raises ConfigurationError, BadQuery."""
    if more := sorted(asked.keys() - _TAKEN):
        fail(f"--capsule: all of its reports are replayed, so {', '.join(more)} cannot choose")
    if not is_http_url(str(asked.get("to", ""))):
        fail("--capsule: expected --to with an http or https URL, such as that of a test system")
    if (wrong := spelling_fault(asked["to"])) is not None:
        fail(f"--to: {wrong}")
    words = {name: value for name, value in asked.items() if name != "to"}
    request, _ = read_request({**words, "until": _NEVER, "toEndpoint": _NAME}, SystemClock().now())
    capsule = read_capsule(file).for_pushes()
    if capsule.left_out:
        say_left_out(capsule.left_out)
    with TemporaryDirectory(prefix="dlr-") as folder:
        settings = _settings(capsule, str(asked["to"]), Path(folder) / "dlr.db")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_replay(capsule, request, settings))


def _settings(capsule: Capsule, url: str, database: Path) -> Settings:
    """The endpoint with the form of its bodies, but at another URL."""
    endpoint = {**capsule.heading.endpoint, "name": _NAME, "url": url, "reports": "none"}
    return Settings(
        server=ServerSettings(port=0),
        store=StoreSettings(database=str(database)),
        endpoint=(read_table(EndpointSettings, endpoint),),
    )


async def _replay(capsule: Capsule, request: Request, settings: Settings) -> int:
    async with service(settings, parts=Parts(receives=False)) as running:
        await _store(running.storage, capsule)
        replaying = replay_output.replaying_of(running.storage, settings)
        made = await replaying.make(request, from_outside=False)
        say(f"{made.replay.total:,} reports of {capsule.path} to {settings.endpoint[0].url}")
        ended = await replay_output.watch(replaying.replays, made.replay)
        if ended is None:
            ended = await replaying.cancel(made.replay.id)
            say(f"PARTIAL: interrupted; {replay_output.summary(ended)}")
            return replay_output.INTERRUPTED
    say(replay_output.summary(ended))
    return replay_output.NO if ended.failed else 0


async def _store(opened: Storage, capsule: Capsule) -> None:
    callbacks = of_capsule(capsule)
    while some := list(islice(callbacks, _AT_ONCE)):
        await opened.store.add(some)
