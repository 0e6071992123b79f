"""Every error on the provider's paths has the provider's shape."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import to_builtins

from dispatcher.sandbox.errors import document, generation
from dispatcher.sandbox.messages.send import Api
from receiver.faults import Misfit
from receiver.store.base import StoreUnavailable
from tests.sandbox.sending import AUTHORIZATION, Sending, a_text, a_v3, sending

V2 = "/sms/2/text/advanced"
V3 = "/sms/3/messages"


@pytest.fixture
async def provider() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


def v2(code: str, text: str, **errors: list[str]) -> dict[str, Any]:
    more = {"validationErrors": errors} if errors else {}
    return {"requestError": {"serviceException": {"messageId": code, "text": text, **more}}}


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/sms/1/text/single", "v1"),
        ("/sms/2/text/advanced", "v2"),
        ("/sms/3/messages", "v3"),
        ("/ct/1/log/end/3", "v1"),
        ("/sms/", "v1"),
        ("/sms/x", "v1"),
    ],
)
def test_generations(path: str, api: str) -> None:
    """The path tells which shape an error has; a path of no generation has that of v1."""
    assert generation(path) == api


def fields(api: Api, status: int, text: str | None = None, **more: Any) -> Any:
    """An error as it stands in JSON."""
    return to_builtins(document(api, "json", status, text, **more)[1])


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 503, 417, 599]
)
def test_every_status_in_both_shapes(status: int) -> None:
    """Each status has a code and words, and v3 always its five fields."""
    v1 = fields("v1", status)
    v3 = fields("v3", status)

    exception = v1["requestError"]["serviceException"]
    assert exception["messageId"].isupper()
    assert exception["text"]
    assert document("v3", "json", status)[0] == "ApiError"
    assert list(v3) == ["errorCode", "description", "action", "violations", "resources"]
    assert v3["errorCode"] == f"E{status}"
    assert v3["description"]
    assert v3["action"]


def test_the_documented_words() -> None:
    """The words of the provider's documents, letter by letter."""
    assert fields("v2", 404, "Bulk not found") == v2("NOT_FOUND", "Bulk not found")
    assert fields("v1", 429) == v2("TOO_MANY_REQUESTS", "Too many requests")
    assert fields("v3", 400, misfits=[Misfit("property.path", "Violation message.")]) == {
        "errorCode": "E400",
        "description": "Request cannot be processed.",
        "action": "Check the syntax, violations and adjust the request.",
        "violations": [{"property": "property.path", "violation": "Violation message."}],
        "resources": [],
    }
    assert fields("v3", 429)["resources"][0]["name"] == ("Throttling handling errors")


async def test_unknown_paths_and_methods(provider: Sending) -> None:
    """404 and 405, the latter with what is allowed."""
    status, answer = await provider.get("/sms/1/nothing")
    said = answer["requestError"]["serviceException"]
    assert (status, said["messageId"]) == (404, "NOT_FOUND")
    assert said["text"].startswith("Not found: the sandbox does not provide GET /sms/1/nothing.")
    assert (await provider.get("/sms/3/nothing"))[1]["errorCode"] == "E404"
    async with provider.client.get(V2, headers=AUTHORIZATION) as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "POST"
        assert await answer.json() == v2("METHOD_NOT_ALLOWED", "Method not allowed")


async def test_a_content_type_that_is_neither(provider: Sending) -> None:
    """415 says what is taken."""
    status, answer = await provider.post(V3, b"a,b", Content_Type="text/csv")

    assert status == 415
    assert answer["violations"] == [
        {
            "property": "Content-Type",
            "violation": "must be application/json or application/xml",
        }
    ]
    assert (await provider.post(V2, b"{}", Content_Encoding="br"))[0] == 415
    assert (await provider.post(V2, b"{}", Content_Type="application/json; charset=x-no"))[0] == 415


async def test_a_body_that_is_too_large() -> None:
    """413 before the whole body is read, and where it grows too large when it is inflated."""
    async with sending(limit=10_000) as provider:
        plain = await provider.post(V2, b" " * 10_001)
        bomb = await provider.post(V3, gzip.compress(b" " * 10**8), Content_Encoding="gzip")
        assert (plain[0], bomb[0]) == (413, 413)
        assert plain[1]["requestError"]["serviceException"]["messageId"] == "PAYLOAD_TOO_LARGE"
        assert bomb[1]["errorCode"] == "E413"
        assert (await provider.post(V3, {"messages": [a_v3()]}))[0] == 200


async def test_compressed_bodies(provider: Sending) -> None:
    """gzip and deflate are taken, and what is not compressed as it says is a 400."""
    body = b'{"to":"41793026727","text":"Hi"}'
    path = "/sms/1/text/single"
    assert (await provider.post(path, gzip.compress(body), Content_Encoding="gzip"))[0] == 200
    assert (await provider.post(path, zlib.compress(body), Content_Encoding="deflate"))[0] == 200
    assert (await provider.post(path, body, Content_Encoding="gzip"))[0] == 400


async def test_a_large_body_is_read_like_a_small_one(provider: Sending) -> None:
    """A body that is read on a thread has the same answers and the same faults."""
    many = [{"to": f"4179{n:07}"} for n in range(2_000)]
    status, answer = await provider.post(V2, {"messages": [a_text(destinations=many)]})
    bad, told = await provider.post(V3, {"messages": [a_v3(destinations=[*many, 5])]})

    assert (status, len(answer["messages"])) == (200, 2_000)
    assert bad == 400
    assert told["violations"] == [
        {"property": "messages[0].destinations[2000]", "violation": "must be an object, got 5"}
    ]


async def test_the_store_cannot_be_written(provider: Sending) -> None:
    """503 with Retry-After: nothing was accepted."""
    provider.sandbox.error = StoreUnavailable("disk full")
    headers = {**AUTHORIZATION}
    async with provider.client.post(V3, json={"messages": [a_v3()]}, headers=headers) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "10"
        assert (await answer.json())["errorCode"] == "E503"


async def test_a_defect_of_ours(provider: Sending, caplog: pytest.LogCaptureFixture) -> None:
    """500 in the provider's words; the log has the traceback, the answer has not."""
    provider.sandbox.error = RuntimeError("secret")
    with caplog.at_level(logging.ERROR):
        status, answer = await provider.post(V2, {"messages": [a_text()]})

    assert (status, answer) == (
        500,
        v2("GENERAL_ERROR", "Something went wrong. Please contact support."),
    )
    assert "RuntimeError" in caplog.text
