"""The database server is restarted, killed, failed over, or falls silent, under running processes.

Callbacks wait for it, at most 10 seconds, and are then answered 503 with `Retry-After`; none is
answered 200 that is not there afterwards. Everything goes on by itself. Pages, API and `/readyz`
say in words what is the matter.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
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
    eventually,
    running,
)
from tests.end_to_end.test_postgres import stored
from tests.postgres_process import OwnServer, aside, own_servers
from tests.proxy import proxy
from tests.receiver.payloads import a_json_body, an_item

PROMISED_SECONDS = 10.0

SOON_SECONDS = 6.0
"""What an answer may take that does not wait for the database: a connection is tried for 3 s."""

SLACK_SECONDS = 5.0
"""What an answer may take beyond that on a machine that others use."""


@pytest.fixture
async def acme() -> AsyncIterator[Customer]:
    async with customer() as opened:
        yield opened


@pytest.fixture(scope="module")
def servers() -> Iterator[list[OwnServer]]:
    with own_servers(2) as opened:
        yield opened


def a_body(name: str) -> bytes:
    return a_json_body(an_item(messageId=name))


async def asked(
    server: Running, path: str, *, body: bytes | None = None, accept: str = "*/*"
) -> tuple[int, str, str, float]:
    """Status, `Retry-After`, text and seconds of an answer."""
    began = time.monotonic()
    method = "GET" if body is None else "POST"
    headers = {"Accept": accept, "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, server.url + path, data=body, headers=headers) as response,
    ):
        text = await response.text()
        passed = time.monotonic() - began
        return response.status, response.headers.get("Retry-After", ""), text, passed


async def until_pushed(acme: Customer, names: set[str]) -> None:
    async def pushed() -> bool | None:
        got = {name for push in acme.acknowledged for name in push.message_ids}
        return got >= names or None

    await eventually(pushed, f"all of {len(names)} reports are pushed")


class Senders:
    """Post callbacks one after another, each once, and note what was answered."""

    def __init__(self, *servers: Running) -> None:
        self.taken: set[str] = set()
        self.refused: Counter[int] = Counter()
        self._ending = False
        self._tasks = [asyncio.create_task(self._send(*each)) for each in enumerate(servers)]

    async def end(self) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)

    async def _send(self, sender: int, server: Running) -> None:
        number = 0
        while not self._ending:
            name = f"{sender}-{number}"
            number += 1
            status, _ = await server.post(a_body(name))
            if status == 200:
                self.taken.add(name)
            else:
                self.refused[status] += 1


async def test_it_is_gone_or_silent(
    tmp_path: Path, acme: Customer, servers: list[OwnServer]
) -> None:
    """One process is refused, the other one's connections are silent, as behind a pulled cable.
    Both answer in time and in words, and go on when it is over."""
    name = servers[0].database()
    configure(tmp_path, an_endpoint(acme.url))
    async with AsyncExitStack() as stack:
        refusing, silent = [
            await stack.enter_async_context(proxy(servers[0].socket)) for _ in range(2)
        ]
        urls = [each.url(name) for each in (refusing, silent)]
        processes = [
            await stack.enter_async_context(running(tmp_path, "serve", "--database", url))
            for url in urls
        ]
        for number, each in enumerate(processes):
            assert (await each.post(a_body(f"before-{number}")))[0] == 200
        await until_pushed(acme, {"before-0", "before-1"})

        refusing.refuse()
        silent.stall()
        await asyncio.gather(*(_tells(each) for each in processes))

        await refusing.open()
        silent.go_on()
        for number, each in enumerate(processes):
            await eventually(partial(_taken, each, f"after-{number}"), "callbacks are taken again")
        await until_pushed(acme, {"after-0", "after-1"})
        for each in processes:
            assert (await each.get("/readyz"))[0] == 200
            assert await each.stop() == 0
            assert "Traceback" not in each.err.text


async def _taken(server: Running, name: str) -> bool | None:
    return (await server.post(a_body(name)))[0] == 200 or None


async def _tells(server: Running) -> None:
    """What a process answers without its database. Whoever comes first finds out that it is gone;
    then those that only ask are told soon."""
    patient = PROMISED_SECONDS + SLACK_SECONDS
    first = [asked(server, "/notify", body=a_body(f"lost-{number}")) for number in range(3)]
    for status, retry_after, text, seconds in await asyncio.gather(*first):
        assert (status, retry_after) == (503, "10")
        assert json.loads(text)["error"]["code"] == "store_unavailable"
        assert seconds < patient
    asking = ["/readyz", "/api/reports", "/api/endpoints", "/api/dispatches?state=waiting"]
    pages = ["/", "/messages", "/endpoints", "/dispatches", "/overview"]
    answers = await asyncio.gather(
        *(asked(server, path) for path in asking),
        *(asked(server, path, accept="text/html") for path in pages),
    )
    for path, (status, retry_after, text, seconds) in zip(asking + pages, answers, strict=True):
        assert (status, retry_after) == (503, "10"), (path, text)
        assert re.search("the database (cannot be used|has not answered)", text, re.I), text
        assert seconds < SOON_SECONDS, path
    status, _, text, seconds = await asked(server, "/metrics")
    assert (status, seconds < SOON_SECONDS) == (200, True), seconds
    assert "dlr_ready 0.0" in text
    assert "dlr_store_readable 0.0" in text
    assert (await asked(server, "/healthz"))[0] == 200


async def test_restarts_and_a_failover(
    tmp_path: Path, acme: Customer, servers: list[OwnServer]
) -> None:
    """The server is restarted, fast and immediately; then its postmaster is killed, and a standby
    takes its place, under a URL that names both. The standby had been sent each commit before that
    was answered. Callbacks that come meanwhile wait; all that were answered 200 are there and are
    pushed. Only one that was just being written is answered 503."""
    first, second = servers
    name = first.database()
    hosts = f"host={first.folder.parent},{second.folder.parent}&port={first.port},{second.port}"
    url = f"postgresql:///{name}?user=postgres&{hosts}&target_session_attrs=read-write"
    configure(tmp_path, an_endpoint(acme.url) + "bucket_size = 1\n")
    async with (
        running(tmp_path, "receive", "--database", url) as receiver,
        running(tmp_path, "dispatch", "--database", url) as dispatcher,
    ):
        senders = Senders(receiver, receiver, receiver)
        for how in (signal.SIGINT, signal.SIGQUIT):
            await acme.came.reach(acme.came.count + 20)
            await aside(first.stop, how)
            await aside(first.start)
        await aside(second.make_standby_of, first)
        await acme.came.reach(acme.came.count + 20)
        await aside(first.stop, signal.SIGKILL)
        await aside(second.promote)
        await acme.came.reach(acme.came.count + 20)
        await senders.end()
        await until_pushed(acme, senders.taken)
        assert set(senders.refused) <= {503}
        assert senders.refused[503] <= 9, "one of each sender at each restart"
        found = await stored(tmp_path, url)
        assert set(found.values()) == {1}
        assert senders.taken <= set(found)
        assert await dispatcher.stop() == 0
        assert await receiver.stop() == 0
    for each in (receiver, dispatcher):
        assert "Traceback" not in each.err.text
