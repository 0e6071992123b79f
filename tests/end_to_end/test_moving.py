"""A running installation is moved from a SQLite file to PostgreSQL, as config/UPGRADE.md says.

Callbacks come all the time. The move is killed (SIGKILL) more than once and asked for again. Then
`dlr serve` is stopped on the file, and started on PostgreSQL at once, where it waits for the move.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
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
    started,
)
from tests.postgres import a_database
from tests.receiver.payloads import a_json_body, an_item


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    with a_database(postgres_server) as url:
        yield url


class Sender:
    """The platform: posts callbacks to whichever `dlr` runs, each until it is answered 200."""

    def __init__(self) -> None:
        self.servers: list[Running] = []
        self.taken: list[str] = []
        self.ends = asyncio.Event()

    async def send(self) -> None:
        while not self.ends.is_set():
            name = f"m{len(self.taken)}"
            body = a_json_body(an_item(messageId=name))
            await eventually(partial(self._taken, body), f"{name} is taken")
            self.taken.append(name)

    async def reach(self, more: int) -> None:
        """So many more callbacks were taken."""
        number = len(self.taken) + more

        async def reached() -> bool:
            return len(self.taken) >= number

        await eventually(reached, f"{number} callbacks")

    async def _taken(self, body: bytes) -> bool | None:
        for server in self.servers:
            try:
                status, _ = await server.post(body)
            except aiohttp.ClientError:  # it is stopping
                continue
            if status == 200:
                return True
        return None


def typed() -> list[str]:
    """What the guide says, after `dlr`."""
    guide = Path(__file__).parents[2] / "config" / "UPGRADE.md"
    (line,) = re.findall(r"^ *dlr (migrate --from .*)$", guide.read_text("utf-8"), re.MULTILINE)
    return shlex.split(line)


async def test_a_running_installation_is_moved(tmp_path: Path, database: str) -> None:
    """No callback that was answered 200 is lost or stored twice. What was pushed is not pushed
    again, and what waited is, as the same push."""
    words = [database if "://" in word else word for word in typed()]
    sender = Sender()
    async with customer() as acme, customer(lambda _: 503) as late:
        configure(tmp_path, an_endpoint(acme.url) + an_endpoint(late.url, "late"))
        sending = asyncio.create_task(sender.send())
        async with running(tmp_path, "serve") as before:
            sender.servers = [before]
            await sender.reach(20)
            for step in ("copying", "both sides are equal"):
                async with started(tmp_path, *words) as killed:
                    await killed.err.find(step)
                    await killed.kill()
            async with started(tmp_path, *words, "--format", "json") as move:
                await move.err.find("both sides are equal: stop each dlr on dlr.db")
                await sender.reach(20)
                assert await before.stop() == 0
                late.answer = lambda _: 200
                async with running(tmp_path, "serve", DLR_STORE_DATABASE=database) as after:
                    sender.servers = [after]
                    assert await move.ended() == 0
                    await sender.reach(20)
                    sender.ends.set()
                    await sending
                    await all_pushed(acme, sender.taken)
                    await after.post(b"", path="/api/endpoints/late/retry")
                    await all_pushed(late, sender.taken)
                    stored = await after.all("reports")

    tables = {each["table"]: each for each in json.loads(move.out.text)}
    assert all(each["equal"] for each in tables.values())
    assert tables["report"]["source"] == tables["report"]["target"]
    found = Counter(each["report"]["messageId"] for each in stored)
    assert found == Counter(sender.taken)
    pushed = Counter(name for push in acme.pushes for name in push.message_ids)
    assert pushed == Counter(sender.taken)
    first = {push.dispatch: push.body for push in reversed(late.pushes)}
    assert all(push.body == first[push.dispatch] for push in late.pushes)
    assert any(push.attempt > 1 for push in late.acknowledged)


async def all_pushed(taker: Customer, sent: list[str]) -> None:
    async def pushed() -> bool:
        return {name for push in taker.acknowledged for name in push.message_ids} >= set(sent)

    await eventually(pushed, "all pushed")
