"""Right webhooks in other frameworks and languages pass every check."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.end_to_end.processes import LIMIT
from tests.rehearsal.served import SMALL, a_target, results, verdicts

PLAN = replace(
    SMALL,
    timeout=timedelta(seconds=10),
    patience=timedelta(seconds=5),
    stall=timedelta(seconds=1),
)
"""In a process of its own a webhook may be kept waiting by whatever else the machine does."""

WEBHOOKS = Path(__file__).parents[1] / "data" / "webhooks"


def node() -> str:
    """The path of node. In CI a missing one is a failure."""
    if found := shutil.which("node"):
        return found
    missing = "node is missing: apt-get install nodejs"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@asynccontextmanager
async def serving(*command: str) -> AsyncIterator[str]:
    """The URL that a command prints when it listens; it is ended afterwards."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT):
            first = (await process.stdout.readline()).decode()
        assert first.startswith("listening on "), first
        yield first.split()[-1]
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize("name", ["flask_app.py", "node_app.js"])
async def test_passes_all(name: str) -> None:
    """The right webhook passes every check, with its own state looked at."""
    program = sys.executable if name.endswith(".py") else node()

    async with serving(program, str(WEBHOOKS / name)) as base:
        found = await results(a_target(base, plan=PLAN))

    assert verdicts(found) == dict.fromkeys(
        ("tls-certificate", "tls-version", "credentials-missing", "credentials-wrong"),
        "not judged",
    ), [str(each) for each in found if each.verdict in ("failed", "weak")]
