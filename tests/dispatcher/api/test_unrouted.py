"""Reports that match no endpoint are visible."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from dispatcher.api.unrouted import Unrouted, UnroutedApi
from dispatcher.endpoints.endpoint import Rules
from dispatcher.endpoints.registry import Registry
from dispatcher.settings.settings import EndpointSettings
from receiver.callbacks.app import new_app
from receiver.routes import add_routes
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import Bench, a_bench, an_endpoint

FINAL = EndpointSettings("acme", "http://acme.example/dlr", reports="final")
SWISS = EndpointSettings("swiss", "http://swiss.example/dlr", to_prefixes=("41",))
PENDING = "PENDING_ENROUTE"
ABROAD = "4912345"

Client = TestClient[Any, Any]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench(
        an_endpoint(rules=Rules(final=True)), an_endpoint("swiss", rules=Rules(to_prefixes=("41",)))
    ) as made:
        yield made


def unrouted(bench: Bench, *of_file: EndpointSettings) -> Unrouted:
    return Unrouted(
        bench.storage.unrouted, Registry(bench.storage.endpoints, of_file or (FINAL, SWISS))
    )


async def test_without_an_endpoint_nothing_is_routed() -> None:
    """Where there is no endpoint, all reports are unrouted; they wait for the first one."""
    async with a_bench(known=False) as bench:
        await bench.receive(an_sms("a"), an_sms("b"))
        registry = Registry(bench.storage.endpoints, [])

        step = await Unrouted(bench.storage.unrouted, registry).find(None, 10)
        assert [report.id for report in step.reports] == [2, 1]

        await registry.add({"name": "acme", "url": "http://acme.example/"}, from_outside=False)
        assert (await Unrouted(bench.storage.unrouted, registry).find(None, 10)).reports == []


async def test_endpoints_of_replays_do_not_count(bench: Bench) -> None:
    """An endpoint that takes only what is replayed to it neither takes nor holds back."""
    await bench.receive(an_sms("a", PENDING, to=ABROAD))
    await bench.work()
    target = EndpointSettings("target", "http://target.example/", reports="none")

    step = await unrouted(bench, FINAL, SWISS, target).find(None, 10)
    assert ([report.id for report in step.reports], step.read_to) == ([1], 1)


@pytest.fixture
async def client(bench: Bench, aiohttp_client: AiohttpClient) -> Client:
    app = new_app(body_limit=1000)
    add_routes(app, UnroutedApi(unrouted(bench)))
    return await aiohttp_client(app)


async def test_over_http(bench: Bench, client: Client) -> None:
    """GET /api/unrouted shows the reports as /api/reports does, page by page; `next` is null on the
    last page though it is exactly full."""
    await bench.receive(*(an_sms(f"m{n}", PENDING, to=ABROAD) for n in range(4)))
    await bench.work()

    async def page(query: str) -> Any:
        async with client.get(f"/api/unrouted?limit=2{query}") as response:
            assert response.status == 200
            return await response.json()

    first = await page("")
    assert [each["report"]["messageId"] for each in first["reports"]] == ["m3", "m2"]
    assert (first["readTo"], first["forgottenTo"]) == (4, 0)
    last = await page(f"&cursor={first['next']}")
    assert ([each["id"] for each in last["reports"]], last["next"]) == ([2, 1], None)
    async with client.get("/api/unrouted?source=eu") as response:
        assert response.status == 400
