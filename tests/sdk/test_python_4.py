"""The provider's Python client 4.0.0 sends by v2, pulls by v1, and reads what is pushed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import xmltodict

from dispatcher.sandbox.pytest_plugin import DlrSandbox
from tests.end_to_end.processes import customer
from tests.sandbox.playing import OVERTAKES, REJECTED, TWICE, UNDELIVERABLE
from tests.sdk.driven import Driven, Raised, driven, pushed, python_with

NUMBER = "41793026727"
KEY = {"api_key": {"APIKeyHeader": "key"}, "api_key_prefix": {"APIKeyHeader": "App"}}


@pytest.fixture(scope="module")
def process(request: pytest.FixtureRequest) -> Iterator[Driven]:
    folder = request.config.cache.mkdir("sdk-python-4")
    python = python_with("infobip-api-python-client==4.0.0", folder)
    with driven(python, "-m", "tests.sdk.clients.python_4", credentials=KEY) as client:
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


def a_day_ahead() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


def names(results: list[dict[str, Any]]) -> list[str]:
    return [each["status"]["name"] for each in results]


def test_sending_text(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """Text with all fields of a message is taken, and the reply is read by the client."""
    message = a_message(
        text="Ελλάδα " * 30,
        transliteration="GREEK",
        language={"languageCode": "ES"},
        flash=True,
        validityPeriod=720,
        entityId="e",
        applicationId="a",
        callbackData="order 4711",
        deliveryTimeWindow={
            "days": ["MONDAY", "SUNDAY"],
            "from": {"hour": 6, "minute": 0},
            "to": {"hour": 15, "minute": 30},
        },
        regional={"turkeyIys": {"recipientType": "TACIR", "brandCode": 5}},
    )
    request = a_request(
        message,
        bulkId="BULK-1",
        includeSmsCountInResponse=True,
        tracking={"track": "SMS", "type": "MY_CAMPAIGN"},
        urlOptions={"shortenUrl": True, "trackClicks": False},
        sendingSpeedLimit={"amount": 10, "timeUnit": "HOUR"},
    )
    reply = sdk.call("send", request)

    (sent,) = dlr_sandbox.messages
    (told,) = reply["messages"]
    assert (reply["bulkId"], told["messageId"]) == ("BULK-1", sent["messageId"])
    assert (told["to"], told["smsCount"]) == (NUMBER, 2)
    assert (told["status"]["groupName"], told["status"]["id"]) == ("PENDING", 26)
    assert (sent["api"], sent["sent"], sent["flash"]) == ("v2", "EΛΛAΔA " * 30, True)
    assert (sent["entityId"], sent["applicationId"]) == ("e", "a")
    assert sent["callbackData"] == "order 4711"


def test_sending_octets(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """Binary content arrives as it was; its reply has no count."""
    binary = {"hex": "0048 0065", "dataCoding": 8, "esmClass": 0}
    message = {"from": "InfoSMS", "destinations": [{"to": NUMBER}], "binary": binary}
    reply = sdk.call("send_binary", a_request(message))

    (sent,) = dlr_sandbox.messages
    (told,) = reply["messages"]
    assert (told["messageId"], told["to"]) == (sent["messageId"], NUMBER)
    assert "smsCount" not in told
    assert (sent["hex"], sent["dataCoding"]) == ("00 48 00 65", 8)


async def test_webhooks(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """What is pushed is read by the client's own model of the webhook, intermediate reports too."""
    dlr_sandbox.outcome(after="0s")
    async with customer() as app:
        webhook = {"notifyUrl": f"{app.url}/dlr", "notifyContentType": "application/json"}
        message = a_message(**webhook, intermediateReport=True, callbackData="order 4711")
        reply = sdk.call("send", a_request(message))
        bodies = await pushed(app, 3)

    found = [each for body in bodies for each in sdk.call("webhook", body)["results"]]
    last = found[-1]
    assert names(found) == ["PENDING_ACCEPTED", "PENDING_ENROUTE", "DELIVERED_TO_HANDSET"]
    assert {each["messageId"] for each in found} == {reply["messages"][0]["messageId"]}
    assert (last["bulkId"], last["to"], last["from"]) == (reply["bulkId"], NUMBER, "InfoSMS")
    assert (last["smsCount"], last["mccMnc"], last["callbackData"]) == (1, "22801", "order 4711")
    assert last["price"] == {"pricePerMessage": 0.01, "currency": "EUR"}
    assert last["sentAt"] <= last["doneAt"]


async def test_webhooks_in_xml(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """With notifyContentType application/xml the same report is pushed in XML, text and octets."""
    dlr_sandbox.outcome(after="0s")
    async with customer() as app:
        webhook = {"notifyUrl": f"{app.url}/dlr", "notifyContentType": "application/xml"}
        text = a_message(**webhook, callbackData=" <4711> ")
        octets = {**a_message(**webhook), "binary": {"hex": "48 65"}}
        sdk.call("send", a_request(text))
        sdk.call("send_binary", a_request(octets))
        bodies = await pushed(app, 2)

    logs = {each["messageId"]: each for each in sdk.call("logs")["results"]}
    read = [xmltodict.parse(body, strip_whitespace=False) for body in bodies]
    found = [
        each
        for body in read
        for results in [body["reportResponse"]["results"]["result"]]
        for each in (results if isinstance(results, list) else [results])
    ]
    assert {push.content_type for push in app.pushes} == {"application/xml"}
    assert {each["messageId"] for each in found} == logs.keys()
    for each in found:
        log = logs[each["messageId"]]
        assert (each["to"], each["from"], each["bulkId"]) == (NUMBER, "InfoSMS", log["bulkId"])
        assert each["status"]["name"] == log["status"]["name"] == "DELIVERED_TO_HANDSET"
        assert (each["error"]["permanent"], each["price"]["pricePerMessage"]) == ("false", "0.01")
        body = json.dumps({"results": [{"doneAt": each["doneAt"]}]})  # for the client to read
        assert sdk.call("webhook", body)["results"][0]["doneAt"] == log["doneAt"]
    assert [each["callbackData"] for each in found if "callbackData" in each] == [" <4711> "]


def test_pulling(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """Each report that is pushed nowhere is handed out once, by the filters and the limit."""
    first = sdk.call("send", a_request(a_message(NUMBER, UNDELIVERABLE)))
    second = sdk.call("send", a_request(a_message(REJECTED), bulkId="BULK-2"))
    dlr_sandbox.advance("1m")

    ids = [each["messageId"] for each in first["messages"]]
    (one,) = sdk.call("reports", message_id=ids[1])["results"]
    (other,) = sdk.call("reports", bulk_id="BULK-2")["results"]
    (last,) = sdk.call("reports", limit=1)["results"]
    assert (one["status"]["groupName"], one["error"]["name"]) == (
        "UNDELIVERABLE",
        "EC_UNKNOWN_SUBSCRIBER",
    )
    assert other["messageId"] == second["messages"][0]["messageId"]
    assert (other["status"]["groupName"], other["price"]["pricePerMessage"]) == ("REJECTED", 0)
    assert last["messageId"] == ids[0]
    assert sdk.call("reports") == {"results": []}


def test_reports_out_of_order(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """Twice the same final report, and one that overtakes its intermediate one, are read."""
    sdk.call("send", a_request(a_message(TWICE, OVERTAKES, intermediateReport=True)))
    dlr_sandbox.advance("1m")

    found = sdk.call("reports")["results"]
    told = {to: names([each for each in found if each["to"] == to]) for to in (TWICE, OVERTAKES)}
    assert told[TWICE][-2:] == ["DELIVERED_TO_HANDSET"] * 2
    assert told[OVERTAKES][-2:] == ["DELIVERED_TO_HANDSET", "PENDING_ENROUTE"]


def test_logs(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """The logs can be asked for by each filter of the client."""
    began = datetime.now(UTC)
    full = a_message(entityId="e", applicationId="a", callbackData="order 4711")
    other = a_message("41793026731", **{"from": "Other"})
    reply = sdk.call("send", a_request(full, other, bulkId="B"))
    ids = [each["messageId"] for each in reply["messages"]]
    sdk.call("send", a_request(a_message(UNDELIVERABLE)))
    dlr_sandbox.advance("1m")

    def found(**filters: Any) -> list[str]:
        return [each["to"] for each in sdk.call("logs", **filters)["results"]]

    _, text = sdk.call("logs", bulk_id=["B"])["results"]
    assert (text["messageId"], text["from"], text["text"]) == (ids[0], "InfoSMS", "hello")
    assert (text["smsCount"], text["mccMnc"]) == (1, "22801")
    both = ["41793026731", NUMBER]
    everybody = [UNDELIVERABLE, *both]
    assert found() == everybody
    assert found(to=NUMBER) == found(entity_id="e", application_id="a") == [NUMBER]
    assert found(var_from="Other") == found(message_id=[ids[1]]) == ["41793026731"]
    assert found(message_id=ids) == found(message_id=[",".join(ids)]) == both
    assert found(general_status="UNDELIVERABLE") == found(limit=1) == [UNDELIVERABLE]
    assert found(mcc="228", mnc="01") == found(mcc="228") == everybody
    assert found(mcc="262") == []
    since, later = began - timedelta(hours=1), began + timedelta(hours=1)
    assert found(sent_since=str(since), sent_until=str(later)) == everybody
    assert found(sent_since=str(later)) == found(sent_until=str(since)) == []


def test_bulks(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """A scheduled bulk is seen, moved, held, let go on, and cancelled."""
    tomorrow = a_day_ahead()
    for bulk_id in ("B1", "B2"):
        message = a_message(sendAt=tomorrow.isoformat())
        reply = sdk.call("send", a_request(message, bulkId=bulk_id))
        assert reply["messages"][0]["status"]["id"] == 26

    assert datetime.fromisoformat(sdk.call("bulk", bulk_id="B1")["sendAt"]) == tomorrow
    later = tomorrow + timedelta(days=1)
    moved = sdk.call("move", "B1", later.isoformat())
    assert datetime.fromisoformat(moved["sendAt"]) == later
    for status in ("PAUSED", "PENDING"):
        assert sdk.call("set_status", "B1", status) == {"bulkId": "B1", "status": status}
    assert sdk.call("set_status", "B2", "CANCELED")["status"] == "CANCELED"
    dlr_sandbox.advance("3d")
    assert sdk.call("status", bulk_id="B1")["status"] == "FINISHED"
    assert sdk.call("status", bulk_id="B2")["status"] == "CANCELED"
    with pytest.raises(Raised) as caught:
        sdk.call("set_status", "B1", "PAUSED")
    assert _details(caught.value)["validationErrors"]["status"]


def test_preview(sdk: Driven) -> None:
    """A preview shows the text as it is, and as it would be in the language."""
    shown = sdk.call("preview", "Artık ulusal dil şifreleriyle", language_code="TR")

    plain, changed = shown["previews"]
    assert (plain["messageCount"], plain["charactersRemaining"]) == (1, 70 - 29)
    assert (changed["messageCount"], changed["charactersRemaining"]) == (1, 155 - 29)
    assert changed["configuration"]["language"]["languageCode"] == "TR"


def _details(raised: Raised) -> dict[str, Any]:
    found: dict[str, Any] = raised.data["requestError"]["serviceException"]
    return found


@pytest.mark.parametrize(
    ("call", "error", "messageId", "fields"),
    [
        (
            ("send", a_request(a_message(transliteration="KLINGON", notifyContentType="csv"))),
            "BadRequestException",
            "BAD_REQUEST",
            ["messages[0].notifyContentType", "messages[0].transliteration"],
        ),
        (("logs",), "UnauthorizedException", "UNAUTHORIZED", []),
        (("reports",), "UnauthorizedException", "UNAUTHORIZED", []),
        (("send", a_request()), "UnauthorizedException", "UNAUTHORIZED", []),
        (("bulk", "none"), "NotFoundException", "NOT_FOUND", []),
        (("set_status", "none", "PAUSED"), "NotFoundException", "NOT_FOUND", []),
    ],
)
def test_errors(
    sdk: Driven, call: tuple[Any, ...], error: str, messageId: str, fields: list[str]
) -> None:
    """What is refused is raised with the client's model of the error, which names each field."""
    if error.startswith("Unauthorized"):
        sdk.credentials = {}
    with pytest.raises(Raised) as caught:
        sdk.call(*call)

    details = _details(caught.value)
    assert (caught.value.name, details["messageId"]) == (error, messageId)
    assert sorted(details.get("validationErrors") or {}) == fields
