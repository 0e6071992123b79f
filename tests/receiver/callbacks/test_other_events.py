"""Click, seen and deleted events, inbound messages and OneAPI notifications at the same URL: known,
kept, no reports.

A seen event and a deleted event were once stored as reports of their messages: they were counted,
pushed to customers with an empty status, and the second was taken for a repeat of the first,
because both said the same of status, error and doneAt: nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dispatcher.service import service
from dispatcher.settings.settings import read_settings
from receiver.callbacks.intake import verdict_on_bytes
from receiver.callbacks.other_events import (
    CLICK,
    DELETED,
    INBOUND,
    NOTHING_SAID,
    ONE_API,
    OTHER,
    SEEN,
)
from receiver.dlr.model import Format
from tests.end_to_end.processes import eventually
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
A_SEEN = {
    "messageId": "1215f543ab19-345f-adbd-12ad31451ed25f35",
    "from": "385919998888",
    "to": "41793026731",
    "sentAt": "2018-12-12T11:21:57.793+0000",
    "seenAt": "2018-12-12T11:21:58.251+0000",
    "applicationId": "example-application-id",
    "entityId": "example-entity-id",
}
A_DELETED = {
    "messageId": "1215f543ab19-345f-adbd-12ad31451ed25f35",
    "to": "41793026731",
    "deletedAt": "2018-12-12T11:25:58.251+0000",
}
A_WHATSAPP_INBOUND = {
    "from": "441134960019",
    "to": "441134960018",
    "integrationType": "WHATSAPP",
    "messageId": "ABEGVUGWh3gEAgo",
    "message": {"type": "TEXT", "text": "hi"},
    "price": {"pricePerMessage": 0, "currency": "EUR"},
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

AN_INBOUND_DOCUMENT = xml("MOReportResponse", f"<results>{INBOUND_XML}</results>")

CASES: list[tuple[bytes, Format, list[str]]] = [
    (as_json(A_CLICK), "json", [CLICK]),
    (as_json([A_CLICK, A_CLICK]), "json", [CLICK]),
    (as_json({**A_CLICK, "notificationType": "click"}), "json", [CLICK]),
    (as_json({"notificationType": "SEEN"}), "json", [OTHER]),
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
    (AN_INBOUND_DOCUMENT, "xml", [INBOUND]),
    (xml("r", f"<results>{INBOUND_XML * 2}</results>"), "xml", [INBOUND, INBOUND]),
    (as_json({"results": [A_SEEN]}), "json", [SEEN]),
    (as_json({"results": [A_DELETED]}), "json", [DELETED]),
    (as_json({"results": [A_SEEN, A_DELETED]}), "json", [SEEN, DELETED]),
    (as_json(A_SEEN), "json", [SEEN]),
    (as_json([A_DELETED]), "json", [DELETED]),
    (xml("r", "<results><result><seenAt>x</seenAt></result></results>"), "xml", [SEEN]),
    (xml("r", "<messageId>1</messageId><deletedAt>x</deletedAt>"), "xml", [DELETED]),
    (as_json({"results": [{**AN_INBOUND, "receivedAt": None}]}), "json", [INBOUND]),
    (as_json({"results": [{"to": "1", "text": "hi"}]}), "json", [INBOUND]),
    (as_json({"from": "1", "to": "2", "text": "hi", "keyword": "HI"}), "json", [INBOUND]),
    (as_json({"results": [A_WHATSAPP_INBOUND]}), "json", [INBOUND]),
    (as_json({"results": [A_CLICK]}), "json", [CLICK]),
    (as_json({"results": [{"notificationType": "OPENED"}]}), "json", [OTHER]),
    (as_json({"results": [{"messageId": "1"}]}), "json", [NOTHING_SAID]),
    (as_json({"results": [{"messageId": "1", "typingAt": "x"}]}), "json", [NOTHING_SAID]),
    (as_json({"results": [{"messageId": "1", "status": None}, {}]}), "json", [NOTHING_SAID] * 2),
    (xml("r", "<results><result/></results>"), "xml", [NOTHING_SAID]),
    # XML allows nothing before its declaration, and templates put a blank there all the same.
    (b" \r\n" + xml("E", "<notificationType>CLICKED</notificationType>"), "xml", [CLICK]),
    (b"\n" + xml("deliveryInfoNotification", "<callbackData>1</callbackData>"), "xml", [ONE_API]),
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
    (kept,) = verdict_on_bytes(AN_INBOUND_DOCUMENT, "xml").quarantined
    assert kept.raw == INBOUND_XML.encode()


def test_an_inbound_sms_in_a_document_after_a_blank() -> None:
    """Its bytes are found although XML allows nothing before its declaration.

    They were asked for in a second look at the body that took no such blank: the callback was
    answered 500 and nothing of it was kept.
    """
    body = b"\n " + AN_INBOUND_DOCUMENT
    (kept,) = verdict_on_bytes(body, "xml").quarantined
    assert (kept.raw, kept.reason) == (INBOUND_XML.encode(), INBOUND)


def test_reports_among_them_are_stored() -> None:
    """A report beside an inbound SMS is a report."""
    verdict = verdict_on_bytes(
        as_json({"results": [AN_INBOUND, {"messageId": "1", "status": {}}]}), "json"
    )
    assert (len(verdict.entries), len(verdict.quarantined)) == (1, 1)


@pytest.mark.parametrize(
    "item",
    [
        {"status": {}},
        {"messageId": "1", "error": {"id": 0}},
        {"messageId": "1", "doneAt": "2019-11-09T16:00:00.000+0000"},
        {"messageId": "1", "status": {}, "text": "a report may hold it"},
        {"doneAt": "2019-11-09T16:00:00.000+0000", "text": "and this one"},
        {"messageId": "1", "receivedAt": "x", "status": {"groupId": 3}},
        {"messageId": "1", "seenAt": "x", "status": {"groupId": 3}},
        {"messageId": "1", "deletedAt": "x", "error": {"id": 0}},
        {"messageId": "1", "notificationType": "CLICKED", "status": {}},
        {"messageId": "1", "channel": "ZALO", "status": {"groupId": 3}},
    ],
)
def test_a_report_is_a_report(item: dict[str, Any]) -> None:
    """What has a status, an error or a doneAt is not taken for something else."""
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
        (b'{"seenAt":1,"error":{}}', "json"),
        (b'{"text":"keyword"}', "json"),
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
        assert {each["reason"] for each in kept} == {
            reason for *_, all_ in CASES for reason in all_
        }


async def test_seen_and_deleted_events_reach_no_customer(tmp_path: Path) -> None:
    """Neither is counted, routed or pushed, and neither is a repeat of the other or of a report."""
    with_seen = as_json({"results": [A_SEEN]})
    settings = read_settings(endpoint_file(tmp_path), {})
    async with service(settings) as running:
        report = {**A_SEEN, "status": {"groupId": 3, "id": 5}}
        assert (await post(running.url, as_json({"results": [report]}))).json["stored"] == 1
        for body in (with_seen, as_json({"results": [A_DELETED]})):
            counts = {"stored": 0, "duplicates": 0, "quarantined": 1}
            assert (await post(running.url, body)).json == counts
        assert (await post(running.url, with_seen)).status == 200  # the platform repeats it

        async def dispatches() -> list[Any]:
            found: list[Any] = (await get(running.url, "/api/dispatches")).json["dispatches"]
            return found

        await eventually(dispatches, "the dispatch of the report")
        assert [each["reports"] for each in await dispatches()] == [1]
        assert (await get(running.url, "/api/totals")).json["total"]["reports"] == 1
        kept = (await get(running.url, "/api/quarantine")).json["items"]
        assert [(each["reason"], each["repeats"]) for each in kept] == [(DELETED, 0), (SEEN, 1)]
        text = (await get(running.url, "/metrics")).body.decode()
        for kind, count in (("seen_event", 2), ("deleted_event", 1)):
            labels = f'{{format="json",kind="{kind}",source="default"}}'
            assert f"dlr_quarantined_total{labels} {count}.0" in text


def endpoint_file(folder: Path) -> Path:
    """Settings with an endpoint at which nobody listens."""
    file = folder / "dlr.toml"
    file.write_text(
        f'[server]\nport = 0\n[store]\ndatabase = "{folder / "dlr.db"}"\n'
        '[[endpoint]]\nname = "all"\nurl = "http://127.0.0.1:9/"\n'
    )
    return file
