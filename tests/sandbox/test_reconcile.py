"""`dlr reconcile` against the sandbox, with reports withheld on purpose."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest

from dispatcher.service import Parts, service
from dispatcher.settings.settings import EndpointSettings, Settings
from receiver.settings.settings import ServerSettings, StoreSettings
from tests.end_to_end.processes import Customer, customer, dlr, eventually

Api = Literal["v1", "v3"]

KEY = {"Authorization": "App KEY"}
NOBODY = "http://127.0.0.1:1/notify"
"""A URL where a report gets lost on its way, for as long as the provider repeats it."""


@dataclass
class Provider:
    """The sandbox, as an account sees it."""

    url: str
    session: aiohttp.ClientSession

    async def send(self, api: Api, message_id: str, notify_url: str | None) -> None:
        path, body = _request(api, message_id, notify_url)
        async with self.session.post(self.url + path, json=body, headers=KEY) as response:
            assert response.status == 200, await response.text()

    async def ended(self, count: int) -> None:
        """Wait until so many messages have ended."""

        async def look() -> bool | None:
            async with self.session.get(f"{self.url}/sandbox/messages") as response:
                messages = (await response.json())["messages"]
            return sum(each["state"] == "ended" for each in messages) == count or None

        await eventually(look, f"{count} messages ended")


def _request(api: Api, message_id: str, notify_url: str | None) -> tuple[str, dict[str, Any]]:
    """What sends one message. Delivered is what the sandbox makes of all numbers but the magic."""
    to = "41793026727"
    destinations = [{"to": to, "messageId": message_id}]
    if api == "v1":
        told = {} if notify_url is None else {"notifyUrl": notify_url}
        message = {"destinations": destinations, "text": "hi", "callbackData": "order 7", **told}
        return "/sms/1/text/advanced", {"messages": [message]}
    delivery = {} if notify_url is None else {"delivery": {"url": notify_url}}
    webhooks = {"callbackData": "order 7", **delivery}
    content = {"text": "hi"}
    v3 = {"destinations": destinations, "content": content, "webhooks": webhooks}
    return "/sms/3/messages", {"messages": [v3]}


@asynccontextmanager
async def the_provider(folder: Path) -> AsyncIterator[Provider]:
    settings = Settings(
        server=ServerSettings(port=0), store=StoreSettings(database=str(folder / "provider.db"))
    )
    async with (
        service(settings, parts=Parts(sandbox=True)) as running,
        aiohttp.ClientSession() as session,
    ):
        yield Provider(running.url, session)


@asynccontextmanager
async def ours(folder: Path, acme: Customer) -> AsyncIterator[str]:
    """Our own `dlr serve`, that pushes one report at a time to a customer."""
    settings = Settings(
        server=ServerSettings(port=0),
        store=StoreSettings(database=str(folder / "dlr.db")),
        endpoint=(EndpointSettings("acme", acme.url, bucket_size=1),),
    )
    async with service(settings) as running:
        yield running.url


def configured(folder: Path, api: Api, url: str) -> None:
    (folder / "dlr.toml").write_text(
        f'[[source]]\nname = "default"\n[source.reconcile]\nbase_url = "{url}"\napi = "{api}"\n'
        'api_key = "KEY"\nunder_way = "0s"\n'
    )


async def told_before(url: str, message_id: str, session: aiohttp.ClientSession) -> None:
    """Another end of this message was reported to us."""
    status = {"groupId": 4, "groupName": "EXPIRED", "id": 15, "name": "EXPIRED_EXPIRED"}
    body = {"results": [{"messageId": message_id, "to": "41793026727", "status": status}]}
    async with session.post(f"{url}/notify", json=body) as response:
        assert response.status == 200


def found(printed: str) -> set[tuple[str, str, str]]:
    return {(each["finding"], each["by"], each["messageId"]) for each in json.loads(printed)}


def pushed(acme: Customer) -> list[str]:
    return sorted(name for push in acme.pushes for name in push.message_ids)


@pytest.mark.parametrize("api", ["v1", "v3"])
async def test_what_was_withheld_is_found_and_brought(tmp_path: Path, api: Api) -> None:
    """One report arrives, one waits to be pulled, one gets lost, one says another end than came.
    A dry run lists the three and leaves them; with --apply they are stored and pushed like the
    first; and then nothing is missing."""
    async with customer() as acme, the_provider(tmp_path) as provider, ours(tmp_path, acme) as url:
        await provider.send(api, "arrives", f"{url}/notify")
        await provider.send(api, "to-pull", None)
        await provider.send(api, "lost", NOBODY)
        await provider.send(api, "otherwise", NOBODY)
        await told_before(url, "otherwise", provider.session)
        await provider.ended(4)
        await acme.came.reach(2)  # "arrives", and what was told before
        configured(tmp_path, api, provider.url)
        command = ("reconcile", "--source", "default", "--format", "json")

        looked = await dlr(tmp_path, *command)
        assert pushed(acme) == ["arrives", "otherwise"]
        applied = await dlr(tmp_path, *command, "--apply")
        await acme.came.reach(5)
        again = await dlr(tmp_path, *command)

    assert (looked.code, applied.code, again.code) == (1, 0, 0), applied.err
    assert found(looked.out) == {
        ("missing", "log", "to-pull"),
        ("missing", "log", "lost"),
        ("differing", "log", "otherwise"),
    }
    assert found(applied.out) == {
        ("missing", "pull", "to-pull"),
        ("missing", "log", "lost"),
        ("differing", "log", "otherwise"),
    }
    assert found(again.out) == set()
    assert pushed(acme) == ["arrives", "lost", "otherwise", "otherwise", "to-pull"]
    assert "3 stored, 0 duplicates" in applied.err


@pytest.mark.parametrize("api", ["v1", "v3"])
async def test_a_repeat_that_comes_after_all_is_counted(tmp_path: Path, api: Api) -> None:
    """A report that was made of the log and is then pushed by the provider is the same report."""
    async with customer() as acme, the_provider(tmp_path) as provider, ours(tmp_path, acme) as url:
        await provider.send(api, "lost", NOBODY)
        await provider.ended(1)
        configured(tmp_path, api, provider.url)
        await dlr(tmp_path, "reconcile", "--source", "default", "--apply")
        pushed_item = (await _get(provider, "/api/reports?messageId=lost"))["reports"][0]["report"]

        async with provider.session.post(
            f"{url}/notify", json={"results": [pushed_item]}
        ) as response:
            counts = await response.json()

    assert counts == {"stored": 0, "duplicates": 1, "quarantined": 0}


async def _get(provider: Provider, path: str) -> Any:
    async with provider.session.get(provider.url + path) as response:
        return await response.json()
