"""The checks in a test suite of the user's own, as the guide shows it."""

from __future__ import annotations

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from dispatcher import rehearsal
from tests.data.webhooks import wrong
from tests.data.webhooks.right_aiohttp import Webhook
from tests.end_to_end.processes import LIMIT
from tests.rehearsal.served import listening

pytest_plugins = ["pytester"]

GUIDE = Path(rehearsal.__file__).parent / "REHEARSE.md"


def example() -> str:
    """The test that the guide shows."""
    (found,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return str(found)


@pytest.mark.parametrize(("webhook", "failed"), [(Webhook, []), (wrong.Strict, ["unknown-fields"])])
async def test_the_example_of_the_readme(
    pytester: pytest.Pytester, webhook: type[Webhook], failed: list[str]
) -> None:
    """The guide's example has a test for each check, which fails with all there is to know."""
    async with listening(webhook()) as base:
        text = example().replace("http://127.0.0.1:9000/dlr", base + "/dlr")
        pytester.makepyfile(text)
        ended = await run_pytest(pytester)

    assert re.findall(r"^FAILED .*\[([\w-]+)\]", ended, re.M) == failed
    assert "not judged" in ended
    assert all(f"{name}: failed: " in ended and "mend" in ended for name in failed)


async def run_pytest(pytester: pytest.Pytester) -> str:
    """What a pytest of its own prints, while the webhook answers in this process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider"),
        *("-p", "no:schemathesis", "--rootdir", str(pytester.path)),
        cwd=pytester.path,
        stdout=PIPE,
        stderr=STDOUT,
    )
    async with asyncio.timeout(LIMIT * 2):
        printed, _ = await process.communicate()
    return printed.decode()
