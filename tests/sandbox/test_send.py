"""What the fields of a request mean: the `Send` that each generation makes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest

from dispatcher.sandbox.messages.send import (
    Delivery,
    DeliveryTimeWindow,
    Refusal,
    Send,
    SendingSpeed,
    Sms,
    TextContent,
)
from tests.sandbox.sending import Sending, a_text, a_v3, sending, v2, v3

HOURS_48 = timedelta(hours=48)


@pytest.fixture
async def provider() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


async def test_all_of_a_v2_request(provider: Sending) -> None:
    """Every field of v2 is in the request that is made of it."""
    send = await v2(
        provider,
        a_text(
            destinations=[{"to": "+41793026727", "messageId": "M"}],
            flash=True,
            intermediateReport=True,
            notifyUrl="http://127.0.0.1:5000/reports?token=1",
            notifyContentType="application/xml",
            callbackData="order 1",
            validityPeriod=10,
            sendAt="2026-11-22T10:00:00.000+0100",
            deliveryTimeWindow={
                "days": ["MONDAY", "SUNDAY"],
                "from": {"hour": 6, "minute": 0},
                "to": {"hour": 15, "minute": 30},
            },
            campaignReferenceId="summersale",
            regional={"indiaDlt": {"principalEntityId": "1"}, "southKorea": {"title": "T"}},
            entityId="E",
            applicationId="A",
        ),
        bulkId="B",
        sendingSpeedLimit={"amount": 10, "timeUnit": "HOUR"},
    )

    assert send == Send(
        api="v2",
        bulk_id="B",
        speed=SendingSpeed(10, timedelta(hours=1)),
        messages=[
            Sms(
                message_id="M",
                to="41793026727",
                sender="InfoSMS",
                content=TextContent("This is a sample message", "This is a sample message"),
                parts=1,
                delivery=Delivery(
                    intermediate=True,
                    url="http://127.0.0.1:5000/reports?token=1",
                    format="xml",
                    callback_data="order 1",
                ),
                flash=True,
                validity=timedelta(minutes=10),
                send_at=datetime(2026, 11, 22, 9, tzinfo=UTC),
                window=DeliveryTimeWindow(frozenset({0, 6}), time(6), time(15, 30)),
                application_id="A",
                entity_id="E",
                campaign_reference_id="summersale",
                regional={"indiaDlt": {"principalEntityId": "1"}, "southKorea": {"title": "T"}},
            )
        ],
    )


async def test_all_of_a_v3_request(provider: Sending) -> None:
    """Every field of v3 is in the request that is made of it."""
    send = await v3(
        provider,
        a_v3(
            destinations=[{"to": "41793026727", "messageId": "M", "networkId": 5}],
            options={
                "platform": {"entityId": "E", "applicationId": "A"},
                "validityPeriod": {"amount": 30, "timeUnit": "SECONDS"},
                "deliveryTimeWindow": {"days": ["FRIDAY"]},
                "campaignReferenceId": "summersale",
                "regional": {"turkeyIys": {"recipientType": "TACIR", "brandCode": 7}},
                "flash": True,
            },
            webhooks={
                "delivery": {"url": "https://a.example/", "intermediateReport": True},
                "contentType": "application/xml",
                "callbackData": "order 1",
            },
        ),
        schedule={
            "bulkId": "B",
            "sendAt": "2026-11-22T10:00:00.000+0000",
            "sendingSpeedLimit": {"amount": 3},
        },
    )

    assert send == Send(
        api="v3",
        bulk_id="B",
        speed=SendingSpeed(3, timedelta(minutes=1)),
        messages=[
            Sms(
                message_id="M",
                to="41793026727",
                sender="InfoSMS",
                content=TextContent("This is a sample message", "This is a sample message"),
                parts=1,
                delivery=Delivery(
                    intermediate=True,
                    url="https://a.example/",
                    format="xml",
                    callback_data="order 1",
                ),
                flash=True,
                validity=timedelta(seconds=30),
                send_at=datetime(2026, 11, 22, 10, tzinfo=UTC),
                window=DeliveryTimeWindow(frozenset({4})),
                application_id="A",
                entity_id="E",
                campaign_reference_id="summersale",
                network_id=5,
                regional={"turkeyIys": {"recipientType": "TACIR", "brandCode": 7}},
            )
        ],
    )


async def test_defaults(provider: Sending) -> None:
    """What is not asked for: no intermediate reports, 48 hours, at once."""
    for send in (await v2(provider, a_text()), await v3(provider, a_v3())):
        (sms,) = send.messages
        assert (sms.delivery, sms.validity, sms.flash) == (Delivery(), HOURS_48, False)
        assert (sms.send_at, sms.window, send.speed, send.tracking) == (None, None, None, None)


async def test_no_report_at_all(provider: Sending) -> None:
    """v3 can do without any report."""
    send = await v3(provider, a_v3(webhooks={"delivery": {"notify": False}}))

    assert not send.messages[0].delivery.notify


@pytest.mark.parametrize(
    ("minutes", "validity"),
    [(1, timedelta(minutes=1)), (2880, HOURS_48), (2881, HOURS_48), (2**63 - 1, HOURS_48)],
)
async def test_validity_of_v2(provider: Sending, minutes: int, validity: timedelta) -> None:
    """A validity period in minutes; above 48 hours it is 48 hours."""
    send = await v2(provider, a_text(validityPeriod=minutes))

    assert send.messages[0].validity == validity


@pytest.mark.parametrize(
    ("period", "validity"),
    [
        ({"amount": 5}, timedelta(minutes=5)),
        ({"amount": 48, "timeUnit": "HOURS"}, HOURS_48),
        ({"amount": 720, "timeUnit": "HOURS"}, HOURS_48),
        ({"amount": 2**31 - 1, "timeUnit": "SECONDS"}, HOURS_48),
    ],
)
async def test_validity_of_v3(
    provider: Sending, period: dict[str, Any], validity: timedelta
) -> None:
    """An amount of minutes unless a unit is named; the provider's own sample asks for 720 hours."""
    send = await v3(provider, a_v3(options={"validityPeriod": period}))

    assert send.messages[0].validity == validity


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T11:30:00.000+0130",
        "2026-11-22T10:00:00.000+00:00",
        "2026-11-22T10:00:00.000000+00:00",
        "2026-11-22T10:00:00+00:00",
        "2026-11-22T10:00:00Z",
        "2026-11-22T10:00:00",
        " 2026-11-22T10:00:00.000+0000\n",
    ],
)
async def test_forms_of_instants(provider: Sending, text: str) -> None:
    """Every form of an instant that the provider or one of its clients writes."""
    send = await v2(provider, a_text(sendAt=text))

    assert send.messages[0].send_at == datetime(2026, 11, 22, 10, tzinfo=UTC)


async def test_as_far_ahead_as_may_be(provider: Sending) -> None:
    """180 days to the second; and an instant that is past, as in the provider's samples."""
    ahead = datetime(2027, 5, 20, 10, tzinfo=UTC)
    for at in (ahead, datetime(2015, 7, 7, 17, tzinfo=timezone(timedelta(hours=1)))):
        send = await v2(provider, a_text(sendAt=at.isoformat()))
        assert send.messages[0].send_at == at


async def test_ids_are_clipped_in_v2(provider: Sending) -> None:
    """v1 and v2 clip a bulkId at 100 characters and a messageId at 200."""
    long = "x" * 300
    status, answer = await provider.post(
        "/sms/2/text/advanced",
        {"bulkId": long, "messages": [a_text(destinations=[{"to": "41790", "messageId": long}])]},
    )

    assert status == 200
    assert answer["bulkId"] == "x" * 100
    assert answer["messages"][0]["messageId"] == "x" * 200


@pytest.mark.parametrize(
    ("to", "number", "refusal"),
    [
        ("41793026727", "41793026727", None),
        ("+41793026727", "41793026727", None),
        (41793026727, "41793026727", None),
        ("", "", Refusal(5, 51)),
        ("  ", "", Refusal(5, 51)),
        (None, "", Refusal(5, 51)),
        ("0793026727", "0793026727", Refusal(5, 52)),
        ("4179 302 67 27", "4179 302 67 27", Refusal(5, 52)),
        ("1234", "1234", Refusal(5, 52)),
        ("1" * 16, "1" * 16, Refusal(5, 52)),
        ("friend", "friend", Refusal(5, 52)),
    ],
)
async def test_destinations(
    provider: Sending, to: Any, number: str, refusal: Refusal | None
) -> None:
    """A destination that is missing or no number is refused by its status, not by HTTP."""
    for send in (
        await v2(provider, a_text(destinations=[{"to": to}])),
        await v3(provider, a_v3(destinations=[{"to": to}])),
    ):
        assert (send.messages[0].to, send.messages[0].refusal) == (number, refusal)


async def test_a_refused_destination_in_the_answer(provider: Sending) -> None:
    """The other messages of a request are accepted all the same."""
    _, answer = await provider.post(
        "/sms/2/text/advanced", {"messages": [a_text(destinations=[{}, {"to": "41793026727"}])]}
    )

    refused, taken = answer["messages"]
    assert refused["to"] == ""
    assert refused["status"] == {
        "groupId": 5,
        "groupName": "REJECTED",
        "id": 51,
        "name": "MISSING_TO",
        "description": "Missing To",
    }
    assert taken["status"]["name"] == "PENDING_ACCEPTED"


async def test_counts_in_answers(provider: Sending) -> None:
    """v1 always counts, v2 text and v3 when asked, v2 binary and binary content of v3 never."""
    text = {"messages": [a_text(text="x" * 161)]}
    asked = {**text, "includeSmsCountInResponse": True}
    octets = {"messages": [{"destinations": [{"to": "41790"}], "binary": {"hex": "00"}}]}
    of_v3 = {"messages": [a_v3()], "options": {"includeSmsCountInResponse": True}}
    binary_of_v3 = {**of_v3, "messages": [a_v3(content={"hex": "00"})]}

    async def first(path: str, body: Any) -> dict[str, Any]:
        _, answer = await provider.post(path, body)
        message: dict[str, Any] = answer["messages"][0]
        return message

    assert (await first("/sms/1/text/advanced", text))["smsCount"] == 2
    assert (await first("/sms/1/binary/advanced", octets))["smsCount"] == 1
    assert "smsCount" not in await first("/sms/2/text/advanced", text)
    assert (await first("/sms/2/text/advanced", asked))["smsCount"] == 2
    assert "smsCount" not in await first("/sms/2/binary/advanced", octets)
    assert (await first("/sms/3/messages", of_v3))["details"] == {"messageCount": 1}
    assert "details" not in await first("/sms/3/messages", {"messages": [a_v3()]})
    assert "details" not in await first("/sms/3/messages", binary_of_v3)


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_multi(provider: Sending, kind: str) -> None:
    """The multi routes take several single messages, each to one number or several."""
    content = {"text": "Hello"} if kind == "text" else {"binary": {"hex": "00"}}
    lone = {"messages": [{"to": "41793026727", **content}]}
    body = {"messages": [{"to": ["41793026727", "41793026834"], **content}, lone["messages"][0]]}

    _, one = await provider.post(f"/sms/1/{kind}/multi", lone)
    _, three = await provider.post(f"/sms/1/{kind}/multi", body)

    assert "bulkId" not in one
    assert three["bulkId"] == "bulk-2"
    assert len(three["messages"]) == 3


async def test_multi_in_xml_of_2015(provider: Sending) -> None:
    """In 2015 the items of a list were called as the list."""
    message = "<messages><from>InfoSMS</from><to>41793026727</to><text>Hi</text></messages>"
    await provider.post_xml(
        "/sms/1/text/multi", f"<request><messages>{message * 2}</messages></request>"
    )

    assert [each.to for each in provider.sandbox.messages] == ["41793026727"] * 2


@pytest.mark.parametrize(
    "days",
    [
        "<days>MONDAY</days><days>SUNDAY</days>",
        "<days><days>MONDAY</days><days>SUNDAY</days></days>",
        "<days><day>MONDAY</day><day> SUNDAY </day></days>",
    ],
)
async def test_days_in_xml(provider: Sending, days: str) -> None:
    """Days are repeated (S3) or nested (OAS)."""
    await provider.post_xml(
        "/sms/2/text/advanced",
        "<request><messages><message><destinations><destination><to>41793026727</to>"
        "</destination></destinations><text>Hi</text><flash/>"
        f"<deliveryTimeWindow>{days}</deliveryTimeWindow></message></messages></request>",
    )

    (sms,) = provider.sandbox.messages
    assert sms.window == DeliveryTimeWindow(frozenset({0, 6}))


async def test_unknown_fields(provider: Sending) -> None:
    """What the tables do not have is ignored, as real clients send such things."""
    body = {
        "type": "text",
        "messages": [a_v3(**{"from": "x", "webhooks": {"delivery": {"contentType": 1}}})],
        "options": {"unknown": [[[]]]},
    }
    status, _ = await provider.post("/sms/3/messages", body)

    assert status == 200


async def test_a_v2_body_under_v3(provider: Sending) -> None:
    """S4 shows a body of v2 below the heading of v3: there it is told what is missing."""
    status, answer = await provider.post("/sms/3/messages", {"messages": [a_text()]})

    assert status == 400
    assert answer["violations"] == [
        {"property": "messages[0].content", "violation": "must not be null"}
    ]


async def test_blank_fields_are_absent(provider: Sending) -> None:
    """Serialisers write an empty element for what is not set, and templates of a query an empty
    parameter. A blank number counted as absent, a blank instant, URL or word was refused."""
    blank = "".join(
        f"<{name}/>"
        for name in ("notifyUrl", "sendAt", "validityPeriod", "transliteration", "flash")
    )
    message = "<destinations><destination><to>41793026727</to></destination></destinations>"
    await provider.post_xml(
        "/sms/2/text/advanced",
        f"<request><messages><message>{message}<text>hi</text>{blank}</message></messages></request>",
    )
    query = "to=41793026727&text=hi&from=&notifyUrl=&sendAt=%20&notifyContentType=&languageCode="
    status, _ = await provider.get(f"/sms/3/text/query?{query}")

    assert status == 200
    in_xml, in_query = (send.messages[0] for send in provider.sandbox.sent)
    for sms in (in_xml, in_query):
        assert (sms.delivery, sms.send_at, sms.sender) == (Delivery(), None, None)


async def test_a_blank_in_a_list_is_a_fault(provider: Sending) -> None:
    """An item of a list is there, so it must say something."""
    window = {"days": ["MONDAY", ""]}
    status, fields = await provider.post(
        "/sms/2/text/advanced", {"messages": [a_text(deliveryTimeWindow=window)]}
    )

    assert status == 400
    faults = fields["requestError"]["serviceException"]["validationErrors"]
    assert list(faults) == ["messages[0].deliveryTimeWindow.days[1]"]
