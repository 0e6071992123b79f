"""Click events, inbound SMS and OneAPI notifications at the same URL: known, kept, no reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from receiver.callbacks.intake import verdict_on_bytes
from receiver.callbacks.other_events import CLICK, INBOUND, ONE_API
from receiver.dlr.model import Format
from tests.receiver.payloads import V2_JSON, V3_XML, an_item
from tests.receiver.served import get, post, served

A_CLICK = {
    "notificationType": "CLICKED",
    "recipient": "41793026727",
    "url": "https://example.com",
    "sendDateTime": 1573318860000,
    "messageId": "m",
    "recipientInfo": {"deviceType": "Phone"},
}
AN_INBOUND = {
    "messageId": "817790313235066447",
    "from": "385916242493",
    "to": "385921004026",
    "text": "QUIZ Correct answer is Paris",
    "cleanText": "Correct answer is Paris",
    "keyword": "QUIZ",
    "receivedAt": "2019-11-09T16:00:00.000+0000",
    "smsCount": 1,
}
ONE_API_PUSH = {
    "deliveryInfoNotification": {
        "deliveryInfo": {"address": "tel:38598123456", "deliveryStatus": "DeliveredToTerminal"},
        "callbackData": "1234",
    }
}


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def xml(root: str, content: str) -> bytes:
    return f'<?xml version="1.0"?><{root}>{content}</{root}>'.encode()


INBOUND_XML = (
    "<result><messageId>1</messageId><text>hi</text>"
    "<receivedAt>2019-11-09T16:00:00.000+0000</receivedAt></result>"
)

CASES: list[tuple[bytes, Format, list[str]]] = [
    (as_json(A_CLICK), "json", [CLICK]),
    (as_json([A_CLICK, A_CLICK]), "json", [CLICK]),
    (as_json({**A_CLICK, "notificationType": "click"}), "json", [CLICK]),
    (as_json({"notificationType": "SEEN"}), "json", ["an event of another type, no report"]),
    (xml("ClickEvent", "<notificationType>CLICKED</notificationType>"), "xml", [CLICK]),
    (xml("n:E", "<n:notificationType>CLICKED</n:notificationType>"), "xml", [CLICK]),
    (as_json(ONE_API_PUSH), "json", [ONE_API]),
    (as_json({"inboundSMSMessageNotification": {}}), "json", [ONE_API]),
    (xml("deliveryInfoNotification", "<callbackData>1</callbackData>"), "xml", [ONE_API]),
    (xml("r", "<deliveryInfoNotification/>"), "xml", [ONE_API]),
    (as_json(AN_INBOUND), "json", [INBOUND]),
    (as_json([AN_INBOUND]), "json", [INBOUND]),
    (as_json({"results": [AN_INBOUND], "messageCount": 1}), "json", [INBOUND]),
    (as_json({"results": [AN_INBOUND, AN_INBOUND]}), "json", [INBOUND, INBOUND]),
    (xml("MOReportResponse", f"<results>{INBOUND_XML}</results>"), "xml", [INBOUND]),
    (xml("r", f"<results>{INBOUND_XML * 2}</results>"), "xml", [INBOUND, INBOUND]),
]


@pytest.mark.parametrize(("body", "form", "reasons"), CASES)
def test_they_are_known(body: bytes, form: Format, reasons: list[str]) -> None:
    """Each is readable, is no report, and is kept under its name."""
    verdict = verdict_on_bytes(body, form)
    assert verdict.readable
    assert verdict.entries == []
    assert [kept.reason for kept in verdict.quarantined] == reasons


def test_an_inbound_sms_keeps_its_bytes() -> None:
    """Of an item of a list its own bytes are kept, with its place."""
    body = b'{"results":[ ' + as_json(AN_INBOUND) + b" ]}"
    (kept,) = verdict_on_bytes(body, "json").quarantined
    assert (kept.raw, kept.place) == (as_json(AN_INBOUND), "results[0]")
    (kept,) = verdict_on_bytes(CASES[-2][0], "xml").quarantined
    assert kept.raw == INBOUND_XML.encode()


def test_an_inbound_sms_in_a_document_after_a_blank() -> None:
    """Its bytes are found although XML allows nothing before its declaration.

    They were asked for in a second look at the body that took no such blank: the callback was
    answered 500 and nothing of it was kept.
    """
    body = b"\n " + CASES[-2][0]
    (kept,) = verdict_on_bytes(body, "xml").quarantined
    assert (kept.raw, kept.reason) == (INBOUND_XML.encode(), INBOUND)


def test_reports_among_them_are_stored() -> None:
    """A report beside an inbound SMS is a report."""
    verdict = verdict_on_bytes(as_json({"results": [AN_INBOUND, {"messageId": "1"}]}), "json")
    assert (len(verdict.entries), len(verdict.quarantined)) == (1, 1)


@pytest.mark.parametrize(
    "item",
    [
        {"messageId": "1"},
        {"messageId": "1", "text": "a report may hold it"},
        {"messageId": "1", "receivedAt": "x", "status": {"groupId": 3}},
        {"messageId": "1", "notificationType": "CLICKED", "status": {}},
        {"messageId": "1", "channel": "ZALO", "status": {"groupId": 3}},
    ],
)
def test_a_report_is_a_report(item: dict[str, Any]) -> None:
    """What has a status, or no receivedAt, is not taken for something else."""
    verdict = verdict_on_bytes(as_json({"results": [item]}), "json")
    assert (len(verdict.entries), len(verdict.quarantined)) == (1, 0)


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b'{"notificationType":', "json"),
        (b'{"notificationType":1}', "json"),
        (b'{"x":"receivedAt"}', "json"),
        (b'"receivedAt"', "json"),
        (b"[]receivedAt", "json"),
        (b'[{"receivedAt":1},{"x":1}]', "json"),
        (b'{"receivedAt":' + b"[" * 100_000, "json"),
        (b'{"receivedAt":1,"status":{}}', "json"),
        (b"<r>receivedAt</r>", "xml"),
        (b"<r><receivedAt>", "xml"),
        (b"<r><notificationType><a/></notificationType></r>", "xml"),
        (b"<receivedAt>" * 10_000, "xml"),
        (b'<!DOCTYPE r [<!ENTITY a "receivedAt">]><r>&a;</r>', "xml"),
    ],
)
def test_what_only_looks_like_one_is_unreadable(body: bytes, form: Format) -> None:
    """Their words alone do not make garbage readable."""
    assert not verdict_on_bytes(body, form).readable


def test_recorded_reports_are_none_of_these() -> None:
    """The provider's own examples are reports."""
    assert verdict_on_bytes(V2_JSON, "json").quarantined == []
    assert verdict_on_bytes(V3_XML, "xml").quarantined == []
    assert verdict_on_bytes(
        as_json({"results": [json.loads(V2_JSON)["results"][0]]}), "json"
    ).entries
    assert an_item()["status"]


async def test_they_are_answered_200_and_counted_apart(tmp_path: Path) -> None:
    """Over a socket: 200, quarantined and no report."""
    async with served(tmp_path) as running:
        for body, form, reasons in CASES:
            reply = await post(running.url, body, content_type=f"application/{form}")
            counts = {"stored": 0, "duplicates": 0, "quarantined": len(reasons)}
            assert (reply.status, reply.json) == (200, counts)
        assert (await get(running.url, "/api/reports")).json["reports"] == []
        kept = (await get(running.url, "/api/quarantine")).json["items"]
        assert {each["reason"] for each in kept} >= {CLICK, INBOUND, ONE_API}
