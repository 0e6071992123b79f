"""Trouble on order: the send API fails as a test asks for it, and what failed is not sent."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from dispatcher.sandbox.api.faults import trouble
from dispatcher.sandbox.api.seen_bodies import SeenBodies
from dispatcher.sandbox.faults import Faults
from dispatcher.settings.sandbox import FaultRule
from tests.end_to_end.processes import eventually
from tests.sandbox.playing import KEY, Played, playing

V3 = "/sms/3/messages"
V2 = "/sms/2/text/advanced"


def a_v3(to: str = "41790000001") -> dict[str, Any]:
    return {"messages": [{"destinations": [{"to": to}], "content": {"text": "x"}}]}


def a_v2(to: str = "41790000001") -> dict[str, Any]:
    return {"messages": [{"destinations": [{"to": to}], "text": "x"}]}


async def order(sandbox: Played, **rule: Any) -> Any:
    status, fields = await sandbox.ask("POST", "/sandbox/faults", json=rule)
    assert status == 201, fields
    return fields["faults"]


async def statuses(sandbox: Played, *requests: tuple[str, dict[str, Any]]) -> list[int]:
    return [(await sandbox.ask("POST", path, json=body))[0] for path, body in requests]


async def test_the_next_two_requests_fail(tmp_path: Path) -> None:
    """An app that tries again gets through the third time, and sends once."""
    async with playing(tmp_path) as sandbox:
        (rule,) = await order(sandbox, status=503, next=2)
        assert (rule["status"], rule["next"], rule["share"]) == (503, 2, 1.0)

        assert await statuses(sandbox, *[(V3, a_v3())] * 3) == [503, 503, 200]
        assert len(await sandbox.messages()) == 1
        assert (await sandbox.get("/sandbox/faults"))["faults"] == []


async def test_of_a_route_and_a_recipient(tmp_path: Path) -> None:
    """A rule meets the requests to its route, or to one of its recipients in whatever form, and no
    other; the other requests do not use it up."""
    async with playing(tmp_path) as sandbox:
        await order(sandbox, status=500, next=1, route="/sms/2/*")
        await order(sandbox, status=401, next=1, to="+41 79*")

        asked = [
            (V3, a_v3("436601234567")),
            (V3, a_v3("+41790000001")),
            (V3, a_v3("41790000001")),
            (V2, a_v2("436601234567")),
            (V2, a_v2("436601234567")),
        ]
        assert await statuses(sandbox, *asked) == [200, 401, 200, 500, 200]


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/sms/1/text/query", {"params": {"to": "43660,41790000001", "text": "x"}}),
        ("POST", "/sms/1/text/single", {"json": {"to": ["43660", "41790000001"], "text": "x"}}),
        (
            "POST",
            V2,
            {
                "data": "<request><messages><message><destinations><destination>"
                "<to>41790000001</to></destination></destinations><text>x</text></message>"
                "</messages></request>",
                "headers": {"Content-Type": "application/xml", "Accept": "application/json"},
            },
        ),
    ],
)
async def test_recipients_of_every_kind_of_request(
    tmp_path: Path, method: str, path: str, options: dict[str, Any]
) -> None:
    """A recipient is found in a query, in a list and in XML; a request that cannot be read has
    none, and is answered as ever."""
    async with playing(tmp_path) as sandbox:
        await order(sandbox, status=500, to="41790000001")

        assert (await sandbox.ask(method, path, **options))[0] == 500
        assert (await sandbox.ask("POST", V3, data=b"{"))[0] == 400


async def test_the_latest_rule_goes_first(tmp_path: Path) -> None:
    """The latest rule is asked first, those of the settings last. What the API has added is taken
    back, and a reset lets those of the settings begin anew."""
    text = "[[sandbox.fault]]\nstatus = 500\nnext = 2\n"
    async with playing(tmp_path, text) as sandbox:
        await order(sandbox, status=502)
        await order(sandbox, status=503, next=1)

        assert await statuses(sandbox, *[(V3, a_v3())] * 2) == [503, 502]
        status, fields = await sandbox.ask("DELETE", "/sandbox/faults")
        assert (status, [each["status"] for each in fields["faults"]]) == (200, [500])
        assert await statuses(sandbox, *[(V3, a_v3())] * 3) == [500, 500, 200]
        await order(sandbox, status=502)
        await sandbox.ask("POST", "/sandbox/reset")
        assert await statuses(sandbox, *[(V3, a_v3())] * 3) == [500, 500, 200]


async def test_errors_have_the_providers_shape(tmp_path: Path) -> None:
    """Each generation's client gets the error that it can read, and is told when to come again."""
    async with playing(tmp_path) as sandbox:
        await order(sandbox, status=429)

        async with sandbox.client.post(V3, json=a_v3()) as response:
            v3 = await response.json()
        async with sandbox.client.post(V2, json=a_v2()) as response:
            v2 = await response.json()
        xml = {"Accept": "application/xml"}
        async with sandbox.client.post(V2, json=a_v2(), headers=xml) as told:
            assert (await told.text()).startswith("<?xml")
        assert (response.status, response.headers["Retry-After"]) == (429, "1")
        assert (v3["errorCode"], v3["description"]) == ("E429", "Too many requests sent.")
        assert v2["requestError"]["serviceException"]["messageId"] == "TOO_MANY_REQUESTS"


async def test_garbage(tmp_path: Path) -> None:
    """A success that is no answer: a text as it is, or any JSON."""
    async with playing(tmp_path) as sandbox:
        await order(sandbox, status=200, body={"messages": None}, next=1)
        await order(sandbox, status=200, body="<html>", next=1)

        async with sandbox.client.post(V3, json=a_v3()) as response:
            assert (response.status, await response.text()) == (200, "<html>")
            assert response.content_type == "application/json"
        assert await sandbox.ask("POST", V3, json=a_v3()) == (200, {"messages": None})
        assert await sandbox.messages() == []


@pytest.mark.parametrize("how", ["drop", "reset"])
async def test_connections_that_end(tmp_path: Path, how: str) -> None:
    """A connection ends without an answer, in order or with a reset, and nothing is sent; with a
    status it ends in the middle of the body. The next request is well."""
    async with playing(tmp_path) as sandbox:
        await order(sandbox, next=1, **{how: True})
        expected = aiohttp.ServerDisconnectedError if how == "drop" else aiohttp.ClientOSError
        with pytest.raises(expected):
            await sandbox.ask("POST", V3, json=a_v3())

        await order(sandbox, next=1, status=500, **{how: True})
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
            await sandbox.ask("POST", V3, json=a_v3())

        assert await sandbox.messages() == []
        assert await statuses(sandbox, (V3, a_v3())) == [200]


async def test_slow_answers() -> None:
    """A slow answer is that of a request that was taken before; a slow error of one that was not.
    An app that gives up and tries again so sends twice, as with the provider."""
    happened: list[object] = []

    async def sleep(seconds: float) -> None:
        happened.append(seconds)

    async def take(request: web.Request) -> web.Response:
        happened.append(await request.read())
        return web.Response(text="taken")

    faults = Faults([FaultRule(delay=timedelta(seconds=2), next=1)], seed=1)
    bodies = SeenBodies(limit=1000, timeout=timedelta(seconds=5), at_once=1000)
    app = web.Application(middlewares=[trouble(faults, bodies, 1000, sleep)])
    app.router.add_post(V3, take)
    async with TestClient(TestServer(app)) as client:
        async with client.post(V3) as response:
            assert await response.text() == "taken"
        assert happened == [b"", 2.0]
        faults.add(FaultRule(delay=timedelta(seconds=3), status=503))
        async with client.post(V3) as response:
            assert response.status == 503
        assert happened[2:] == [3.0]


def test_a_share() -> None:
    """Of many requests a rule meets its share; by the seed, and anew after a reset."""
    faults = Faults([FaultRule(status=500, share=0.1)], seed=7)

    first = [faults.met(V3, list) is not None for _ in range(1000)]
    faults.forget()
    again = [faults.met(V3, list) is not None for _ in range(1000)]

    assert 60 < sum(first) < 140
    assert first == again


async def test_it_spares_the_other_routes_and_needs_credentials(tmp_path: Path) -> None:
    """Whoever may not come in is not told more than that; /api and /sandbox have no trouble."""
    async with playing(tmp_path) as sandbox:
        await order(sandbox, status=503)

        async with aiohttp.ClientSession(sandbox.running.url) as nobody:
            async with nobody.post(V3, json=a_v3()) as response:
                assert response.status == 401
            async with nobody.post(V3, json=a_v3(), headers=KEY) as response:
                assert response.status == 503
        await sandbox.get("/api/reports")
        await sandbox.get("/sandbox/messages")
        assert (await sandbox.ask("GET", "/sms/1/reports"))[0] == 503


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ({}, "status: expected at least one of status, drop, reset and delay"),
        ({"next": 1}, "status: expected at least one of status, drop, reset and delay"),
        ({"status": 600}, "status: expected an integer from 200 to 599, got 600"),
        ({"status": 200}, "body: expected with status 200, which is not an error"),
        ({"drop": True, "body": "x"}, "body: can only be used with a status"),
        ({"status": 503, "nxt": 1}, 'nxt: there is no such setting; did you mean "next"?'),
    ],
)
async def test_a_rule_that_cannot_be_used(tmp_path: Path, rule: dict[str, Any], fault: str) -> None:
    """It is told what is wrong, and nothing is in force."""
    async with playing(tmp_path) as sandbox:
        status, fields = await sandbox.ask("POST", "/sandbox/faults", json=rule)

        assert (status, fields["error"]["details"]["faults"]) == (400, [fault])
        assert (await sandbox.get("/sandbox/faults"))["faults"] == []


async def test_a_slow_answer_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A stop_timeout of 0s ends what is under way at once. It waited without a limit, because
    aiohttp reads 0 as none."""
    text = '[server]\nstop_timeout = "0s"\n[[sandbox.fault]]\ndelay = "10m"\n'
    async with aiohttp.ClientSession(headers=KEY) as app:
        async with playing(tmp_path, text) as sandbox:
            url = f"{sandbox.running.url}{V3}"
            slow = asyncio.create_task(app.post(url, json=a_v3()).__aenter__())
            await eventually(sandbox.messages, "the message is taken")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await slow
