"""Two `dlr dispatch` on one database keep to the rate limit of an endpoint together.

Each had a limit of its own, so the endpoint got twice as many pushes as was set. One of the two is
killed (SIGKILL) in the middle; the other one then brings the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.processes import (
    Customer,
    Running,
    an_endpoint,
    configure,
    customer,
    eventually,
    running,
)
from tests.postgres import a_database
from tests.receiver.payloads import a_json_body, an_item

RATE = 10
PUSHES = 60
"""At RATE they take six seconds, and three if each dispatcher had a limit of its own."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "dlr.db")
        return
    with a_database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture
async def acme() -> AsyncIterator[Customer]:
    async with customer() as opened:
        yield opened


async def dispatchers(running: Running) -> list[int]:
    """How many dispatchers there are, as this one's health and metrics tell."""
    _, page = await running.get("/api/endpoint-health")
    return [each["flow"]["dispatchers"] for each in page["endpoints"]]


async def test_a_rate_limit_is_that_of_all(tmp_path: Path, database: str, acme: Customer) -> None:
    settings = f"bucket_size = 1\nrate_limit = {RATE}\n"
    configure(tmp_path, an_endpoint(acme.url) + settings)
    of = ("--database", database)
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(running(tmp_path, "receive", *of))
        pair = [
            await stack.enter_async_context(running(tmp_path, "dispatch", *of)) for _ in range(2)
        ]
        for each in pair:
            await eventually(partial(_knows_two, each), "each knows of the other")
        items = [an_item(messageId=f"m-{number}") for number in range(PUSHES + 5)]
        await receiver.post(a_json_body(*items))
        await acme.came.reach(PUSHES)
        at = [push.at for push in acme.pushes[:PUSHES]]
        await pair.pop().kill()
        await acme.came.reach(PUSHES + 5)
        await eventually(partial(_knows_one, pair[0]), "the killed one is found to be dead")

    assert at[-1] - at[0] >= PUSHES / (1.2 * RATE)


async def _knows_two(running: Running) -> bool | None:
    return await dispatchers(running) == [2] or None


async def _knows_one(running: Running) -> bool | None:
    return await dispatchers(running) == [1] or None
