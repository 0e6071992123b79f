"""Simulations and rehearsals run in a process of their own, so that they cost no callback its 200.

The page writes a request to the child's stdin and reads lines of JSON from its stdout. `Child` is
the page's end; `main` is the child: `python -m dispatcher.web.child`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
from msgspec import Raw

NICE = 10
"""The child waits for whoever else wants the processor."""

LINE_MOST = 64 * 1024**2


async def lines_of(kind: str, request: object, seconds: float) -> AsyncIterator[Raw]:
    """The lines that the child writes, as they come. Raises TimeoutError after so many seconds, and
    then the child is gone; so it is when whoever reads stops.

    Raises ChildFailed if it ended otherwise than it should.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dispatcher.web.child", kind),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        limit=LINE_MOST,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            process.stdin.write(msgspec.json.encode(request))
            process.stdin.close()
            async for line in process.stdout:
                yield Raw(line)
            if await process.wait():
                raise ChildFailed(f"it ended with {process.returncode}")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class ChildFailed(Exception):
    """The child ended before it was done."""


def main() -> None:
    os.nice(NICE)
    request = sys.stdin.buffer.read()
    if sys.argv[1] == "simulate":
        from dispatcher.web.simulating import simulated

        for line in simulated(request):
            _write(line)
    else:
        from dispatcher.web.rehearsing import rehearsed

        asyncio.run(_write_all(rehearsed(request)))


async def _write_all(lines: AsyncIterator[object]) -> None:
    async for line in lines:
        _write(line)


def _write(line: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
