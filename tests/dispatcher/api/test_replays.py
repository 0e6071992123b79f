"""Replays over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from dispatcher.api.replays import ReplayApi
from dispatcher.endpoints.registry import Registry
from dispatcher.replay.replaying import Replaying
from dispatcher.settings.settings import EndpointSettings
from receiver.callbacks.app import new_app
from receiver.routes import add_routes
from tests.contracts.report_store import an_sms
from tests.dispatcher.replay.replaying import ReplayBench, a_replay_bench

Client = TestClient[Any, Any]

ACME = EndpointSettings(name="acme", url="http://acme.example/dlr", bucket_size=1)


@pytest.fixture
async def bench() -> AsyncIterator[ReplayBench]:
    """Acme, with three reports that could not be brought."""
    async with a_replay_bench() as made:
        await made.exhaust(3)
        yield made


@pytest.fixture
async def registry(bench: ReplayBench) -> Registry:
    return Registry(bench.bench.storage.endpoints, [ACME])


@pytest.fixture
async def client(bench: ReplayBench, registry: Registry, aiohttp_client: AiohttpClient) -> Client:
    app = new_app(body_limit=10_000)
    replaying = Replaying(bench.replays, bench.selector, registry.all, bench.bench.clock.now)
    add_routes(app, ReplayApi(replaying, bench.bench.store))
    return await aiohttp_client(app)


async def ask(client: Client, status: int = 201, path: str = "", **body: Any) -> Any:
    async with client.post(f"/api/replays{path}", json=body) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def get(client: Client, path: str = "", status: int = 200) -> Any:
    async with client.get(f"/api/replays{path}") as response:
        assert response.status == status, await response.text()
        return await response.json()


async def test_a_message_id_of_two_sources(bench: ReplayBench, client: Client) -> None:
    """To one target goes the message of the source that is named; without one nothing is made,
    not even for a dry run."""
    for source in ("alpha", "beta"):
        await bench.bench.receive(an_sms("order-1001"), source=source)
    asked: dict[str, Any] = {"messageIds": ["order-1001"], "toEndpoint": "acme"}

    for dry_run in (False, True):
        refused = await ask(client, 409, **asked, dryRun=dry_run)
        assert refused["error"]["code"] == "ambiguous"
        assert refused["error"]["details"] == {"sources": ["alpha", "beta"]}
    assert await get(client) == {"replays": [], "next": None}
    dry = await ask(client, 200, **asked, source="beta", dryRun=True)
    assert [(each["source"], each["messageId"]) for each in dry["first"]] == [
        ("beta", "order-1001")
    ]
    assert (await ask(client, **asked, source="beta"))["total"] == 1


async def test_a_replay(bench: ReplayBench, client: Client) -> None:
    """A replay is made with an id, and tells how far it is until it is done."""
    made = await ask(client, state="exhausted", rate="10/s", stopOnErrors=0.5, key="evening")

    assert made == {
        "id": 1,
        "key": "evening",
        "state": "running",
        "createdAt": made["createdAt"],
        "startedAt": None,
        "lastFedAt": None,
        "endedAt": None,
        "selection": {"state": "exhausted"},
        "toEndpoint": None,
        "to": None,
        "rate": "10/s",
        "pace": None,
        "speed": None,
        "stopOnErrors": 0.5,
        "total": 3,
        "fed": 0,
        "acknowledged": 0,
        "waiting": 0,
        "exhausted": 0,
        "cancelled": 0,
        "dropped": 0,
        "attempts": 0,
        "failedAttempts": 0,
        "eta": None,
        "neverDispatched": 0,
        "endpointsGone": {},
    }

    bench.bench.sender.answers(503)
    await bench.feed()
    await bench.bench.work()
    shown = await get(client, "/1")
    assert (shown["fed"], shown["waiting"], shown["failedAttempts"]) == (1, 1, 1)
    await bench.run()
    done = await get(client, "/1")
    assert (done["state"], done["acknowledged"], done["waiting"]) == ("done", 3, 0)
    assert done["endedAt"] >= done["lastFedAt"] >= done["startedAt"]


async def test_a_dry_run(client: Client) -> None:
    """`dryRun` tells how many these are and the first of them, and makes nothing."""
    tried = await ask(client, 200, state="exhausted", dryRun=True)

    assert (tried["dryRun"], tried["total"]) == (True, 3)
    assert tried["first"][0] == {
        "report": 1,
        "endpoint": "acme",
        "receivedAt": "2026-03-02T12:00:00.000Z",
        "source": "default",
        "messageId": "m0",
        "status": "DELIVERED_TO_HANDSET",
    }
    assert (await get(client))["replays"] == []


async def test_the_same_key_is_the_same_replay(client: Client) -> None:
    """A second request with a key is answered with the first one's replay, and makes nothing."""
    first = await ask(client, state="exhausted", key="k")
    again = await ask(client, 200, ids=[1], key="k")

    assert again["id"] == first["id"]
    assert (await ask(client, ids=[1], key="other"))["id"] != first["id"]
    assert len((await get(client))["replays"]) == 2


async def test_the_list(client: Client) -> None:
    """Replays are listed newest first, page by page."""
    for number in (1, 2, 3):
        await ask(client, ids=[number])

    page = await get(client, "?limit=2")
    assert [each["id"] for each in page["replays"]] == [3, 2]
    rest = await get(client, f"?limit=2&cursor={page['next']}")
    assert ([each["id"] for each in rest["replays"]], rest["next"]) == ([1], None)


async def test_cancel(bench: ReplayBench, client: Client) -> None:
    """A replay is cancelled once; what it has fed and not sent is cancelled with it."""
    await ask(client, state="exhausted")
    await bench.feed()

    cancelled = await ask(client, 200, "/1/cancel")
    assert (cancelled["state"], cancelled["cancelled"], cancelled["waiting"]) == ("cancelled", 3, 0)
    refused = await ask(client, 409, "/1/cancel")
    assert refused["error"]["message"] == "replay 1: cannot go from cancelled to cancelled"


async def test_what_is_not_there(client: Client) -> None:
    """An id that there is not is 404, and one that is no number 400."""
    assert (await get(client, "/7", 404))["error"]["message"] == "there is no replay 7"
    await ask(client, 404, "/7/cancel")
    await get(client, "/seven", 400)


async def test_to_a_url(bench: ReplayBench, registry: Registry, client: Client) -> None:
    """A URL gets an endpoint of its own, which takes nothing else and is checked as one from
    outside; credentials in the URL are not shown."""
    made = await ask(client, state="exhausted", to="https://u:secret@elsewhere.example/dlr")

    assert (made["toEndpoint"], made["to"]) == ("replay-1", "https://elsewhere.example/dlr")
    (endpoint,) = [each for each in await registry.endpoints() if each.name == "replay-1"]
    assert endpoint.checked
    assert endpoint.rules.nothing
    assert endpoint.url == "https://elsewhere.example/dlr"
    assert {
        item.endpoint for item in await bench.replays.following(await bench.replays.one(1), 10)
    } == {"replay-1"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "expected at least one filter:"),
        (
            {"state": "exhausted", "since": "2026-03-04T05:00Z", "until": "2026-03-04T04:00Z"},
            "until: expected",
        ),
        (
            {"state": "exhausted", "toEndpoint": "nobody"},
            'toEndpoint: there is no endpoint "nobody"',
        ),
        ({"endpoint": "nobody"}, 'endpoint: there is no endpoint "nobody"; there are: acme'),
        ({"ids": [1], "to": "ftp://elsewhere.example"}, 'to: expected http or https, got "ftp"'),
        ({"ids": [1], "to": "http://0x7f.1/"}, "to: expected an IP address in its usual notation"),
        ({"ids": [1], "to": "http://"}, "to: expected"),
        ({"ids": [1], "to": "http://xn--.example/"}, "to: expected a host name, got"),
        ({"ids": [1], "to": "http://a/b c"}, "RFC 3986 defines it: write http://a/b%20c"),
        ({"ids": "1"}, 'ids: expected a list, got "1"'),
        ({"ids": [1], "nonsense": 1}, "nonsense: unknown field"),
    ],
)
async def test_bad_requests(client: Client, body: dict[str, Any], expected: str) -> None:
    """What is wrong is said in one line, and nothing is made."""
    told = (await ask(client, 400, **body))["error"]

    assert told["code"] == "bad_query"
    assert expected in told["message"]
    assert (await get(client))["replays"] == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff"])
async def test_a_body_that_is_no_object(client: Client, body: bytes) -> None:
    """A body that is no JSON object is 400."""
    async with client.post("/api/replays", data=body) as response:
        assert response.status == 400
        assert "expected a JSON object" in (await response.json())["error"]["message"]
