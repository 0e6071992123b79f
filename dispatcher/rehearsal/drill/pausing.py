"""Commands of the user's that stop the real app and start it again. A shell runs them."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from datetime import timedelta
from typing import Self

from dispatcher.rehearsal.drill.plan import CannotDrill, Drill
from dispatcher.rehearsal.exchange import readable
from dispatcher.simulation.scenario import Phase

COMMAND_SECONDS = 60.0
"""How long one may take."""


class Pausing:
    """Pauses the app during the outage, and resumes it whatever happens. Does nothing in a drill
    that has no such commands. An asynchronous context manager."""

    def __init__(self, drill: Drill) -> None:
        self._pause, self._resume = drill.pause, drill.resume
        phase = drill.scenario.phase[0] if drill.pause else Phase("up")
        self._from, self._to = phase.at, phase.ends_at or phase.at
        self._paused = False
        self._over = drill.pause is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._paused:
            await self._end()

    async def turn(self, at: timedelta) -> None:
        """Pause or resume, when it is time to. Raises CannotDrill when a command fails."""
        if not self._paused and not self._over and at >= self._from:
            self._paused = True  # even if the command fails: it may have done half of it
            await _run("--pause-cmd", self._pause)
        if self._paused and at >= self._to:
            await self._end()

    async def _end(self) -> None:
        self._paused, self._over = False, True
        await _run("--resume-cmd", self._resume)


async def _run(option: str, command: str | None) -> None:
    assert command is not None
    process = await asyncio.create_subprocess_shell(
        command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            # Only its end: what it starts and leaves running may keep its outputs open.
            code = await process.wait()
    except TimeoutError:
        process.kill()
        raise CannotDrill(f"{option}: has not ended in {COMMAND_SECONDS:g} s") from None
    if code:
        assert process.stderr is not None
        said = await process.stderr.read(2000)
        text = readable(said.decode(errors="replace").strip(), 200)
        raise CannotDrill(f"{option}: expected exit code 0, got {code}: {text}")
