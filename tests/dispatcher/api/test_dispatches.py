"""Dispatches and endpoints over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from dispatcher.api import dispatches
from dispatcher.api.dispatches import DispatchApi
from dispatcher.retrying.outcome import Outcome
from receiver.api.store_api import StoreApi
from receiver.callbacks.app import new_app
from receiver.routes import add_routes
from tests.contracts.report_store import NOT_A_REPORT, a_callback, an_sms
from tests.dispatcher.support import MINUTE, Bench, a_bench, an_endpoint

ACME = an_endpoint(headers={"Authorization": "App secret"})
BETA = an_endpoint("beta", content_type="application/xml", generation="v3", window=3, bucket_size=1)

Client = TestClient[Any, Any]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench(ACME, BETA) as made:
        yield made


def an_api(bench: Bench) -> DispatchApi:
    return DispatchApi(bench.store, bench.queue)


@pytest.fixture
async def client(bench: Bench, aiohttp_client: AiohttpClient) -> Client:
    api = an_api(bench)
    app = new_app(body_limit=1000)
    add_routes(app, api, StoreApi(bench.store, api.dispatches_of))
    return await aiohttp_client(app)


async def get(client: Client, path: str, status: int = 200) -> Any:
    """What GET says, as JSON."""
    async with client.get(path) as response:
        assert response.status == status
        assert response.content_type == "application/json"
        return await response.json()


async def post(client: Client, path: str, status: int = 200) -> Any:
    async with client.post(path) as response:
        assert response.status == status
        return await response.json()


async def test_a_dispatch(bench: Bench, client: Client) -> None:
    """A dispatch tells where it goes, how it stands, and of which messages; alone it has its
    history."""
    bench.sender.answers(503)
    await bench.receive(an_sms("a"), an_sms("b"), an_sms("a", "PENDING_ENROUTE"), {"to": "1"})
    await bench.worker.tick()
    bench.clock.advance(MINUTE)
    bench.sender.answers(Outcome.TIMED_OUT)
    await bench.work()

    said = await get(client, "/api/dispatches/db-1")

    history = said.pop("history")
    assert said.pop("webhookId") == bench.sender.pushes[0].webhook_id
    assert said == {
        "id": "db-1",
        "endpoint": "acme",
        "url": "http://acme.example/dlr",
        "state": "waiting",
        "attempts": 2,
        "createdAt": "2026-03-02T12:00:00.000Z",
        "dueAt": "2026-03-02T12:03:00.000Z",
        "messageIds": ["a", "b"],
        "reports": 3,
    }
    assert history == [
        {
            "number": 1,
            "startedAt": "2026-03-02T12:00:00.000Z",
            "durationMs": 5.0,
            "status": 503,
            "outcome": "failed",
            "error": None,
            "answer": "said",
            "note": None,
            "unrecorded": 0,
        },
        {
            "number": 2,
            "startedAt": "2026-03-02T12:01:00.000Z",
            "durationMs": 5.0,
            "status": None,
            "outcome": "timed_out",
            "error": "timed_out",
            "answer": "",
            "note": None,
            "unrecorded": 0,
        },
    ]


async def test_answer_of_any_bytes(bench: Bench, client: Client) -> None:
    """What an endpoint answered is shown as text, whatever its bytes."""
    await bench.receive(an_sms("a"))
    (leased, other) = await bench.worker.claim()
    bench.sender.said = b"\xff\x00<script>"
    await bench.worker.attempt(leased)
    await bench.worker.give_back([other])

    said = await get(client, f"/api/dispatches/{leased.name}")

    assert said["history"][0]["answer"] == "\ufffd\x00<script>"


async def test_lists_dispatches(bench: Bench, client: Client) -> None:
    """The list is newest first, has no history, and is narrowed by endpoint and state."""
    bench.sender.always(503, endpoint="beta")
    for name in "ab":
        await bench.receive(an_sms(name))
        await bench.work()

    async def listed(query: str) -> list[str]:
        said = await get(client, f"/api/dispatches{query}")
        assert set(said) == {"dispatches", "next"}
        assert all("history" not in view for view in said["dispatches"])
        return [f"{view['id']} {view['endpoint']}" for view in said["dispatches"]]

    assert sorted(await listed("?limit=2")) == ["db-3 acme", "db-4 beta"]
    assert await listed("?endpoint=beta") == ["db-4 beta", "db-2 beta"]
    assert await listed("?state=waiting") == ["db-4 beta", "db-2 beta"]
    assert await listed("?state=acknowledged&endpoint=beta") == []
    assert await listed("?endpoint=nobody") == []


async def test_finds_what_failed_and_how(bench: Bench, client: Client) -> None:
    """What somebody asks of pushes: those that failed in a certain way, at a certain time, those of
    a message (of one source, where several have it); in any combination, and page by page."""
    bench.sender.answers(503, 404, Outcome.TIMED_OUT)
    bench.sender.always(200, endpoint="beta")
    for minute, source in enumerate(("default", "eu", "default", "default")):
        await bench.receive(an_sms("same" if minute < 2 else f"m{minute}"), source=source)
        await bench.worker.tick()
        bench.clock.advance(timedelta(seconds=1))

    async def listed(query: str) -> list[str]:
        shown: list[str] = []
        following: str | None = ""
        while following is not None:
            cursor = f"&cursor={following}" if following else ""
            said = await get(client, f"/api/dispatches?limit=1&{query}{cursor}")
            shown += [f"{each['messageIds'][0]} {each['endpoint']}" for each in said["dispatches"]]
            following = said["next"]
        return shown

    of_beta = ["m3 beta", "m2 beta", "same beta", "same beta"]
    assert await listed("outcome=acknowledged&endpoint=beta") == of_beta
    assert await listed("outcome=refused") == ["same acme"]
    assert await listed("statusClass=5xx") == await listed("outcome=failed") == ["same acme"]
    assert await listed("statusClass=none") == ["m2 acme"]
    assert await listed("statusClass=2xx&endpoint=acme") == ["m3 acme"]
    since = "2026-03-02T12:00:02Z"
    assert set(await listed(f"createdSince={since}")) == {
        "m2 acme",
        "m2 beta",
        "m3 acme",
        "m3 beta",
    }
    assert await listed(f"attemptedUntil={since}&endpoint=acme") == ["same acme"] * 2
    assert set(await listed("messageId=same")) == {"same acme", "same beta"}
    assert len(await listed("messageId=same")) == 4
    assert len(await listed("messageId=same&source=eu")) == 2
    assert await listed("messageId=same&source=eu&statusClass=4xx") == ["same acme"]
    assert await listed("messageId=sam") == await listed("replay=1") == []


@pytest.mark.parametrize("at_once", [200, 1])
async def test_by_the_status_of_its_reports(
    bench: Bench, client: Client, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """A dispatch is found by what any of its reports says, in any combination with what is asked of
    it itself, and page by page, however few are compared in a step. Support asks which pushes told
    of expired messages, and had to look into each."""
    monkeypatch.setattr(dispatches, "DISPATCHES_AT_ONCE", at_once)
    monkeypatch.setattr(dispatches, "REPORTS_AT_ONCE", at_once)
    statuses = ("EXPIRED_EXPIRED", "DELIVERED_TO_HANDSET", "REJECTED_NETWORK", "EXPIRED_EXPIRED")
    for number, status in enumerate(statuses):
        await bench.receive(an_sms(f"m{number}", status), an_sms(f"n{number}"))
        await bench.work()
        bench.clock.advance(MINUTE)

    async def listed(query: str) -> list[str]:
        shown: list[str] = []
        following: str | None = ""
        while following is not None:
            cursor = f"&cursor={following}" if following else ""
            said = await get(client, f"/api/dispatches?limit=1&{query}{cursor}")
            shown += [f"{each['messageIds'][0]} {each['endpoint']}" for each in said["dispatches"]]
            following = said["next"]
        return shown

    assert await listed("statusGroup=EXPIRED&endpoint=acme") == ["m3 acme", "m0 acme"]
    assert await listed("status=expired_expired,REJECTED_NETWORK&endpoint=acme") == [
        "m3 acme",
        "m2 acme",
        "m0 acme",
    ]
    of_beta = ["n3 beta", "n2 beta", "m2 beta", "n1 beta", "m1 beta", "n0 beta"]
    assert sorted(await listed("statusGroup=DELIVERED,5&endpoint=beta")) == sorted(of_beta)
    assert len(await listed("statusGroup=DELIVERED,5")) == len(of_beta) + 4
    until = "createdUntil=2026-03-02T12:01:00Z"
    assert set(await listed(f"statusGroup=EXPIRED&{until}")) <= {"m0 acme", "m0 beta"}
    assert await listed("statusGroup=EXPIRED&messageId=n0&endpoint=acme") == ["m0 acme"]
    assert await listed("statusGroup=ACCEPTED") == await listed("status=4711") == []


async def test_pages(bench: Bench, client: Client) -> None:
    """`next` leads from page to page until it is null; each dispatch is shown once."""
    for n in range(5):
        await bench.receive(an_sms(f"m{n}"))
        await bench.work()
    shown: list[str] = []
    path = "/api/dispatches?limit=4"
    said = await get(client, path)
    while said["next"] is not None:
        shown += [view["id"] for view in said["dispatches"]]
        said = await get(client, f"{path}&cursor={said['next']}")
    shown += [view["id"] for view in said["dispatches"]]

    assert shown == [f"db-{n}" for n in range(10, 0, -1)]


async def test_the_last_page_may_be_full(bench: Bench, client: Client) -> None:
    """`next` is null on the last page even when it is exactly full: nobody asks for nothing."""
    await bench.receive(an_sms("a"), an_sms("b"))
    await bench.store.add([a_callback(NOT_A_REPORT), a_callback(NOT_A_REPORT, source="eu")])
    await bench.work()
    assert len(await bench.dispatches("acme")) + len(await bench.dispatches("beta")) == 3

    for name, path, size in (
        ("dispatches", "dispatches", 3),
        ("reports", "reports", 2),
        ("messages", "messages", 2),
        ("items", "quarantine", 2),
    ):
        full = await get(client, f"/api/{path}?limit={size}")
        assert (len(full[name]), full["next"]) == (size, None)
        first = await get(client, f"/api/{path}?limit={size - 1}")
        rest = await get(client, f"/api/{path}?limit={size - 1}&cursor={first['next']}")
        assert (first[name] + rest[name], rest["next"]) == (full[name], None)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("stat=waiting", "stat: unknown parameter"),
        ("state=delivered", "state: expected waiting, leased"),
        ("limit=0", "limit: expected 1 to 1000, got 0"),
        ("limit=1001", "limit: expected 1 to 1000, got 1001"),
        ("limit=many", "limit: expected a number, got 'many'"),
        ("outcome=lost", "outcome: expected acknowledged, redirected"),
        ("statusClass=5", "statusClass: expected 2xx, 3xx, 4xx, 5xx, none"),
        ("createdSince=yesterday", "createdSince: expected an instant such as"),
        ("replay=first", "replay: expected a number, got 'first'"),
        ("statusGroup=LOST", "statusGroup: expected ACCEPTED"),
        ("source=eu", "source: can only be used together with messageId"),
        ("cursor=other-1", "cursor: expected the id of a dispatch, got other-1"),
        ("cursor=", "cursor: expected the id of a dispatch"),
    ],
)
async def test_bad_queries(client: Client, query: str, message: str) -> None:
    """A parameter that cannot be used is refused and named: ignored, it would show too much."""
    said = await get(client, f"/api/dispatches?{query}", 400)

    assert said["error"]["code"] == "bad_query"
    assert said["error"]["message"].startswith(message)
    assert said["error"]["details"] == {}


@pytest.mark.parametrize("name", ["db-1", "other-1", "1", "db-" + "9" * 30, "db-%D9%A3"])
async def test_unknown_dispatch(client: Client, name: str) -> None:
    """A dispatch that is not there is 404, whatever its name looks like."""
    said = await get(client, f"/api/dispatches/{name}", 404)
    assert said["error"]["code"] == "not_found"
    assert said["error"]["message"].startswith("there is no dispatch")

    assert (await post(client, f"/api/dispatches/{name}/cancel", 404))["error"]["code"] == (
        "not_found"
    )


async def test_cancel(bench: Bench, client: Client) -> None:
    """Cancelling answers with the dispatch as it is now; a second time it is refused."""
    bench.sender.always(503)
    await bench.receive(an_sms("a"))
    await bench.work()

    said = await post(client, "/api/dispatches/db-1/cancel")
    assert (said["id"], said["state"], said["dueAt"]) == ("db-1", "cancelled", None)
    assert len(said["history"]) == 1

    error = (await post(client, "/api/dispatches/db-1/cancel", 409))["error"]
    assert error["code"] == "invalid_transition"
    assert error["message"] == "dispatch db-1: cannot go from cancelled to cancelled"


async def test_get_does_not_cancel(bench: Bench, client: Client) -> None:
    """What changes something is not done by a GET."""
    await bench.receive(an_sms("a"))

    said = await get(client, "/api/dispatches/db-1/cancel", 405)
    assert said["error"]["code"] == "method_not_allowed"


async def test_dispatches_of_a_message(bench: Bench, client: Client) -> None:
    """A message shows the dispatches that carry its reports."""
    bench.sender.always(503, endpoint="beta")
    await bench.receive(an_sms("a"), an_sms("b"))
    await bench.work()

    said = await get(client, "/api/messages/a")
    shown = {(each["endpoint"], each["state"]) for each in said["dispatches"]}
    assert shown == {("acme", "acknowledged"), ("beta", "waiting")}
