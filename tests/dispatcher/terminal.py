"""A command on a terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import termios
from pathlib import Path
from typing import BinaryIO

from tests.forks import python


async def on_a_terminal(folder: Path, *words: str, **environment: str) -> str:
    """What a command writes to a terminal of 80 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    usual = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = await asyncio.create_subprocess_exec(
        *python("dispatcher", *words),
        cwd=folder,
        env=usual | {"TERM": "xterm-256color"} | environment,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    with os.fdopen(master, "rb") as screen:
        written = await asyncio.to_thread(_all_of, screen)
    assert await process.wait() == 0, written
    return written.decode()


def _all_of(screen: BinaryIO) -> bytes:
    """To the end, which a terminal tells by an error."""
    written = b""
    try:
        while piece := screen.read(1):
            written += piece
    except OSError:
        pass
    return written
