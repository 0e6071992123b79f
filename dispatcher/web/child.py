"""Simulations and rehearsals run in a process of their own, so that they cost no callback its 200.

The page writes a line of JSON to the child's stdin and reads lines of JSON from its stdout. A child
whose stdin ends has lost its page, and ends too, however the page's process came to its end.
`lines_of` is the page's end; `main` is the child: `python -m dispatcher.web.child`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

import msgspec
from msgspec import Raw

NICE = 10
"""The child waits for whoever else wants the processor."""

LINE_MOST = 64 * 1024**2


async def lines_of(kind: str, request: object, seconds: float) -> AsyncGenerator[Raw, None]:
    """The lines that the child writes, as they come. Raises TimeoutError after so many seconds, and
    then the child is gone; so it is when whoever reads stops.

    Raises ChildFailed if it cannot be started, or ended otherwise than it should.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dispatcher.web.child", kind),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=LINE_MOST,
        )
    except OSError as error:  # no process, or no file, is left for it
        raise ChildFailed(f"it could not be started: {error.strerror}") from error
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            async for line in process.stdout:
                yield Raw(line)
            if await process.wait():
                raise ChildFailed(f"it ended with exit code {process.returncode}")
    finally:
        process.stdin.close()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class ChildFailed(Exception):
    """The child ended before it was done."""


def main() -> None:
    os.nice(NICE)
    request = sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_the_page, daemon=True).start()
    if sys.argv[1] == "simulate":
        from dispatcher.web.simulating import simulated

        for line in simulated(request):
            _write(line)
    else:
        from dispatcher.web.rehearsing import rehearsed

        asyncio.run(_write_all(rehearsed(request)))


def _end_with_the_page() -> None:
    """Nobody reads on once stdin has come to its end. It is read past `sys.stdin`, whose lock would
    be in the way when the child ends by itself."""
    os.read(0, 1)
    os._exit(1)


async def _write_all(lines: AsyncIterator[object]) -> None:
    async for line in lines:
        _write(line)


def _write(line: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
