"""A sandbox that is killed: what it has answered it knows, and what it has told it does not tell
again."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from tests.end_to_end.processes import Running, customer, dlr, eventually, running
from tests.sandbox.playing import DELIVERED, KEY, SLOW


async def ask(server: Running, method: str, path: str, body: Any = None) -> Any:
    async with (
        aiohttp.ClientSession(server.url, headers=KEY) as client,
        client.request(method, path, json=body) as response,
    ):
        fields = await response.json()
        assert response.status == 200, fields
        return fields


def a_send(*numbers: str, bulk: dict[str, Any] | None = None, **message: Any) -> dict[str, Any]:
    destinations = [{"to": number} for number in numbers]
    said = {"from": "InfoSMS", "text": "hello", **message, "destinations": destinations}
    return {**(bulk or {}), "messages": [said]}


async def test_a_second_sandbox_does_not_start(tmp_path: Path) -> None:
    """Two sandboxes on one database took each other's steps and moved each other's clock. The
    second says so and ends, also when it finds the file by another way; after a SIGKILL of the
    first it starts at once. `dlr serve` and lists may look on."""
    (tmp_path / "link.db").symlink_to("dlr.db")
    async with running(tmp_path, "sandbox") as first:
        for name in ("dlr.db", "link.db"):
            second = await dlr(tmp_path, "sandbox", "--port", "0", "--database", name)
            assert (second.code, second.out, second.err) == (2, "", ANOTHER.format(name))
        assert (await dlr(tmp_path, "reports")).code == 0
        await ask(first, "POST", "/sms/2/text/advanced", a_send(DELIVERED))
        await first.kill()
    async with running(tmp_path, "sandbox", "--database", "link.db") as next_one:
        assert len((await ask(next_one, "GET", "/sandbox/messages"))["messages"]) == 1
        assert await next_one.stop() == 0
    async with running(tmp_path, "sandbox"):
        pass


ANOTHER = (
    "dlr: another sandbox uses the database {}: stop it, or choose another database for this one"
    " (--database FILE)\n"
)


async def test_what_was_scheduled_survives(tmp_path: Path) -> None:
    """Scheduled, paused and waiting messages are as they were after a SIGKILL, and so is the clock:
    it goes on from where it was moved to."""
    path = "/sms/2/text/advanced"
    async with running(tmp_path, "sandbox") as server:
        await ask(server, "POST", path, a_send(SLOW))
        moved = await ask(server, "POST", "/sandbox/advance?by=30m")
        send = a_send(DELIVERED, bulk={"bulkId": "B"}, sendAt=_a_day_after(moved["now"]))
        await ask(server, "POST", path, send)
        await ask(server, "PUT", "/sms/1/bulks/status?bulkId=B", {"status": "PAUSED"})
        before = await ask(server, "GET", "/sandbox/messages")
        await server.kill()
    async with running(tmp_path, "sandbox") as server:
        now = await ask(server, "POST", "/sandbox/advance?by=0s")
        assert datetime.fromisoformat(now["now"]) >= datetime.fromisoformat(moved["now"])
        assert await ask(server, "GET", "/sandbox/messages") == before
        bulk = await ask(server, "GET", "/sms/1/bulks/status?bulkId=B")
        assert bulk["status"] == "PAUSED"
        await ask(server, "POST", "/sandbox/advance?by=31m")
        reports = (await ask(server, "GET", "/sms/1/reports"))["results"]
        assert [each["to"] for each in reports] == [SLOW]


def _a_day_after(now: str) -> str:
    return (datetime.fromisoformat(now) + timedelta(days=1)).isoformat()


async def test_killed_between_steps(tmp_path: Path) -> None:
    """Killed again and again while messages are on their way, it has told each outcome once in the
    end: none is missing, and none stands in the store twice."""
    numbers = [str(41790000000 + n) for n in range(300)]
    words = ("sandbox", "--speed", "50")
    async with customer() as app:
        async with running(tmp_path, *words) as server:
            speed = {"sendingSpeedLimit": {"amount": 60, "timeUnit": "MINUTE"}}
            send = a_send(*numbers, bulk=speed, notifyUrl=app.url)
            await ask(server, "POST", "/sms/2/text/advanced", send)
            await app.came.reach(3)
            await server.kill()
        for _ in range(3):
            pushed = app.came.count
            async with running(tmp_path, *words) as server:
                await app.came.reach(pushed + 3)
                await server.kill()
        async with running(tmp_path, *words) as server:
            await eventually(lambda: _all_told(server, numbers), "all reports")
            reports = await server.all("reports")

    assert Counter(each["report"]["to"] for each in reports) == Counter(numbers)
    assert {each["report"]["status"]["name"] for each in reports} == {"DELIVERED_TO_HANDSET"}


async def _all_told(server: Running, numbers: list[str]) -> bool:
    found = await server.all("reports")
    return {each["report"]["to"] for each in found} == set(numbers)


async def test_what_was_accepted_is_on_disk(tmp_path: Path) -> None:
    """Killed right after the answers, it knows every message that it has answered."""
    async with running(tmp_path, "sandbox") as server:
        sends = [a_send(*(str(41790000000 + 10 * n + m) for m in range(10))) for n in range(20)]
        answers = await asyncio.gather(
            *(ask(server, "POST", "/sms/2/text/advanced", send) for send in sends)
        )
        await server.kill()
    async with running(tmp_path, "sandbox") as server:
        found = (await ask(server, "GET", "/sandbox/messages?limit=1000"))["messages"]

    answered = {message["messageId"] for each in answers for message in each["messages"]}
    assert {each["messageId"] for each in found} == answered


async def test_it_says_what_to_do_next(tmp_path: Path) -> None:
    """The command prints where it listens, where to send, and what helps a test suite."""
    async with running(tmp_path, "sandbox") as server:
        assert await server.out.find(f"send API +{server.url}/sms/")
        assert await server.out.find("for tests .*/sandbox/messages")


async def test_an_open_sandbox_is_not_exposed(tmp_path: Path) -> None:
    """Where others can reach it, it wants a [[sandbox.credential]], beside the token of the API."""
    text = '[[api.token]]\nname = "ops"\nsecret = "token-0123456789abcdef"\n'
    (tmp_path / "dlr.toml").write_text(text)

    ended = await dlr(tmp_path, "sandbox", "--bind", "0.0.0.0")

    assert ended.code == 2
    assert "the sandbox takes any credentials; name a [[sandbox.credential]]" in ended.err
