"""Endpoints that change while a service runs: real sockets, and the runner notices by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dispatcher.endpoints.registry import Registry
from dispatcher.service import Service, service
from dispatcher.settings.security import OutgoingSettings
from dispatcher.settings.settings import Settings
from dispatcher.storage import storage
from receiver.settings.settings import ServerSettings, StoreSettings
from tests.end_to_end.processes import Customer, customer
from tests.receiver.payloads import a_json_body, an_item


def settings_of(path: Path) -> Settings:
    return Settings(
        server=ServerSettings(port=0),
        store=StoreSettings(database=str(path / "dlr.db")),
        outgoing=OutgoingSettings(allowed_networks=("127.0.0.1/32",)),
    )


class Bench:
    """A running service, a customer, and what a user of the API does."""

    def __init__(self, running: Service, customer: Customer) -> None:
        self._session = aiohttp.ClientSession(running.url)
        self.customer = customer

    async def close(self) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self._session.request(method, f"/api/endpoints{path}", json=body) as response:
            assert response.status < 300, await response.text()
            return await response.json()

    async def receive(self, message_id: str) -> None:
        body = a_json_body(an_item(messageId=message_id))
        headers = {"Content-Type": "application/json"}
        async with self._session.post("/notify", data=body, headers=headers) as response:
            assert response.status == 200

    async def add(self, name: str) -> None:
        await self.ask("POST", "", {"name": name, "url": f"{self.customer.url}/{name}"})

    async def pushed(self, name: str, message_id: str) -> None:
        """Wait until the customer has got this message for this endpoint."""
        while message_id not in self.got(name):
            await self.customer.came.reach(self.customer.came.count + 1)

    def got(self, name: str) -> list[str]:
        return [
            message_id
            for push in self.customer.pushes
            if push.path == f"/{name}"
            for message_id in push.message_ids
        ]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with customer() as there, service(settings_of(tmp_path)) as running:
        made = Bench(running, there)
        try:
            yield made
        finally:
            await made.close()


async def test_an_added_endpoint_gets_the_next_report(bench: Bench) -> None:
    """An endpoint added over the API to a running service gets the next report, and so does one
    that is changed, at its new URL."""
    await bench.add("acme")
    await bench.receive("a")
    await bench.pushed("acme", "a")

    await bench.ask("PATCH", "/acme", {"url": f"{bench.customer.url}/moved"})
    await bench.add("witness")  # whoever has noticed it has noticed the change before
    await bench.receive("b")
    await bench.pushed("witness", "b")
    await bench.receive("c")
    await bench.pushed("moved", "c")


async def test_a_paused_endpoint_waits_until_it_is_resumed(bench: Bench) -> None:
    """What comes while an endpoint is paused is pushed when it is resumed, and not before."""
    await bench.add("acme")
    await bench.receive("a")
    await bench.pushed("acme", "a")
    await bench.ask("POST", "/acme/pause")
    await bench.add("witness")
    await bench.receive("b")
    await bench.pushed("witness", "b")

    await bench.receive("c")
    await bench.pushed("witness", "c")
    assert "c" not in bench.got("acme")

    await bench.ask("POST", "/acme/resume")
    await bench.pushed("acme", "c")


async def test_a_change_by_another_process(tmp_path: Path, bench: Bench) -> None:
    """What `dlr endpoints` writes into the file, the running service notices."""
    async with storage(str(tmp_path / "dlr.db")) as opened:
        table = {"name": "acme", "url": f"{bench.customer.url}/acme"}
        await Registry(opened.endpoints, []).add(table, from_outside=False)

    await bench.receive("a")
    await bench.pushed("acme", "a")


async def test_a_removed_endpoint_gets_nothing_more(bench: Bench) -> None:
    """After its removal has been noticed, an endpoint gets no report."""
    await bench.add("acme")
    await bench.receive("a")
    await bench.pushed("acme", "a")
    await bench.ask("DELETE", "/acme")
    await bench.add("witness")
    await bench.receive("b")
    await bench.pushed("witness", "b")

    await bench.receive("c")
    await bench.pushed("witness", "c")

    assert "c" not in bench.got("acme")
