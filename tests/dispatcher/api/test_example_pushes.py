"""Test pushes: whoever sets up an endpoint sees at once what it would get, and what it answers.

Without them the first push of an endpoint was a customer's report.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dispatcher.pushing.example import AT_ONCE, MARK, example_report
from dispatcher.service import Parts, Service, service
from dispatcher.settings.settings import read_settings
from receiver.dlr import json_format, xml_format
from receiver.dlr.model import Report
from tests.dispatcher.support import START
from tests.end_to_end.processes import (
    Customer,
    Push,
    an_endpoint,
    configure,
    customer,
    dlr,
    eventually,
)

SECURITY = '[endpoint.security]\ntype = "header"\nheader = "X-Key"\nvalue = "s3cret"\n'
ALLOWED = '[outgoing]\nallowed_networks = ["127.0.0.0/8"]\n'

BOTH = Parts()


@asynccontextmanager
async def serving(
    folder: Path, text: str, parts: Parts = BOTH
) -> AsyncIterator[tuple[Service, aiohttp.ClientSession]]:
    configure(folder, f'[store]\ndatabase = "{folder / "dlr.db"}"\n{text}')
    settings = read_settings(folder / "dlr.toml", {"DLR_SERVER_PORT": "0"})
    async with (
        service(settings, parts=parts) as running,
        aiohttp.ClientSession(running.url) as client,
    ):
        yield running, client


async def post(
    client: aiohttp.ClientSession, path: str, status: int = 200, body: Any = None
) -> Any:
    """No answer ever holds a secret."""
    async with client.post(f"/api/endpoint{path}", json=body) as response:
        text = await response.text()
        assert response.status == status, text
        assert "s3cret" not in text
        return json.loads(text)


async def test_a_test_push(tmp_path: Path) -> None:
    """One example report, marked as what it is, as a push to the endpoint would be: its headers,
    its proof, its format. What was sent and what came back is told, without secrets; nothing of it
    is stored, neither as a report nor as a dispatch."""
    async with customer(lambda _: 202) as acme:
        url = f"{acme.url.replace('://', '://me:s3cret@')}/in?token=s3cret"
        async with serving(tmp_path, an_endpoint(url) + SECURITY) as (running, client):
            said = await post(client, "s/acme/test")

            assert await running.storage.queue.dispatches() == []
            assert await running.storage.store.newest_report() == 0

    (push,) = acme.pushes
    assert (push.path, push.attempt, push.replay) == ("/in", 1, None)
    assert push.dispatch.startswith("test-push-")
    assert (said["status"], said["outcome"], said["error"]) == (202, "acknowledged", None)
    assert said["url"] == f"{acme.url}/in?…"
    assert said["durationMs"] > 0
    assert said["headers"] == {
        "User-Agent": "dlr",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "Authorization": "…",
        "X-Key": "…",
        "dlr-attempt": "1",
        "webhook-id": push.dispatch,
    }
    assert said["body"].encode() == push.body
    (item,) = json.loads(push.body)["results"]
    assert (item["callbackData"], item["messageId"]) == (MARK, push.dispatch)
    assert item["status"]["name"] == "DELIVERED_TO_HANDSET"


@pytest.mark.parametrize("generation", ["v2", "v3"])
@pytest.mark.parametrize("form", ["json", "xml"])
async def test_in_the_format_of_the_endpoint(tmp_path: Path, generation: str, form: str) -> None:
    """The example has the endpoint's content type and generation, and is read as what it is."""
    given = {"content_type": f"application/{form}", "generation": generation}
    async with (
        customer() as acme,
        serving(tmp_path, an_endpoint(acme.url, **given)) as (_, client),
    ):
        await post(client, "s/acme/test")
    (push,) = acme.pushes

    decode = xml_format.decode_body if form == "xml" else json_format.decode_body
    (report,) = decode(push.body)
    assert isinstance(report, Report)
    assert (report.callback_data, report.generation) == (MARK, generation)
    assert push.content_type == f"application/{form}"


def test_the_example_has_documented_fields_only() -> None:
    """An app that is strict must not fail for a field that the platform never sends."""
    now = START + timedelta(microseconds=560_381)
    written = json.loads(json_format.encode_item(example_report("m", now), "v2"))

    assert set(written) == {
        "bulkId", "messageId", "to", "from", "sentAt", "doneAt", "smsCount", "mccMnc",
        "callbackData", "price", "status", "error",
    }  # fmt: skip
    assert written["doneAt"] == "2026-03-02T12:00:00.560+0000"


@pytest.mark.parametrize(
    ("answer", "outcome", "status"), [(503, "failed", 503), (404, "refused", 404)]
)
async def test_what_fails_is_told(tmp_path: Path, answer: int, outcome: str, status: int) -> None:
    """A failure is the answer to a test push, not its failure; a paused endpoint is pushed to as
    well: it is paused because somebody mends it."""
    async with (
        customer(lambda _: answer) as acme,
        serving(tmp_path, an_endpoint(acme.url)) as (running, client),
    ):
        await running.endpoints.pause("acme", True)
        said = await post(client, "s/acme/test")

    assert (said["outcome"], said["status"]) == (outcome, status)


async def test_nobody_listens(tmp_path: Path) -> None:
    """What was sent, or would have been, is told without an answer too."""
    text = an_endpoint("http://127.0.0.1:9/dlr")
    async with serving(tmp_path, text) as (_, client):
        said = await post(client, "s/acme/test")

    assert (said["outcome"], said["status"]) == ("unreachable", None)
    assert said["error"] == "connection refused"
    assert MARK in said["body"]


async def test_settings_that_are_not_stored(tmp_path: Path) -> None:
    """They are read like those of an endpoint that is added, and their addresses are checked as
    such; an endpoint of that name may be there. Nothing is stored of them."""
    async with customer() as acme:
        new = {"name": "acme", "url": f"{acme.url}/new", "headers": {"X-Key": "s3cret"}}
        async with serving(tmp_path, an_endpoint(f"{acme.url}/old")) as (running, client):
            refused = await post(client, "-tests", body=new)
            before = await running.endpoints.listed()
        async with serving(tmp_path, an_endpoint(f"{acme.url}/old") + ALLOWED) as (running, client):
            said = await post(client, "-tests", body=new)
            assert await running.endpoints.listed() == before
            faults = await post(
                client, "-tests", 400, {"name": "x", "url": "ftp://x/", "window": 0}
            )
            file = {**new, "tls": {"caFile": "/etc/passwd"}}
            assert "tls.caFile" in (await post(client, "-tests", 400, file))["error"]["message"]

    assert (refused["outcome"], refused["status"]) == ("not_allowed", None)
    assert "is loopback" in refused["error"]
    assert (said["outcome"], said["headers"]["X-Key"]) == ("acknowledged", "…")
    assert [push.path for push in acme.pushes] == ["/new"]
    assert len(faults["error"]["details"]["faults"]) == 2


async def test_what_cannot_be_tried(tmp_path: Path) -> None:
    """There is no such endpoint, or it has no URL of its own."""
    async with serving(tmp_path, "", Parts(sandbox=True)) as (_, client):
        assert (await post(client, "s/nobody/test", 404))["error"]["code"] == "not_found"
        said = (await post(client, "s/notify-url/test", 409))["error"]

    assert said["code"] == "cannot_be_tried"
    assert said["message"] == '"notify-url" has no URL of its own: each report brings one'


async def test_a_process_that_makes_no_pushes(tmp_path: Path) -> None:
    """It says who does."""
    text, parts = an_endpoint("http://127.0.0.1:9/"), Parts(dispatches=False)
    async with serving(tmp_path, text, parts) as (_, client):
        said = (await post(client, "s/acme/test", 409))["error"]
        new = {"name": "added", "url": "http://127.0.0.1:9/"}
        assert (await post(client, "-tests", 409, new))["error"] == said

    assert said["code"] == "no_dispatcher"
    assert "dlr dispatch" in said["message"]


async def test_the_command(tmp_path: Path) -> None:
    """`dlr endpoints test` makes one without a server, and its exit code says what came of it."""
    answers = [200, 503]
    async with customer(lambda _: answers.pop(0)) as acme:
        text = an_endpoint(f"{acme.url}/in") + SECURITY
        async with serving(tmp_path, text):
            pass
        good = await dlr(tmp_path, "endpoints", "test", "acme")
        bad = await dlr(tmp_path, "endpoints", "test", "acme")
        unknown = await dlr(tmp_path, "endpoints", "test", "nobody")

    assert (good.code, good.err) == (0, "")
    assert good.out.startswith("acme: acknowledged, 200, ")
    assert f"POST {acme.url}/in" in good.out.splitlines()
    assert "X-Key: …" in good.out.splitlines()
    assert MARK in good.out
    assert (bad.code, unknown.code) == (1, 2)
    assert bad.out.startswith("acme: failed, 503, ")
    assert unknown.err == 'dlr: there is no endpoint "nobody". There are: acme.\n'


async def test_few_at_once(tmp_path: Path) -> None:
    """Whoever asks for many holds a bounded number of connections; each is made in the end."""
    acme = Customer()
    await acme.start()
    try:
        async with serving(tmp_path, an_endpoint(acme.url)) as (_, client):
            asked = [asyncio.create_task(post(client, "s/acme/test")) for _ in range(AT_ONCE + 3)]
            await acme.came.reach(AT_ONCE)
            assert len(acme.pushes) == AT_ONCE
            acme.may_answer.set()
            await asyncio.gather(*asked)
    finally:
        await acme.stop()
    assert len(acme.pushes) == AT_ONCE + 3


async def test_retry_asked_of_another_process(tmp_path: Path) -> None:
    """What is asked of a process that only receives wakes the one that dispatches: it pushes at
    once what would have waited for a minute."""
    answered: list[Push] = []
    second = asyncio.Event()

    def answer(push: Push) -> int:
        answered.append(push)
        if len(answered) == 2:
            second.set()
        return 503 if len(answered) == 1 else 200

    async with customer(answer) as acme:
        text = an_endpoint(acme.url)
        async with (
            serving(tmp_path, text, Parts(dispatches=False)) as (receiving, client),
            serving(tmp_path, text, Parts(receives=False)),
        ):
            item = {"results": [{"messageId": "m1", "status": {"groupId": 3}}]}
            async with client.post("/notify", json=item) as response:
                assert response.status == 200

            async def waits() -> bool:
                return bool(await receiving.storage.queue.dispatches(state="waiting"))

            await eventually(waits, "its first attempt has failed")
            assert (await post(client, "s/acme/retry"))["retried"] == 1
            await asyncio.wait_for(second.wait(), 10)

    assert [push.attempt for push in answered] == [1, 2]
