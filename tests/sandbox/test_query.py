"""Sending by the parameters of a query string, for those who can only call a URL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from dispatcher.sandbox.messages.send import Delivery, Refusal, Sms, TextContent, Tracking
from tests.sandbox.sending import KEY, Sending, sending


@pytest.fixture
async def provider() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


async def test_all_parameters(provider: Sending) -> None:
    """Every parameter of v3 is in the request that is made of it."""
    query = {
        "bulkId": "B",
        "from": "InfoSMS",
        "to": "+41793026727",
        "text": "Gün",
        "flash": "true",
        "transliteration": "TURKISH",
        "languageCode": "TR",
        "intermediateReport": "true",
        "notifyUrl": "http://127.0.0.1:5000/",
        "notifyContentType": "application/xml",
        "callbackData": "order 1",
        "validityPeriod": "5000",
        "sendAt": "2026-11-22T10:00:00.000+0000",
        "includeSmsCountInResponse": "true",
        "trackingUrl": "https://example.com/click",
        "trackingType": "MY_CAMPAIGN",
        "indiaDltPrincipalEntityId": "1",
        "turkeyIysRecipientType": "TACIR",
        "turkeyIysBrandCode": "7",
        "southKoreaTitle": "T",
    }
    status, answer = await provider.get(f"/sms/3/text/query?{urlencode(query)}")

    assert status == 200
    assert answer["messages"][0]["details"] == {"messageCount": 1}
    (send,) = provider.sandbox.sent
    assert send.tracking == Tracking(None, "MY_CAMPAIGN", "https://example.com/click")
    assert send.messages == [
        Sms(
            message_id=None,
            to="41793026727",
            sender="InfoSMS",
            content=TextContent("Gün", "Gün", "TURKISH", "TR"),
            parts=1,
            delivery=Delivery(
                intermediate=True,
                url="http://127.0.0.1:5000/",
                format="xml",
                callback_data="order 1",
            ),
            flash=True,
            validity=timedelta(hours=48),
            send_at=datetime(2026, 11, 22, 10, tzinfo=UTC),
            regional={
                "indiaDlt": {"principalEntityId": "1"},
                "turkeyIys": {"recipientType": "TACIR", "brandCode": 7},
                "southKorea": {"title": "T"},
            },
        )
    ]


@pytest.mark.parametrize(
    "to",
    ["to=41790000001,41790000002", "to=41790000001&to=41790000002", "to=41790000001%2C41790000002"],
)
async def test_several_numbers(provider: Sending, to: str) -> None:
    """Numbers are repeated, or have commas between them, written either way."""
    _, answer = await provider.get(f"/sms/1/text/query?{to}&text=Hi")

    assert [each["to"] for each in answer["messages"]] == ["41790000001", "41790000002"]


async def test_a_plus_that_became_a_blank(provider: Sending) -> None:
    """In a query string a + is a blank; both an instant and a number survive it."""
    await provider.get(
        "/sms/3/text/query?to=+41793026727&text=Hi&sendAt=2026-11-22T11:00:00.000+0100"
    )

    (sms,) = provider.sandbox.messages
    assert sms.to == "41793026727"
    assert sms.send_at == datetime(2026, 11, 22, 10, tzinfo=UTC)


async def test_v1_and_v3_answer_in_their_shapes(provider: Sending) -> None:
    """v1 has bulkId, to and smsCount for a single number too; v3 its own names."""
    _, v1 = await provider.get("/sms/1/text/query?to=41793026727&text=Hi")
    _, v3 = await provider.get("/sms/3/text/query?to=41793026727&text=Hi")

    assert list(v1) == ["bulkId", "messages"]
    assert list(v1["messages"][0]) == ["to", "status", "smsCount", "messageId"]
    assert list(v3["messages"][0]) == ["messageId", "status", "destination"]


async def test_tracking_of_v1(provider: Sending) -> None:
    """`track` asks for conversion tracking."""
    _, answer = await provider.get("/sms/1/text/query?to=41793026727&text=Hi&track=SMS")

    assert answer["trackingProcessKey"] == KEY


async def test_xml_by_the_path(provider: Sending) -> None:
    """.xml answers in XML whatever is accepted, errors too."""
    path = "/sms/3/text/query.xml"
    good = await provider.get(f"{path}?to=41793026727&text=Hi", Accept="application/json")
    bad = await provider.get(f"{path}?to=41793026727", Accept="application/json")

    assert good[0] == 200
    assert good[1]["SmsResponseEnvelope"]["messages"]["message"]["destination"] == "41793026727"
    assert bad[0] == 400
    assert bad[1]["ApiError"]["violations"]["violation"] == {
        "property": "text",
        "violation": "must not be null",
    }


async def test_an_empty_number(provider: Sending) -> None:
    """A `to` without a number is a message without destination, no bad request."""
    status, _ = await provider.get("/sms/3/text/query?to=&text=Hi")

    assert status == 200
    assert provider.sandbox.messages[0].refusal == Refusal(5, 51)


async def test_head_sends_nothing(provider: Sending) -> None:
    """A HEAD, as link checkers send it, is no GET here: it would send an SMS."""
    path = "/sms/3/text/query?to=41793026727&text=Hi"
    async with provider.client.head(path, headers={"Authorization": "App k"}) as answer:
        assert answer.status == 405

    assert provider.sandbox.sent == []
