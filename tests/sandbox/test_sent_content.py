"""What of a request goes over the air: texts, octets, their parts, links, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from dispatcher.sandbox.messages.send import BinaryContent, Refusal, TextContent, Tracking
from dispatcher.sandbox.wire.content import SHORT_DOMAIN
from tests.sandbox.sending import KEY, Sending, a_text, a_v3, octets, sending, v2, v3


@pytest.fixture
async def provider() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


@pytest.mark.parametrize(
    ("text", "parts", "refusal"),
    [
        ("", 1, None),
        ("x" * 160, 1, None),
        ("x" * 161, 2, None),
        ("x" * 153 * 25, 25, None),
        ("x" * (153 * 25 + 1), 26, Refusal(5, 25)),
        ("ж" * 70, 1, None),
        ("ж" * 67 * 25, 25, None),
        ("ж" * (67 * 25 + 1), 26, Refusal(5, 25)),
        ("x" * 4001, 0, Refusal(5, 25)),
        ("x" * 1_000_000, 0, Refusal(5, 25)),
    ],
)
async def test_length_of_a_text(
    provider: Sending, text: str, parts: int, refusal: Refusal | None
) -> None:
    """A text of more than 25 parts is refused with status 25, in a 200."""
    sms = (await v2(provider, a_text(text=text))).messages[0]

    assert (sms.parts, sms.refusal) == (parts, refusal)


async def test_transliteration_and_language(provider: Sending) -> None:
    """What is sent is the transliterated text, and a national table saves a part."""
    turkish = "ş" * 100
    plain = (await v2(provider, a_text(text=turkish))).messages[0]
    bare = (await v2(provider, a_text(text=turkish, transliteration="TURKISH"))).messages[0]
    national = (await v2(provider, a_text(text=turkish, language={"languageCode": "TR"}))).messages[
        0
    ]

    assert plain.parts == 2
    assert (bare.content, bare.parts) == (TextContent(turkish, "s" * 100, "TURKISH"), 1)
    assert (national.content, national.parts) == (TextContent(turkish, turkish, None, "TR"), 1)


async def test_shifts_of_v3(provider: Sending) -> None:
    """v3 can name the tables that may be used."""
    language = {"languageCode": "TR", "singleShift": True, "lockingShift": False}
    send = await v3(provider, a_v3(content={"text": "ş", "language": language}))

    assert send.messages[0].content == TextContent("ş", "ş", None, "TR", True, False)


@pytest.mark.parametrize(
    ("digits", "data"),
    [
        ("54 65 73 74", b"Test"),
        ("54657374", b"Test"),
        ("0048 0065", b"\0H\0e"),
        (" 0F\tfc\n", b"\x0f\xfc"),
        ("20 74 …20", b" t "),
        ("", b""),
    ],
)
async def test_hexadecimal_digits(provider: Sending, digits: str, data: bytes) -> None:
    """Octets are parted by blanks, or grouped by two, or not at all; "…" is in the samples."""
    sms = await octets(provider, "/sms/2/binary/advanced", hex=digits)

    assert sms.content == BinaryContent(data)


async def test_binary_content_of_v3(provider: Sending) -> None:
    """v3 has the three fields of a binary message in its content."""
    send = await v3(provider, a_v3(content={"hex": "0048", "dataCoding": 8, "esmClass": 1}))

    assert send.messages[0].content == BinaryContent(b"\0H", 8, 1)


@pytest.mark.parametrize(
    ("binary", "parts", "refusal"),
    [
        ({"hex": "00" * 140, "dataCoding": 4}, 1, None),
        ({"hex": "00" * 141, "dataCoding": 4}, 2, None),
        ({"hex": "00" * 134 * 25, "dataCoding": 4}, 25, None),
        ({"hex": "00" * (134 * 25 + 1), "dataCoding": 4}, 26, Refusal(5, 25)),
        ({"hex": "00" * 4001}, 0, Refusal(5, 25)),
        ({"hex": "05 00 03 01 02 01 41", "esmClass": 64}, 1, None),
        ({"hex": "05 00 03 01", "esmClass": 64}, 0, Refusal(5, 24)),
        ({"hex": "", "esmClass": 64}, 0, Refusal(5, 24)),
    ],
)
async def test_length_and_header_of_octets(
    provider: Sending, binary: dict[str, Any], parts: int, refusal: Refusal | None
) -> None:
    """Octets that are too long have status 25, and a user data header that is wrong status 24."""
    sms = await octets(provider, "/sms/2/binary/advanced", **binary)

    assert (sms.parts, sms.refusal) == (parts, refusal)


async def test_tracking(provider: Sending) -> None:
    """Tracking has a process key, the sender's or one that is made, and v2 answers with it."""
    body = {"messages": [a_text()], "tracking": {"track": "SMS", "type": "MY_CAMPAIGN"}}
    _, made = await provider.post("/sms/2/text/advanced", body)
    body["tracking"] = {"track": "SMS", "processKey": "MINE"}
    _, given = await provider.post("/sms/2/text/advanced", body)
    conversion = {"useConversionTracking": True, "conversionTrackingName": "MY_CAMPAIGN"}
    send = await v3(provider, a_v3(), conversionTracking=conversion)

    assert (made["trackingProcessKey"], given["trackingProcessKey"]) == (KEY, "MINE")
    assert provider.sandbox.sent[0].tracking == Tracking(KEY, "MY_CAMPAIGN")
    assert send.tracking == Tracking(KEY, "MY_CAMPAIGN")


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, f"See https://{SHORT_DOMAIN}/e0512f29."),
        ({"customDomain": "a.example"}, "See https://a.example/e0512f29."),
        ({"removeProtocol": True}, f"See {SHORT_DOMAIN}/e0512f29."),
        ({"shortenUrl": False, "removeProtocol": True}, "See https://example.com/a?b=c."),
    ],
)
async def test_short_links(provider: Sending, options: dict[str, Any], sent: str) -> None:
    """urlOptions replace the links of a text, unless they say not to; then nothing is done."""
    text = "See https://example.com/a?b=c."
    one = await v2(provider, a_text(text=text), urlOptions=options)
    two = await v3(provider, a_v3(content={"text": text}), tracking=options)

    for send in (one, two):
        content = send.messages[0].content
        assert isinstance(content, TextContent)
        assert (content.text, content.sent) == (text, sent)


async def test_where_clicks_are_told(provider: Sending) -> None:
    """The URL for clicks is kept unless clicks are not to be tracked."""
    url = "https://example.com/click-report"
    asked = await v2(provider, a_text(), urlOptions={"trackingUrl": url})
    not_asked = await v2(provider, a_text(), urlOptions={"trackingUrl": url, "trackClicks": False})

    assert asked.tracking == Tracking(url=url)
    assert not_asked.tracking is None
