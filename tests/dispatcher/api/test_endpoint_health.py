"""How endpoints are, as the API tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from dispatcher.api.endpoint_health import HealthApi, Healths
from dispatcher.endpoints.registry import Registry
from dispatcher.retrying.outcome import Outcome
from dispatcher.retrying.schedule import INFOBIP
from dispatcher.settings.settings import EndpointSettings
from receiver.answers import timestamp
from receiver.callbacks.app import new_app
from receiver.routes import add_routes
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import START, Bench, a_bench, an_endpoint

Client = TestClient[Any, Any]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench(an_endpoint(breaker_failures=2, rate_limit=50.0)) as made:
        yield made


@pytest.fixture
async def client(bench: Bench, aiohttp_client: AiohttpClient) -> Client:
    storage = bench.storage
    registry = Registry(
        storage.endpoints, [EndpointSettings("acme", "http://acme.example/dlr")], sources=None
    )
    healths = Healths(
        registry,
        storage.figures,
        storage.activity,
        INFOBIP,
        bench.clock.now,
        bench.worker.flows,
    )
    app = new_app(body_limit=10_000)
    add_routes(app, HealthApi(healths))
    return await aiohttp_client(app)


async def acme(client: Client) -> Any:
    async with client.get("/api/endpoints/acme/health") as response:
        assert response.status == 200
        (found,) = (await response.json())["endpoints"]
        return found


async def test_of_an_endpoint_that_did_nothing(client: Client) -> None:
    """Counts are zero; what needs something to be told of is null."""
    found = await acme(client)

    assert found["lastHour"] == {
        "attempts": 0,
        "acknowledged": 0,
        "acknowledgedShare": None,
        "failures": {},
        "failedStatuses": {},
        "durationMs": {"p50": None, "p95": None},
        "lateness": {"reports": 0, "p50": None, "p95": None},
        "since": timestamp(START - timedelta(hours=1)),
    }
    assert found["firstLoss"] is None
    assert found["backlog"]["oldestWaitingSeconds"] is None
    assert (found["paused"], found["held"], found["gone"]) == (False, False, False)


async def test_of_one_that_fails_and_recovers(bench: Bench, client: Client) -> None:
    """Failures by how they ended, what waits and since when, the breaker; then what was late."""
    bench.sender.answers(503, Outcome.TIMED_OUT)
    await bench.receive(an_sms("a"))
    await bench.work()
    bench.clock.advance_to(START + timedelta(minutes=1))
    await bench.work()

    found = await acme(client)
    hour = found["lastHour"]
    assert (hour["attempts"], hour["acknowledgedShare"]) == (2, 0.0)
    assert hour["failures"] == {"failed": 1, "timed_out": 1}
    assert hour["failedStatuses"] == {"5xx": 1}
    assert hour["durationMs"] == {"p50": 5.0, "p95": 5.0}
    assert found["lastDay"]["attempts"] == 2
    assert found["backlog"] == {
        "unreadReports": 0,
        "waitingDispatches": 1,
        "waitingReports": 1,
        "dueDispatches": 0,
        "atLeast": False,
        "oldestWaitingSeconds": 60.0,
        "oldestUnreadSeconds": None,
    }
    assert found["firstLoss"]["attempts"] == 19
    flow = found["flow"]
    assert (flow["breakerOpen"], flow["breakerFailures"]) == (True, 2)
    assert (flow["rateLimit"], flow["slowed"], flow["setAsideUntil"]) == (50.0, False, None)

    bench.clock.advance_to(START + timedelta(minutes=3))
    await bench.work()

    found = await acme(client)
    assert found["lastHour"]["acknowledgedShare"] == 0.3333
    assert found["lastHour"]["lateness"]["reports"] == 1
    assert found["lastHour"]["lateness"]["p50"] == pytest.approx(180, rel=1 / 16)
    assert (found["backlog"]["waitingDispatches"], found["firstLoss"]) == (0, None)


async def test_all_of_them_and_one_that_is_not_there(client: Client) -> None:
    async with client.get("/api/endpoint-health") as response:
        found = await response.json()
    assert [each["name"] for each in found["endpoints"]] == ["acme"]
    assert found["behind"] == 0

    async with client.get("/api/endpoints/nobody/health") as response:
        assert response.status == 404
