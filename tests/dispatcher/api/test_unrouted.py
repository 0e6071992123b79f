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
from dispatcher.queue.sqlite.unrouted import SqliteUnrouted
from dispatcher.settings.settings import EndpointSettings
from receiver.callbacks.app import new_app
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import MINUTE, Bench, a_bench, an_endpoint

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


async def found(bench: Bench, *of_file: EndpointSettings) -> list[int]:
    """The ids of the unrouted reports, newest first, by steps of one report each."""
    ids: list[int] = []
    before: int | None = None
    while True:
        step = await unrouted(bench, *of_file).find(before, 1)
        ids += [report.id for report in step.reports]
        if (before := step.next) is None:
            return ids


async def nobody(*_: Any) -> None: ...


async def test_what_no_endpoint_took(bench: Bench) -> None:
    """A report that every endpoint has read past and none took is unrouted; one that any took is
    not, whatever became of its dispatch."""
    bench.sender.always(503, endpoint="acme")
    await bench.receive(
        an_sms("a", PENDING, to=ABROAD),
        an_sms("b", to=ABROAD),
        an_sms("c", PENDING),
        an_sms("d", PENDING, to=ABROAD),
    )
    await bench.work()

    assert await found(bench) == [4, 1]


async def test_what_is_not_read_is_not_judged(bench: Bench) -> None:
    """As long as one endpoint has not read a report, as while it is paused, nothing is said of it;
    the answer tells how far that is."""
    bench.worker.use([an_endpoint(rules=Rules(final=True)), an_endpoint("swiss", paused=True)])
    await bench.receive(an_sms("a", PENDING, to=ABROAD))
    await bench.work()

    step = await unrouted(bench).find(None, 10)

    assert (step.reports, step.read_to) == ([], 0)


async def test_without_an_endpoint_nothing_is_routed() -> None:
    """Where there is no endpoint, all reports are unrouted; they wait for the first one."""
    async with a_bench(known=False) as bench:
        await bench.receive(an_sms("a"), an_sms("b"))
        registry = Registry(bench.storage.endpoints, [])

        step = await Unrouted(bench.storage.unrouted, registry).find(None, 10)
        assert [report.id for report in step.reports] == [2, 1]

        await registry.add({"name": "acme", "url": "http://acme.example/"}, from_outside=False)
        assert (await Unrouted(bench.storage.unrouted, registry).find(None, 10)).reports == []


async def test_what_is_held_for_its_order_is_taken() -> None:
    """A report that waits for an earlier one of its message has an endpoint."""
    ordered = an_endpoint(ordered=True)
    async with a_bench(ordered) as bench:
        bench.sender.always(503)
        await bench.receive(an_sms("a", PENDING))
        await bench.work()
        await bench.receive(an_sms("a"))
        await bench.work()

        acme = EndpointSettings("acme", "http://acme.example/dlr", ordered=True)
        assert await found(bench, acme) == []


async def test_endpoints_of_replays_do_not_count(bench: Bench) -> None:
    """An endpoint that takes only what is replayed to it neither takes nor holds back."""
    await bench.receive(an_sms("a", PENDING, to=ABROAD))
    await bench.work()
    target = EndpointSettings("target", "http://target.example/", reports="none")

    assert await found(bench, FINAL, SWISS, target) == [1]


async def test_what_is_forgotten_is_left_out(bench: Bench) -> None:
    """When retention has removed dispatches, nobody can say who took the reports of their time:
    they are left out, and the answer says up to where."""
    await bench.receive(an_sms("a", PENDING, to=ABROAD), an_sms("b"))
    await bench.work()
    bench.clock.advance(MINUTE)
    await bench.receive(an_sms("c", PENDING, to=ABROAD))
    await bench.work()
    assert await found(bench) == [3, 1]

    await bench.storage.retention.purge_dispatches(before=bench.clock.now(), most=0, pause=nobody)

    assert await found(bench) == [3]
    assert (await unrouted(bench).find(None, 10)).forgotten_to == 2


async def test_steps_are_bounded(bench: Bench) -> None:
    """A step looks at so many reports and not at all: it may find none, and there is a next."""
    await bench.receive(an_sms("first", PENDING, to=ABROAD), *(an_sms(f"m{n}") for n in range(25)))
    await bench.work()

    steps = SqliteUnrouted(bench.database, step=10)
    step = await steps.unrouted(["acme", "swiss"], None, 5)
    assert (step.reports, step.next) == ([], 17)
    step = await steps.unrouted(["acme", "swiss"], 7, 5)
    assert ([report.id for report in step.reports], step.next) == ([1], None)


@pytest.fixture
async def client(bench: Bench, aiohttp_client: AiohttpClient) -> Client:
    app = new_app(body_limit=1000)
    UnroutedApi(unrouted(bench)).add_routes(app)
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
