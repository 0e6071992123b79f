"""What is typed on the sandbox's page becomes what its routes take, and nothing more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatcher.sandbox.api.admin import SandboxMessage
from dispatcher.sandbox.errors import Refused
from dispatcher.sandbox.store.base import AcceptedQuery
from dispatcher.sandbox.wire import v3
from dispatcher.sandbox.wire.body import checked
from dispatcher.settings.sandbox import FaultRule, OutcomeRule
from dispatcher.web.sandbox import counted, fields_of, rounded
from dispatcher.web.sandbox_forms import (
    fault_table,
    faults_by_field,
    incoming_document,
    rule_table,
    sms_document,
)
from receiver.settings.reader import read_table
from tests.sandbox.playing import playing
from tests.sandbox.sending import NOW


def test_what_is_left_empty_is_not_sent() -> None:
    """The document is that of a short request by hand."""
    typed = {"to": "41793026727", "text": " hello\n", "sender": "  ", "validityUnit": "MINUTES"}

    assert sms_document(typed) == {
        "messages": [{"destinations": [{"to": "41793026727"}], "content": {"text": " hello\n"}}]
    }
    assert incoming_document({"from": "1", "to": "2", "text": "x", "url": ""}) == {
        "from": "1",
        "to": "2",
        "text": "x",
    }


def test_all_of_the_form_is_sent() -> None:
    """Each field arrives where the send API has it."""
    typed = {
        "to": "41793026727, 41793026728",
        "sender": "Shop",
        "text": "see https://shop.example/1",
        "notifyUrl": "http://127.0.0.1:3000/",
        "callbackData": "4711",
        "validity": "5",
        "validityUnit": "HOURS",
        "intermediate": "yes",
        "flash": "yes",
        "contentType": "application/xml",
        "transliteration": "ALL",
        "language": "TR",
        "sendAt": "2026-11-21T11:00:00.000+0000",
        "shorten": "yes",
        "trackingUrl": "http://127.0.0.1:3000/clicks",
    }

    send = checked(
        v3.REQUEST, sms_document(typed), lambda v, i: v3.send_of("v3", v, i), NOW, lambda: "KEY"
    )

    first, second = send.messages
    assert (first.to, second.to, first.sender) == ("41793026727", "41793026728", "Shop")
    assert (first.validity, first.flash) == (timedelta(hours=5), True)
    assert (first.delivery.url, first.delivery.format) == ("http://127.0.0.1:3000/", "xml")
    assert (first.delivery.intermediate, first.delivery.callback_data) == (True, "4711")
    assert first.send_at == NOW + timedelta(hours=1)
    assert first.content.transliteration == "ALL"  # type: ignore[union-attr]
    assert first.content.language_code == "TR"  # type: ignore[union-attr]
    assert first.links is not None
    assert first.links.told_to == "http://127.0.0.1:3000/clicks"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("sender", "much too long a name"),
        ("validity", "soon"),
        ("validity", "0"),
        ("notifyUrl", "here"),
        ("contentType", "text/html"),
        ("callbackData", "x" * 4001),
        ("sendAt", "tomorrow"),
        ("language", "XX"),
        ("transliteration", "XX"),
        ("trackingUrl", "here"),
        ("to", "4" * 65),
    ],
)
def test_a_fault_is_told_beside_its_field(name: str, wrong: str) -> None:
    """A text that is no number stays one, so that the table of the route says what is wrong."""
    typed = {"to": "41793026727", "text": "hello", name: wrong}

    with pytest.raises(Refused) as refused:
        checked(v3.REQUEST, sms_document(typed), lambda v, _: v, NOW, lambda: "KEY")

    assert faults_by_field(refused.value.misfits).keys() == {name}


def test_rules_by_form() -> None:
    """What is typed is the same rule as in the settings."""
    rule = {"to": "4179*", "status": "EXPIRED_EXPIRED", "after": "3h", "share": "0.5", "text": ""}
    fault = {"status": "503", "next": "2", "route": "/sms/2/*", "connection": "drop", "body": "x"}

    assert read_table(OutcomeRule, rule_table(rule)) == OutcomeRule(
        to="4179*", status="EXPIRED_EXPIRED", after=timedelta(hours=3), share=0.5
    )
    assert read_table(FaultRule, fault_table(fault)) == FaultRule(
        status=503, next=2, route="/sms/2/*", drop=True, body="x"
    )


@pytest.mark.parametrize(
    ("text", "asked", "words"),
    [
        ("hello", {}, "1 part, GSM 7-bit, 155 more fit"),
        ("ğ", {"language": "TR"}, "1 part, GSM 7-bit with Turkish characters, 154 more fit"),
        ("Ж", {"transliteration": "CYRILLIC"}, "1 part, GSM 7-bit, 158 more fit"),
        ("x" * 161, {"language": "nonsense"}, "2 parts, GSM 7-bit, 145 more fit"),
        ("x" * 4001, {}, "4,001 characters: more than the 4,000 that can be sent"),
    ],
)
def test_how_a_text_will_go(text: str, asked: dict[str, Any], words: str) -> None:
    """In words, for whoever is about to send it."""
    given = {"language": None, "transliteration": None, **asked}

    assert counted(text, given["language"], given["transliteration"]) == words


async def test_what_of_a_message_is_shown(tmp_path: Path) -> None:
    """What it was asked for, with names for people; a number that is zero is shown, and what was
    not asked for is not."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(validityPeriod=90, regional={"indiaDlt": {"principalEntityId": "ü"}})
        octets = {"binary": {"hex": "00 01", "dataCoding": 0}, "destinations": [{"to": "41790000"}]}
        await sandbox.ask("POST", "/sms/2/binary/advanced", json={"messages": [octets]})
        store = sandbox.running.storage.sandbox
        text, binary = [
            dict(fields_of(SandboxMessage.of(each)))
            for each in await store.messages(AcceptedQuery())
        ]

    assert text["Validity"] == "90 minutes"
    assert text["Regional"] == '{"indiaDlt": {"principalEntityId": "ü"}}'
    assert text["Route"] == "/sms/2/text/advanced"
    assert "sendAt" not in text
    assert (binary["Octets"], binary["Data coding"]) == ("00 01", "0")


def test_how_far_the_clock_is_ahead() -> None:
    """A clock that was moved by a day, and stood still for a moment meanwhile, is a day ahead."""
    day = timedelta(days=1)

    assert rounded(day - timedelta(seconds=1.3)) == day
    assert rounded(timedelta(seconds=12.4)) == timedelta(seconds=12)
    assert rounded(timedelta()) == timedelta()
