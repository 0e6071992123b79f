"""Three machines on one PostgreSQL server, one of which is cut off while it holds leases.

Each is a network namespace. A dispatcher pushes, and its machine loses its database and stands
still before it can record what came of it, as one does that is moved or paused. Another machine
takes its leases over when they have ended. What the first one records when it is back is refused.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import aiohttp

from tests.end_to_end.processes import (
    LIMIT,
    Running,
    an_endpoint,
    configure,
    customer,
    eventually,
)
from tests.end_to_end.test_two_dispatchers import LEASE, PATIENCE, SLACK, acknowledged, re_recorded
from tests.hosts import Host, hosts
from tests.postgres_process import own_servers
from tests.proxy import proxy
from tests.receiver.payloads import a_json_body, an_item

_OPEN = {"DLR_SERVER_WITHOUT_CREDENTIALS": "allowed"}


@asynccontextmanager
async def on(host: Host, folder: Path, command: str, database: str) -> AsyncIterator[Running]:
    """`dlr command` on a machine, listening on its cable to the world."""
    words = (command, "--port", "0", "--database", database)
    process = await asyncio.create_subprocess_exec(
        *host.command(sys.executable, "-m", "dispatcher", *words),
        cwd=folder,
        env={**os.environ, **_OPEN, "DLR_SERVER_BIND": host.there},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session:
        server = Running(cast(Any, process), session)
        try:
            await server.listening()
            yield server
        finally:
            await server.kill()


async def test_a_machine_that_is_cut_off_loses_its_leases(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        (server,) = stack.enter_context(own_servers())
        one, two, three = machines = stack.enter_context(hosts(3))
        to_database = [each.here["database"] for each in machines]
        link = await stack.enter_async_context(proxy(server.socket, *to_database))
        acme = await stack.enter_async_context(customer(address=one.here["world"]))
        settings = {"connect_timeout": "300ms", "read_timeout": "500ms"}
        configure(tmp_path, an_endpoint(acme.url, **settings))
        name = server.database()

        async def start(host: Host, command: str) -> Running:
            url = link.url(name, host.here["database"])
            return await stack.enter_async_context(on(host, tmp_path, command, url))

        receiver = await start(one, "receive")
        cut_off = await start(two, "dispatch")
        acme.may_answer.clear()
        acme.answer = lambda _: 503 if len(acme.pushes) == 1 else 200
        await receiver.post(a_json_body(an_item(messageId="m-1")))
        await acme.came.reach(1)
        two.pull("database")
        cut_off.signal(signal.SIGSTOP)
        acme.may_answer.set()  # its answer waits in the socket until it wakes up

        other = await start(three, "dispatch")
        await acme.came.reach(2, PATIENCE)
        before = await eventually(lambda: acknowledged(receiver), "the other one has recorded")
        cut_off.signal(signal.SIGCONT)
        two.plug("database")
        # It has dealt with what it held when it has pushed something new.
        other.signal(signal.SIGSTOP)
        await receiver.post(a_json_body(an_item(messageId="m-2")))
        await acme.came.reach(3)
        await eventually(lambda: acknowledged(receiver, 2), "the one that was cut off works again")
        other.signal(signal.SIGCONT)
        after = await receiver.history(before["id"])
        assert await cut_off.stop() == 0
        assert "Traceback" not in cut_off.err.text

    assert after == before
    assert [each["status"] for each in after["history"]] == [200]
    first, second = acme.pushes[:2]
    assert replace(second, at=first.at) == first, "the same bytes under the same id and number"
    assert second.at - first.at > LEASE - SLACK
    assert not re_recorded(acme.pushes[2:], first)
