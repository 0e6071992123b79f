"""Several receivers and dispatchers on one PostgreSQL database, as separate processes.

Two `dlr receive` take reports at the same time, two `dlr dispatch` push them, and one of each is
killed (SIGKILL) in the middle of it. Then the server ends every connection, as a restart does.
Whatever was answered 200 is stored once, and its endpoint has got it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.end_to_end.processes import (
    Customer,
    Running,
    an_endpoint,
    configure,
    customer,
    dlr,
    eventually,
    running,
)
from tests.postgres import a_database, in_autocommit
from tests.receiver.payloads import a_json_body, an_item

CALLBACKS = 60
"""Of each sender. Each brings two reports."""

LEASE_SECONDS = 15.0
"""What a killed dispatcher holds is pushed by the other one when its lease has ended."""


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    with a_database(postgres_server) as url:
        yield url


@pytest.fixture
async def acme() -> AsyncIterator[Customer]:
    async with customer() as opened:
        yield opened


async def send(receivers: list[Running], sender: int) -> list[str]:
    """Post callbacks, each until some receiver has answered 200, as the platform does. Returns the
    messageIds."""
    sent = []
    for number in range(CALLBACKS):
        names = [f"{sender}-{number}-{nth}" for nth in range(2)]
        body = a_json_body(*(an_item(messageId=name) for name in names))
        await eventually(partial(_taken, receivers, body), f"callback {number}")
        sent += names
    return sent


async def _taken(receivers: list[Running], body: bytes) -> bool | None:
    for receiver in [*receivers]:
        try:
            status, _ = await receiver.post(body)
        except aiohttp.ClientError:  # it is killed
            continue
        if status == 200:
            return True
        assert status == 503
    return None


async def stored(folder: Path, database: str) -> Counter[str]:
    """How often each messageId is stored."""
    listed = await dlr(folder, "reports", "--database", database, "--format", "json")
    assert listed.code == 0, listed.err
    return Counter(each["report"]["messageId"] for each in json.loads(listed.out))


async def test_nothing_is_lost_or_stored_twice(
    tmp_path: Path, database: str, acme: Customer
) -> None:
    """Though a receiver and a dispatcher are killed, and all connections end once."""
    settings = an_endpoint(acme.url, connect_timeout="1s", read_timeout="1s") + "bucket_size = 1\n"
    configure(tmp_path, settings)
    of = ("--database", database)
    async with AsyncExitStack() as stack:
        receivers = [
            await stack.enter_async_context(running(tmp_path, "receive", *of)) for _ in range(2)
        ]
        first, _ = [
            await stack.enter_async_context(running(tmp_path, "dispatch", *of)) for _ in range(2)
        ]
        senders = [asyncio.create_task(send(receivers, each)) for each in range(3)]
        await acme.came.reach(CALLBACKS)
        await receivers.pop(0).kill()
        await first.kill()
        await acme.came.reach(2 * CALLBACKS)
        with in_autocommit(database) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        sent = [name for each in await asyncio.gather(*senders) for name in each]

        async def all_pushed() -> bool | None:
            got = {name for push in acme.acknowledged for name in push.message_ids}
            return got >= set(sent) or None

        await eventually(all_pushed, "all pushed", limit=LEASE_SECONDS + 30)
        assert await stored(tmp_path, database) == Counter(sent)


async def test_a_server_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    """It is waited for as long as the settings say; then the command ends with the reason."""
    configure(tmp_path, '[store]\nwait = "0s"\n')
    url = "postgresql://dlr:hidden@127.0.0.1:1/dlr"

    ended = await dlr(tmp_path, "serve", "--database", url, "--port", "0")

    assert ended.code == 1
    assert "cannot open the database" in ended.err
    assert "hidden" not in ended.err + ended.out


async def test_a_sandbox_keeps_to_a_file(tmp_path: Path, database: str) -> None:
    ended = await dlr(tmp_path, "sandbox", "--database", database, "--port", "0")

    assert ended.code == 2
    assert "a sandbox keeps to SQLite" in ended.err
