"""The provider's client for Node sends by v2 and by the query, pulls, asks and manages by v1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatcher.sandbox.pytest_plugin import DlrSandbox
from tests.end_to_end.processes import customer
from tests.sandbox.playing import UNDELIVERABLE
from tests.sdk.driven import CLIENTS, Driven, Raised, driven, node_modules_with, pushed

NUMBER = "41793026727"
KEY = {"authType": "ApiKey", "apiKey": "key"}
BASIC = {"authType": "Basic", "username": "me", "password": "secret"}


@pytest.fixture(scope="module")
def process(request: pytest.FixtureRequest) -> Iterator[Driven]:
    modules = node_modules_with("@infobip-api/sdk@0.3.2", request.config.cache.mkdir("sdk-node"))
    with driven("node", CLIENTS / "node.js", credentials=KEY, NODE_PATH=str(modules)) as client:
        yield client


@pytest.fixture
def sdk(process: Driven, dlr_sandbox: DlrSandbox) -> Driven:
    process.url, process.credentials = dlr_sandbox.base_url, KEY
    return process


def a_message(*to: str, **fields: Any) -> dict[str, Any]:
    destinations = [{"to": number} for number in to or (NUMBER,)]
    return {"from": "InfoSMS", "text": "hello", "destinations": destinations, **fields}


def a_request(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": messages or [a_message()], **fields}


def test_sending_text(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """Text is taken, with the `type` that the client posts along."""
    reply = sdk.call("send", a_request(type="text", bulkId="B", includeSmsCountInResponse=True))

    (sent,) = dlr_sandbox.messages
    (told,) = reply["messages"]
    assert (reply["bulkId"], told["messageId"], told["to"]) == ("B", sent["messageId"], NUMBER)
    assert (told["status"]["name"], told["smsCount"]) == ("PENDING_ACCEPTED", 1)
    assert (sent["api"], sent["text"]) == ("v2", "hello")


def test_sending_octets(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """Binary content arrives as it was."""
    message = {"destinations": [{"to": NUMBER}], "binary": {"hex": "48 65", "dataCoding": 4}}
    reply = sdk.call("send", a_request(message, type="binary"))

    (sent,) = dlr_sandbox.messages
    assert reply["messages"][0]["messageId"] == sent["messageId"]
    assert (sent["hex"], sent["dataCoding"]) == ("48 65", 4)


def test_sending_by_query(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """A query with several numbers in one value, and credentials in it and in the header."""
    sdk.credentials = BASIC
    to = [NUMBER, "41793026731"]
    query = {"type": "query", "to": to, "from": "InfoSMS", "text": "fünf + 1 & mehr"}
    reply = sdk.call("send", query)

    sent = dlr_sandbox.messages
    assert [each["to"] for each in reply["messages"]] == to
    assert [each["to"] for each in sent] == to
    assert {(each["api"], each["text"]) for each in sent} == {("v1", "fünf + 1 & mehr")}


async def test_webhooks(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """What is pushed names the message that the client was told of; it has no model to read it."""
    dlr_sandbox.outcome(after="0s")
    async with customer() as app:
        message = a_message(notifyUrl=f"{app.url}/dlr", callbackData="order 4711")
        reply = sdk.call("send", a_request(message))
        (body,) = await pushed(app, 1)

    (report,) = json.loads(body)["results"]
    assert report["messageId"] == reply["messages"][0]["messageId"]
    assert report["callbackData"] == "order 4711"
    assert report["status"]["name"] == "DELIVERED_TO_HANDSET"


def test_pulling_and_logs(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """Reports are handed out once; the logs tell of the same messages as often as one asks."""
    reply = sdk.call("send", a_request(a_message(NUMBER, UNDELIVERABLE), bulkId="B"))
    ids = [each["messageId"] for each in reply["messages"]]
    dlr_sandbox.advance("1m")

    found = sdk.call("reports", {"bulkId": "B", "limit": 10})["results"]
    assert {each["messageId"]: each["status"]["groupName"] for each in found} == {
        ids[0]: "DELIVERED",
        ids[1]: "UNDELIVERABLE",
    }
    assert sdk.call("reports", {}) == {"results": []}
    for query in ({"to": NUMBER}, {"messageId": ids[0]}, {"generalStatus": "DELIVERED"}):
        (log,) = sdk.call("logs", query)["results"]
        assert (log["messageId"], log["text"]) == (ids[0], "hello")
    assert len(sdk.call("logs", {"messageId": ",".join(ids)})["results"]) == 2


def test_bulks(sdk: Driven) -> None:
    """A scheduled bulk is seen, moved, held and cancelled, by the paths that end with a slash."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    at = tomorrow.isoformat(timespec="milliseconds")
    later = (tomorrow + timedelta(days=1)).isoformat(timespec="milliseconds")
    sdk.call("send", a_request(a_message(sendAt=at), bulkId="B & C"))

    assert sdk.call("bulk", "B & C") == {"bulkId": "B & C", "sendAt": at.replace("+00:", "+00")}
    assert sdk.call("move", "B & C", later)["sendAt"] == later.replace("+00:", "+00")
    assert sdk.call("set_status", "B & C", "PAUSED")["status"] == "PAUSED"
    assert sdk.call("status", "B & C") == {"bulkId": "B & C", "status": "PAUSED"}
    assert sdk.call("set_status", "B & C", "CANCELED")["status"] == "CANCELED"


def test_preview(sdk: Driven) -> None:
    """A preview of 60 characters leaves room for 100."""
    (plain,) = sdk.call("preview", {"text": "x" * 60})["previews"]

    assert (plain["messageCount"], plain["charactersRemaining"]) == (1, 100)


@pytest.mark.parametrize(
    "credentials",
    [
        KEY,
        BASIC,
        {"authType": "IBSSO", "ibssoToken": "token"},
        {"authType": "OAuth", "oauthToken": "token"},
    ],
)
def test_credentials(sdk: Driven, credentials: dict[str, str]) -> None:
    """All ways of the client to say who it is are taken."""
    sdk.credentials = credentials

    assert sdk.call("send", a_request())["messages"]


def test_a_token(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """A token that the client asks for with its user name and password lets it send."""
    sdk.credentials = BASIC
    token = sdk.call("token")["access_token"]
    sdk.credentials = {"authType": "OAuth", "oauthToken": token}
    sdk.call("send", a_request())

    assert len(dlr_sandbox.messages) == 1


def test_errors(sdk: Driven) -> None:
    """A field that is wrong, and a bulk that there is not, are told in the provider's shape."""
    with pytest.raises(Raised) as caught:
        sdk.call("send", a_request(a_message(validityPeriod="long")))
    details = caught.value.data["requestError"]["serviceException"]
    assert (caught.value.status, details["messageId"]) == (400, "BAD_REQUEST")
    assert list(details["validationErrors"]) == ["messages[0].validityPeriod"]

    with pytest.raises(Raised) as caught:
        sdk.call("set_status", "none", "PAUSED")
    assert caught.value.status == 404
    assert caught.value.data["requestError"]["serviceException"]["text"] == "Bulk not found"
