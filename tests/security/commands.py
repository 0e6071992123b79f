"""Many commands in a row, each in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.processes import Ended

ROOT = Path(__file__).parents[2]


async def run_all(
    folder: Path, commands: Sequence[Sequence[str]], **environment: str
) -> list[Ended]:
    """Each of these commands, one after the other."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.security.many"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=PIPE,
        stdout=PIPE,
    )
    asked = json.dumps([[list(words), environment] for words in commands]).encode()
    out, _ = await process.communicate(asked)
    return [Ended(*each) for each in json.loads(out)]
