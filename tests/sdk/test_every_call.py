"""Each of the provider's clients, from its own package, through every call that it has for SMS.

What three of them can do is tried further in test_python_6.py, test_python_4.py and test_node.py.
None of the five has a call for the balance.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dispatcher.sandbox.pytest_plugin import DlrSandbox
from tests.end_to_end.processes import customer
from tests.sdk.driven import CLIENTS, Driven, Raised, driven, node_modules_with, pushed, python_with

NUMBER = "41793026727"

V6 = {"api_key": "key"}
V4 = {"api_key": {"APIKeyHeader": "key"}, "api_key_prefix": {"APIKeyHeader": "App"}}
NODE = {"authType": "ApiKey", "apiKey": "key"}

Folder = Callable[[str], Path]


def python(version: str, script: str, credentials: dict[str, Any]) -> Any:
    """A client of PyPI in an environment of its own."""

    def start(folder: Folder) -> AbstractContextManager[Driven]:
        name = f"sdk-python-{version[0]}"
        interpreter = python_with(f"infobip-api-python-client=={version}", folder(name))
        return driven(interpreter, "-m", f"tests.sdk.clients.{script}", credentials=credentials)

    return start


def newest(_: Folder) -> AbstractContextManager[Driven]:
    """The one that the tests have installed."""
    return driven(sys.executable, "-m", "tests.sdk.clients.python_6", credentials=V6)


def node(folder: Folder) -> AbstractContextManager[Driven]:
    modules = node_modules_with("@infobip-api/sdk@0.3.2", folder("sdk-node"))
    return driven("node", CLIENTS / "node.js", credentials=NODE, NODE_PATH=str(modules))


class Client(NamedTuple):
    """`speaks` is the generation that it sends by, or that it is Node's."""

    start: Callable[[Folder], AbstractContextManager[Driven]]
    speaks: str


ALL = {
    "python-6.0.0": Client(newest, "v3"),
    "python-5.1.1": Client(python("5.1.1", "python_6", V4), "v3"),
    "python-4.0.0": Client(python("4.0.0", "python_4", V4), "v2"),
    "python-3.0.3": Client(python("3.0.3", "python_3", V4), "v2"),
    "node-0.3.2": Client(node, "node"),
}


class Said:
    """The same calls in the words of each client."""

    def __init__(self, sdk: Driven, speaks: str) -> None:
        self.sdk = sdk
        self.speaks = speaks

    def send(self, bulk_id: str, *, send_at: str | None = None, **message: Any) -> Any:
        """A text, as its only message of a bulk."""
        if self.speaks == "v3":
            return self._send_v3(bulk_id, {"text": "hello"}, send_at, **message)
        at = {} if send_at is None else {"sendAt": send_at}
        return self.sdk.call("send", _v2(bulk_id, text="hello", **at, **message))

    def send_octets(self, bulk_id: str) -> Any:
        content = {"hex": "48 65", "dataCoding": 4, "esmClass": 0}
        if self.speaks == "v3":
            return self._send_v3(bulk_id, content, None)
        body = _v2(bulk_id, binary=content)
        if self.speaks == "node":
            return self.sdk.call("send", {**body, "type": "binary"})
        return self.sdk.call("send_binary", body)

    def _send_v3(self, bulk_id: str, content: Any, send_at: str | None, **webhooks: Any) -> Any:
        message = {"destinations": [{"to": NUMBER}], "sender": "InfoSMS", "content": content}
        schedule = {"bulkId": bulk_id, **({} if send_at is None else {"sendAt": send_at})}
        if webhooks:
            message["webhooks"] = {"delivery": {"url": webhooks["notifyUrl"]}}
        return self.sdk.call("send", {"messages": [message], "options": {"schedule": schedule}})

    def asked(self, call: str, bulk_id: str) -> list[dict[str, Any]]:
        """Reports or logs of a bulk."""
        if self.speaks == "node":
            answer = self.sdk.call(call, {"bulkId": bulk_id})
        else:
            answer = self.sdk.call(call, bulk_id=bulk_id if call == "reports" else [bulk_id])
        found: list[dict[str, Any]] = answer["results"]
        return found

    def preview(self, text: str) -> Any:
        asked = {"text": text} if self.speaks == "node" else text
        return self.sdk.call("preview", asked)["previews"]

    def bulk(self, call: str, bulk_id: str, *more: str) -> Any:
        if self.speaks != "node" and not more:
            return self.sdk.call(call, bulk_id=bulk_id)
        return self.sdk.call(call, bulk_id, *more)


def _v2(bulk_id: str, **message: Any) -> dict[str, Any]:
    sent = {"destinations": [{"to": NUMBER}], "from": "InfoSMS", **message}
    return {"bulkId": bulk_id, "messages": [sent]}


@pytest.fixture(scope="module", params=ALL)
def started(request: pytest.FixtureRequest) -> Iterator[tuple[Client, Driven]]:
    client = ALL[request.param]
    with client.start(request.config.cache.mkdir) as process:
        yield client, process


@pytest.fixture
def said(started: tuple[Client, Driven], dlr_sandbox: DlrSandbox) -> Said:
    client, process = started
    process.url = dlr_sandbox.base_url
    return Said(process, client.speaks)


async def test_every_call(
    started: tuple[Client, Driven], said: Said, dlr_sandbox: DlrSandbox
) -> None:
    """A client previews, sends text and octets, pulls each report and each received SMS once, reads
    the logs and what is pushed, and sees, moves, holds and cancels a bulk. Then no call is left
    that it has."""
    client, sdk = started
    dlr_sandbox.outcome(after="0s")
    (plain,) = said.preview("x" * 60)
    assert (plain["messageCount"], plain["charactersRemaining"]) == (1, 100)

    ids = {
        bulk: send(bulk)["messages"][0]["messageId"]
        for bulk, send in (("text", said.send), ("octets", said.send_octets))
    }
    dlr_sandbox.advance("0s")
    assert {each["bulkId"]: each["messageId"] for each in dlr_sandbox.messages} == ids
    for bulk, message_id in ids.items():
        (report,) = said.asked("reports", bulk)
        assert (report["messageId"], report["status"]["name"]) == (
            message_id,
            "DELIVERED_TO_HANDSET",
        )
        assert report["error"]["groupName"] == ("OK" if client.speaks == "v3" else "Ok")
        assert said.asked("reports", bulk) == []
        (log,) = said.asked("logs", bulk)
        assert log["messageId"] == message_id

    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    later = (tomorrow + timedelta(days=1)).isoformat(timespec="milliseconds")
    said.send("later", send_at=tomorrow.isoformat(timespec="milliseconds"))
    assert datetime.fromisoformat(said.bulk("bulk", "later")["sendAt"]) == tomorrow
    said.bulk("move", "later", later)
    assert datetime.fromisoformat(said.bulk("bulk", "later")["sendAt"]) > tomorrow
    said.bulk("set_status", "later", "PAUSED")
    assert said.bulk("status", "later")["status"] == "PAUSED"
    assert said.bulk("set_status", "later", "CANCELED")["status"] == "CANCELED"

    came = dlr_sandbox.receive(from_=NUMBER, to="447860019999", text="QUIZ Paris")
    (received,) = sdk.call("inbox")["results"]
    assert (received["messageId"], received["text"]) == (came["messageId"], "QUIZ Paris")
    assert sdk.call("inbox")["results"] == []

    async with customer() as app:
        sent = said.send("pushed", notifyUrl=f"{app.url}/dlr")
        (body,) = await pushed(app, 1)
    assert sent["messages"][0]["messageId"] in body
    if client.speaks != "node":  # which has no model of a webhook
        (told,) = sdk.call("webhook", body)["results"]
        assert told["messageId"] == sent["messages"][0]["messageId"]

    assert sdk.call("unused") == []


def test_every_error(started: tuple[Client, Driven], said: Said) -> None:
    """A bulk that there is not, and a request without credentials, are what a client knows as 404
    and 401, with the provider's words."""
    client, sdk = started
    with pytest.raises(Raised) as caught:
        said.bulk("bulk", "none")
    assert caught.value.status == 404
    assert caught.value.data["requestError"]["serviceException"]["text"] == "Bulk not found"

    known = sdk.credentials
    sdk.credentials = {**NODE, "apiKey": " "} if client.speaks == "node" else {}
    try:
        with pytest.raises(Raised) as caught:
            said.send("B")
    finally:
        sdk.credentials = known
    assert caught.value.status == 401
