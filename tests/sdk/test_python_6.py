"""The provider's Python client 6.0.0 (v3) sends, asks, manages, and reads what is pushed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatcher.sandbox.pytest_plugin import DlrSandbox
from receiver.dlr.sms_errors import errors
from receiver.dlr.statuses import SMS_STATUSES
from tests.end_to_end.processes import customer
from tests.sandbox.playing import DELIVERED, SLOW, UNDELIVERABLE
from tests.sdk.driven import Driven, Raised, driven, pushed

NUMBER = "41793026727"
KEY = {"api_key": "key"}


@pytest.fixture(scope="module")
def process() -> Iterator[Driven]:
    script = "tests.sdk.clients.python_6"
    with driven(sys.executable, "-m", script, credentials=KEY) as client:
        yield client


@pytest.fixture
def sdk(process: Driven, dlr_sandbox: DlrSandbox) -> Driven:
    process.url, process.credentials = dlr_sandbox.base_url, KEY
    return process


def a_message(*to: str, **fields: Any) -> dict[str, Any]:
    destinations = [{"to": number} for number in to or (NUMBER,)]
    said = {"sender": "InfoSMS", "content": {"text": "hello"}, "destinations": destinations}
    return {**said, **fields}


def a_request(*messages: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"messages": messages or [a_message()], **({"options": options} if options else {})}


def names(results: list[dict[str, Any]]) -> list[str]:
    return [each["status"]["name"] for each in results]


def a_day_ahead() -> datetime:
    return datetime.now(UTC).replace(microsecond=678_000) + timedelta(days=1)


def test_sending_text(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """Text with all options of a message is taken, and the reply is read by the client."""
    message = a_message(
        content={
            "text": "Ελλάδα " * 30,
            "transliteration": "GREEK",
            "language": {"languageCode": "ES", "singleShift": True, "lockingShift": False},
        },
        options={
            "platform": {"entityId": "e", "applicationId": "a"},
            "validityPeriod": {"amount": 720, "timeUnit": "HOURS"},
            "deliveryTimeWindow": {
                "days": ["MONDAY", "SUNDAY"],
                "from": {"hour": 6, "minute": 0},
                "to": {"hour": 15, "minute": 30},
            },
            "campaignReferenceId": "summer",
            "regional": {"indiaDlt": {"principalEntityId": "p", "contentTemplateId": "t"}},
            "flash": True,
        },
    )
    reply = sdk.call("send", a_request(message, includeSmsCountInResponse=True))

    (sent,) = dlr_sandbox.messages
    assert reply["bulkId"] == sent["bulkId"]
    assert reply["messages"] == [
        {
            "messageId": sent["messageId"],
            "status": {
                "groupId": 1,
                "groupName": "PENDING",
                "id": 26,
                "name": "PENDING_ACCEPTED",
                "description": "Message sent to next instance",
            },
            "destination": NUMBER,
            "details": {"messageCount": 2},
        }
    ]
    assert (sent["to"], sent["from"], sent["sent"]) == (NUMBER, "InfoSMS", "EΛΛAΔA " * 30)
    assert (sent["api"], sent["flash"], sent["campaignReferenceId"]) == ("v3", True, "summer")
    assert (sent["entityId"], sent["applicationId"]) == ("e", "a")


def test_sending_octets(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """Binary content arrives as it was."""
    content = {"hex": "48 65 6c 6c 6f", "dataCoding": 8, "esmClass": 0}
    reply = sdk.call("send", a_request(a_message(content=content)))

    (sent,) = dlr_sandbox.messages
    assert names(reply["messages"]) == ["PENDING_ACCEPTED"]
    assert (sent["hex"], sent["dataCoding"]) == ("48 65 6c 6c 6f", 8)


async def test_webhooks(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """What is pushed is read by the client's own model of the webhook, intermediate reports too."""
    dlr_sandbox.outcome(after="0s")
    async with customer() as app:
        delivery = {"url": f"{app.url}/dlr", "intermediateReport": True}
        webhooks = {"contentType": "application/json", "callbackData": "order 4711"}
        message = a_message(webhooks={**webhooks, "delivery": delivery})
        reply = sdk.call("send", a_request(message))
        bodies = await pushed(app, 3)

    found = [each for body in bodies for each in sdk.call("webhook", body)["results"]]

    last = found[-1]
    assert names(found) == ["PENDING_ACCEPTED", "PENDING_ENROUTE", "DELIVERED_TO_HANDSET"]
    assert {each["messageId"] for each in found} == {reply["messages"][0]["messageId"]}
    assert (last["bulkId"], last["to"], last["sender"]) == (reply["bulkId"], NUMBER, "InfoSMS")
    assert (last["messageCount"], last["mccMnc"]) == (1, "22801")
    assert last["callbackData"] == "order 4711"
    assert last["price"] == {"pricePerMessage": 0.01, "currency": "EUR"}
    assert (last["error"]["groupName"], last["error"]["permanent"]) == ("OK", False)
    assert last["sentAt"] <= last["doneAt"]


def test_all_that_a_report_can_say(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """The strict model reads a report of each status and of each error that the sandbox knows, also
    by pulling."""
    statuses = sorted(set(SMS_STATUSES.values()) - {"MESSAGE_ACCEPTED"})
    known = sorted(errors())
    numbers = [str(41790000000 + n) for n in range(len(statuses) + len(known))]
    for number, status in zip(numbers, statuses, strict=False):
        dlr_sandbox.outcome(status, to=number)
    for number, error in zip(numbers[len(statuses) :], known, strict=True):
        dlr_sandbox.outcome("UNDELIVERABLE_NOT_DELIVERED", error=error, to=number)
    sdk.call("send", a_request(a_message(*numbers)))
    dlr_sandbox.advance("1m")

    found = sdk.call("reports", limit=1000)["results"]
    assert sorted(names(found[: len(statuses)])) == statuses
    assert sorted(each["error"]["name"] for each in found[len(statuses) :]) == known


def test_pulling(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """Each report that is pushed nowhere is handed out once, by the filters and the limit."""
    dlr_sandbox.outcome(after="0s")
    first = sdk.call("send", a_request(a_message(NUMBER, "41793026731")))
    second = sdk.call("send", a_request(a_message(), schedule={"bulkId": "BULK-2"}))
    dlr_sandbox.advance("1s")

    ids = [each["messageId"] for each in first["messages"]]
    (one,) = sdk.call("reports", message_id=ids[1])["results"]
    (other,) = sdk.call("reports", bulk_id="BULK-2")["results"]
    (last,) = sdk.call("reports", limit=1)["results"]
    assert [one["messageId"], last["messageId"]] == ids[::-1]
    assert other["messageId"] == second["messages"][0]["messageId"]
    assert sdk.call("reports") == {"results": []}


async def test_received_sms(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """SMS that come in are pulled, each once, and what is pushed is read by the client's model."""
    ours = "447860019999"
    came = [
        dlr_sandbox.receive(from_="41790000001", to=ours, text="QUIZ Paris"),
        dlr_sandbox.receive(from_="41790000002", to=ours, text="hi" * 100),
    ]
    async with customer() as app:
        forwarded = {"url": f"{app.url}/in", "keyword": "QUIZ", "callback_data": "4711"}
        told = dlr_sandbox.receive(from_="41790000003", to=ours, text="quiz Rome", **forwarded)
        (body,) = await pushed(app, 1)

    first = sdk.call("inbox", limit=1)
    second = sdk.call("inbox")
    (one,), (other,) = first["results"], second["results"]
    assert [one["messageId"], other["messageId"]] == [each["messageId"] for each in came]
    assert (one["from"], one["to"], one["text"]) == ("41790000001", ours, "QUIZ Paris")
    assert (one["smsCount"], other["smsCount"]) == (1, 2)
    assert one["price"] == {"pricePerMessage": 0, "currency": "EUR"}
    assert (first["messageCount"], first["pendingMessageCount"]) == (1, 1)
    assert second["pendingMessageCount"] == 0
    assert sdk.call("inbox")["results"] == []
    (result,) = sdk.call("received", body)["results"]
    assert (result["keyword"], result["cleanText"]) == ("quiz", "Rome")
    assert (result["messageId"], result["callbackData"]) == (told["messageId"], "4711")


def test_logs(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """The logs can be asked for by each filter of the client, and leafed through."""
    began = datetime.now(UTC)
    platform = {"platform": {"entityId": "e", "applicationId": "a"}, "campaignReferenceId": "c"}
    octets = a_message("41793026731", sender="Other", content={"hex": "0048 0065"})
    full = a_message(options=platform)
    reply = sdk.call("send", a_request(full, octets, schedule={"bulkId": "B"}))
    ids = [each["messageId"] for each in reply["messages"]]
    sdk.call("send", a_request(a_message(UNDELIVERABLE)))
    dlr_sandbox.advance("1m")
    newest, *_ = sdk.call("logs")["results"]

    def found(**filters: Any) -> list[str]:
        return [each["destination"] for each in sdk.call("logs", **filters)["results"]]

    binary, text = sdk.call("logs", bulk_id=["B"])["results"]
    assert text["content"] == {"text": "hello"}
    assert binary["content"] == {"hex": "00 48 00 65", "dataCoding": 0, "esmClass": 0}
    assert (text["messageId"], text["sender"]) == (ids[0], "InfoSMS")
    assert text["platform"] == {"entityId": "e", "applicationId": "a"}
    assert newest["status"]["name"] == "UNDELIVERABLE_NOT_DELIVERED"
    both = ["41793026731", NUMBER]
    everybody = [UNDELIVERABLE, *both]
    assert found() == everybody
    assert found(destination=NUMBER) == found(entity_id="e", application_id="a") == [NUMBER]
    assert found(sender="Other") == found(message_id=[ids[1]]) == ["41793026731"]
    assert found(message_id=ids) == found(message_id=[",".join(ids)]) == both
    assert found(general_status="UNDELIVERABLE") == found(limit=1) == [UNDELIVERABLE]
    assert found(campaign_reference_id=["c", "d"]) == [NUMBER]
    assert found(mcc="228", mnc="01") == found(mcc="228") == everybody
    assert found(mcc="262") == []
    since, later = began - timedelta(hours=1), began + timedelta(hours=1)
    assert found(sent_since=str(since), sent_until=str(later)) == everybody
    assert found(sent_since=str(later)) == found(sent_until=str(since)) == []
    page = sdk.call("logs", limit=2, use_cursor=True)
    rest = sdk.call("logs", limit=2, use_cursor=True, cursor=page["cursor"]["nextCursor"])
    assert [each["destination"] for each in page["results"] + rest["results"]] == everybody
    assert rest["cursor"] == {"limit": 2}


def test_bulks(sdk: Driven, dlr_sandbox: DlrSandbox) -> None:
    """A scheduled bulk is seen, moved, held, let go on, and cancelled."""
    tomorrow = a_day_ahead()
    for bulk_id in ("B1", "B2"):
        schedule = {"bulkId": bulk_id, "sendAt": tomorrow.isoformat()}
        sdk.call("send", a_request(a_message(), schedule=schedule))

    def seen(instant: str) -> datetime:
        return datetime.fromisoformat(instant)

    assert seen(sdk.call("bulk", bulk_id="B1")["sendAt"]) == tomorrow
    later = tomorrow.replace(microsecond=0) + timedelta(days=1)
    moved = sdk.call("move", "B1", later.isoformat())
    assert (moved["bulkId"], seen(moved["sendAt"])) == ("B1", later)
    assert sdk.call("status", bulk_id="B1") == {"bulkId": "B1", "status": "PENDING"}
    for status in ("PAUSED", "PENDING"):
        assert sdk.call("set_status", "B1", status) == {"bulkId": "B1", "status": status}
    assert sdk.call("set_status", "B2", "CANCELED") == {"bulkId": "B2", "status": "CANCELED"}
    dlr_sandbox.advance("3d")
    assert sdk.call("status", bulk_id="B1")["status"] == "FINISHED"
    (report,) = sdk.call("reports", bulk_id="B1")["results"]
    assert seen(report["sentAt"]) == later


@pytest.mark.parametrize(
    "call", [("bulk",), ("move", a_day_ahead().isoformat()), ("status",), ("set_status", "PAUSED")]
)
def test_an_unknown_bulk(sdk: Driven, call: tuple[str, ...]) -> None:
    """A bulk that there is not is what the client knows as not found."""
    name, *values = call
    with pytest.raises(Raised) as caught:
        sdk.call(name, "none", *values)

    assert (caught.value.name, caught.value.status) == ("NotFoundException", 404)


def test_preview(sdk: Driven) -> None:
    """A preview shows the text as it is, and as it would be with the transliteration."""
    shown = sdk.call("preview", "Ελλάδα" * 20, transliteration="GREEK")

    plain, changed = shown["previews"]
    assert shown["originalText"] == plain["textPreview"] == "Ελλάδα" * 20
    assert (plain["messageCount"], plain["charactersRemaining"]) == (2, 14)
    assert (changed["messageCount"], changed["charactersRemaining"]) == (1, 40)
    assert changed["textPreview"] == "EΛΛAΔA" * 20
    assert changed["configuration"]["transliteration"] == "GREEK"


def test_violations(sdk: Driven) -> None:
    """What is refused is raised with the client's model of the error, which names each field."""
    message = a_message(sender="x" * 12, content={"hex": "0"}, webhooks={"contentType": "text/csv"})
    with pytest.raises(Raised) as caught:
        sdk.call("send", a_request(message))

    error = caught.value.data
    assert (caught.value.name, error["errorCode"]) == ("BadRequestException", "E400")
    assert error["description"] == "Request cannot be processed."
    assert [each["property"] for each in error["violations"]] == [
        "messages[0].sender",
        "messages[0].content.hex",
        "messages[0].webhooks.contentType",
    ]
    assert all(each["violation"] for each in error["violations"])


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        (("send", a_request()), "errorCode"),
        (("reports",), "errorCode"),
        (("logs",), "errorCode"),
        (("bulk", "B"), "requestError"),
        (("status", "B"), "requestError"),
        (("preview", "hello"), "requestError"),
    ],
)
def test_no_credentials(sdk: Driven, call: tuple[Any, ...], shape: str) -> None:
    """Without a key each route, of v1 and of v3, is what the client knows as unauthorized."""
    sdk.credentials = {}
    with pytest.raises(Raised) as caught:
        sdk.call(*call)

    assert (caught.value.name, caught.value.status) == ("UnauthorizedException", 401)
    assert shape in caught.value.data


def test_what_is_not_played(sdk: Driven) -> None:
    """A call of another product is raised as not found, and the client shows why."""
    with pytest.raises(Raised) as caught:
        sdk.call("applications")

    assert (caught.value.name, caught.value.status) == ("NotFoundException", 404)
    assert "the sandbox does not provide GET /2fa/2/applications" in str(caught.value.data)


@pytest.mark.parametrize(
    ("status", "code"), [(401, "E401"), (429, None), (500, "E500"), (503, None)]
)
def test_trouble_on_order(
    sdk: Driven, dlr_sandbox: DlrSandbox, status: int, code: str | None
) -> None:
    """The client reads the error that a test has ordered (of 429 and 503 the status
    alone); the next request is well."""
    dlr_sandbox.fault(status=status, next=1)

    with pytest.raises(Raised) as caught:
        sdk.call("send", a_request())

    data = caught.value.data or {}
    assert (caught.value.status, data.get("errorCode")) == (status, code)
    assert sdk.call("send", a_request())["messages"]
    (refused,) = dlr_sandbox.refused
    assert (refused["status"], refused["path"]) == (status, "/sms/3/messages")
    assert "python" in refused["client"].lower()
    assert dlr_sandbox.messages[0]["client"] == refused["client"]


def test_a_destination_that_is_refused(sdk: Driven) -> None:
    """A message that cannot go is rejected in the reply, and the others go."""
    reply = sdk.call("send", a_request(a_message("nobody", DELIVERED, SLOW)))

    assert names(reply["messages"]) == [
        "REJECTED_DESTINATION",
        "PENDING_ACCEPTED",
        "PENDING_ACCEPTED",
    ]
