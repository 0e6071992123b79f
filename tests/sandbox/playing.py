"""A sandbox that runs in the test, on a clock that stands still until it is moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from dispatcher.clocks.clock import VirtualClock
from dispatcher.service import Parts, Service, service
from dispatcher.settings.settings import read_settings
from tests.end_to_end.processes import LIMIT

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""A Monday, at noon."""

KEY = {"Authorization": "App key"}

DELIVERED = "447700900001"
WITH_OPERATOR = "447700900002"
UNDELIVERABLE = "447700900003"
NEVER_REACHED = "447700900004"
REJECTED = "447700900005"
OVERTAKES = "447700900006"
TWICE = "447700900007"
SLOW = "447700900008"
SILENT = "447700900009"


class Played:
    """A running sandbox in the words of its user."""

    def __init__(self, running: Service, client: aiohttp.ClientSession) -> None:
        self.running = running
        self.client = client

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self.client.request(method, path, **options) as response:
            return response.status, await response.json()

    async def get(self, path: str, **query: Any) -> Any:
        status, fields = await self.ask("GET", path, params=query)
        assert status == 200, fields
        return fields

    async def send(self, *numbers: str, bulk: dict[str, Any] | None = None, **message: Any) -> Any:
        """One message of v2 to these numbers; `bulk` are fields of the request."""
        said = {"from": "InfoSMS", "text": "hello", **message}
        destinations = [{"to": number} for number in numbers or (DELIVERED,)]
        body = {**(bulk or {}), "messages": [{**said, "destinations": destinations}]}
        status, fields = await self.ask("POST", "/sms/2/text/advanced", json=body)
        assert status == 200, fields
        return fields

    async def advance(self, by: str) -> Any:
        status, fields = await self.ask("POST", f"/sandbox/advance?by={by}")
        assert status == 200, fields
        return fields

    async def messages(self, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get("/sandbox/messages", **query))["messages"]
        return found

    async def statuses(self) -> list[str]:
        return [each["status"]["name"] for each in await self.messages()]

    async def pull(self, version: int = 1, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(f"/sms/{version}/reports", **query))[
            "results"
        ]
        return found

    async def pulled(self, **query: Any) -> list[str]:
        """The statuses of what the pull endpoint hands out."""
        return [each["status"]["name"] for each in await self.pull(**query)]

    async def dispatches(self) -> list[dict[str, Any]]:
        """The oldest first, each with its history."""
        found = (await self.get("/api/dispatches"))["dispatches"][::-1]
        return [await self.get(f"/api/dispatches/{each['id']}") for each in found]


@asynccontextmanager
async def playing(
    folder: Path, text: str = "", clock: VirtualClock | None = None
) -> AsyncIterator[Played]:
    """A sandbox with the settings `text` and a database in `folder`."""
    file = folder / "dlr.toml"
    file.write_text(text, "utf-8")
    environment = {"DLR_SERVER_PORT": "0", "DLR_STORE_DATABASE": str(folder / "dlr.db")}
    settings = read_settings(file, environment)
    timeout = aiohttp.ClientTimeout(total=LIMIT)
    async with (
        service(settings, parts=Parts(sandbox=True), clock=clock or VirtualClock(START)) as running,
        aiohttp.ClientSession(running.url, headers=KEY, timeout=timeout) as client,
    ):
        yield Played(running, client)


async def send_three(sandbox: Played) -> None:
    await sandbox.send("41790000001", "41790000002", bulk={"bulkId": "B"})
    body = {
        "messages": [
            {
                "sender": "Other",
                "destinations": [{"to": "41790000003", "messageId": "m3"}],
                "content": {"text": "hello"},
                "options": {
                    "platform": {"applicationId": "app", "entityId": "entity"},
                    "campaignReferenceId": "spring",
                },
            }
        ]
    }
    assert (await sandbox.ask("POST", "/sms/3/messages", json=body))[0] == 200
    await sandbox.advance("1m")
