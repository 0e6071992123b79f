"""`dlr serve --receivers 2`: two processes take callbacks on one port.

Whatever was answered 200 is stored and pushed, though one of them is killed, and comes back. Pages
and metrics are those of the first one, whichever process accepts a connection. SIGTERM to the first
process ends both in order, and SIGKILL too.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from functools import partial
from pathlib import Path

import aiohttp
import psutil

from tests.end_to_end.processes import (
    LIMIT,
    Customer,
    Running,
    an_endpoint,
    configure,
    customer,
    dlr,
    eventually,
    running,
)
from tests.end_to_end.test_postgres import stored
from tests.postgres import a_database
from tests.receiver.payloads import a_json_body, an_item

READ = "0123456789abcdef"
TOKEN = f'[[api.token]]\nname = "reader"\nsecret = "{READ}"\n[api]\nmetrics = "open"\n'
CONNECTIONS = 8
"""For pages, each a new one."""


async def posted(server: Running, name: str, answered: dict[str, str]) -> bool:
    """Post a callback on a connection of its own. If it is answered, note which process did: its
    request ids begin with a name of its own."""
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
        body = a_json_body(an_item(messageId=name))
        with suppress(aiohttp.ClientError):  # its process was killed
            async with session.post(f"{server.url}/notify", data=body) as response:
                assert response.status == 200
                answered[name] = response.headers["X-Request-Id"].partition("-")[0]
    return name in answered


async def taken_by(server: Running, processes: int, answered: dict[str, str]) -> None:
    """Post callbacks, each until it is answered, until so many processes have answered some."""
    while len(set(answered.values())) < processes:
        name = f"m-{len(answered)}"
        await eventually(partial(posted, server, name, answered), f"an answer to {name}")


async def look_around(server: Running) -> None:
    """Sign in, and see a page on any connection."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(f"{server.url}/sign-in") as page:
            found = re.search(r'name="form_token" value="([^"]+)"', await page.text())
            assert found is not None
        form = {"form_token": found[1], "token": READ, "to": "/"}
        async with session.post(f"{server.url}/sign-in", data=form) as page:
            assert page.url.path == "/"
        for _ in range(CONNECTIONS):
            async with session.get(f"{server.url}/", headers={"Connection": "close"}) as page:
                assert (page.status, page.url.path) == (200, "/")


async def counted(server: Running) -> float:
    """The callbacks that /metrics shows as taken."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/metrics") as response:
        text = await response.text()
    lines = re.findall(r'^dlr_callbacks_total\{.*outcome="taken".*\} (\S+)$', text, re.MULTILINE)
    return sum(map(float, lines))


async def all_pushed(acme: Customer, answered: dict[str, str]) -> bool:
    return {name for push in acme.acknowledged for name in push.message_ids} >= set(answered)


def receivers_of(server: Running) -> list[psutil.Process]:
    return psutil.Process(server.pid).children()


async def test_two_processes_take_callbacks(tmp_path: Path) -> None:
    answered: dict[str, str] = {}
    async with customer() as acme:
        configure(tmp_path, an_endpoint(acme.url) + TOKEN)
        async with running(tmp_path, "serve", "--receivers", "2") as server:
            await server.out.find("callbacks .*, taken by 2 processes")
            await taken_by(server, 2, answered)
            await look_around(server)
            assert await counted(server) == len(answered)

            killed, other = receivers_of(server)
            killed.kill()
            await server.err.find(r"receiver \d of 2 ended \(SIGKILL\); it is started again")
            await taken_by(server, 4, answered)  # the first one stood in for it
            await eventually(partial(all_pushed, acme, answered), "all pushed")
            _, back = receivers_of(server)
            assert await server.stop() == 0
            assert not other.is_running()
            assert not back.is_running()
        assert set(await stored(tmp_path, "dlr.db")) == set(answered)


async def test_the_others_end_with_the_first_one(tmp_path: Path, postgres_server: str) -> None:
    """Even by SIGKILL. On PostgreSQL too, all that was answered 200 is stored."""
    answered: dict[str, str] = {}
    configure(tmp_path, TOKEN)
    with a_database(postgres_server) as url:
        of = ("receive", "--receivers", "2", "--database", url)
        async with running(tmp_path, *of) as server:
            await taken_by(server, 2, answered)
            receivers = receivers_of(server)
            await server.kill()
            for each in receivers:
                await asyncio.to_thread(each.wait, LIMIT)
        assert set(await stored(tmp_path, url)) == set(answered)


async def test_memory_cannot_be_shared(tmp_path: Path) -> None:
    """Each process would have a database of its own."""
    ended = await dlr(tmp_path, "receive", "--receivers", "2", "--database", ":memory:")
    assert ended.code == 2
    assert "receivers = 2 needs a database file or PostgreSQL" in ended.err
