"""Many commands in a row, each in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.processes import LIMIT, Ended, dlr


async def run_all(
    folder: Path, commands: Sequence[Sequence[str]], **environment: str
) -> list[Ended]:
    """Each of these commands, one after the other."""
    return [
        await dlr(folder, *words, limit=2 * LIMIT, stdin=None, **environment) for words in commands
    ]
