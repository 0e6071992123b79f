"""What of a request goes over the air: texts, octets, their parts, links, and what is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from dispatcher.sandbox.messages.send import BinaryContent, Refusal, TextContent, Tracking
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
        ({}, "See http://sandbox.example/l/CODE."),
        ({"customDomain": "a.example"}, "See https://a.example/l/CODE."),
        ({"removeProtocol": True}, "See sandbox.example/l/CODE."),
        ({"shortenUrl": False, "removeProtocol": True}, "See https://example.com/a?b=c."),
    ],
)
async def test_short_links(provider: Sending, options: dict[str, Any], sent: str) -> None:
    """urlOptions replace the links of a text, unless they say not to; then nothing is done. Where
    they name no domain, short links lead to where the sandbox was called."""
    provider.client.session.headers["Host"] = "sandbox.example"
    text = "See https://example.com/a?b=c."
    one = await v2(provider, a_text(text=text), urlOptions=options)
    two = await v3(provider, a_v3(content={"text": text}), tracking=options)

    for send in (one, two):
        content, links = send.messages[0].content, send.messages[0].links
        assert isinstance(content, TextContent)
        assert content.text == text
        if links is None:
            assert content.sent == sent
        else:
            (link,) = links.links
            assert re.fullmatch("[0-9a-f]{12}", link.code)
            assert content.sent == sent.replace("CODE", link.code)
            assert link.short == content.sent.removeprefix("See ").removesuffix(".")
            assert link.url == "https://example.com/a?b=c"


@pytest.mark.parametrize(
    ("tracking", "urls", "begin"),
    [
        ({"track": "URL"}, None, "http://sandbox.example/l/"),
        ({"track": "URL", "baseUrl": "https://a.example/go/"}, None, "https://a.example/go/l/"),
        ({"baseUrl": "https://a.example"}, {}, "https://a.example/l/"),
        ({"baseUrl": "https://a.example"}, {"customDomain": "b.example"}, "https://b.example/l/"),
        ({"track": "URL"}, {"shortenUrl": False}, "https://example.com/"),
        ({"track": "SMS", "baseUrl": "https://a.example"}, None, "https://example.com/"),
    ],
)
async def test_track_url(
    provider: Sending, tracking: dict[str, Any], urls: dict[str, Any] | None, begin: str
) -> None:
    """The older `track = URL` shortens links too, to those below its baseUrl; a click is a
    conversion then."""
    provider.client.session.headers["Host"] = "sandbox.example"
    more = {} if urls is None else {"urlOptions": urls}
    send = await v2(provider, a_text(text="https://example.com/"), tracking=tracking, **more)

    (message,) = send.messages
    assert isinstance(message.content, TextContent)
    assert message.content.sent.startswith(begin)
    converts = message.links is not None and message.links.converts
    assert converts == (tracking.get("track") == "URL" and message.links is not None)


async def test_links_of_a_query(provider: Sending) -> None:
    """Whoever names a URL for clicks in a query, or tracks URLs, gets short links."""
    query = {"to": "41793026727", "text": "http://a.example/"}
    login = {"username": "me", "password": "p"}
    told = {"trackingUrl": "http://b.example/"}
    await provider.get(f"/sms/3/text/query?{urlencode({**query, **told})}")
    await provider.get(f"/sms/1/text/query?{urlencode({**query, **login, 'track': 'URL'})}")
    await provider.get(f"/sms/3/text/query?{urlencode(query)}")

    one, two, three = (send.messages[0].links for send in provider.sandbox.sent)
    assert one is not None
    assert two is not None
    assert (one.told_to, one.converts) == ("http://b.example/", False)
    assert (two.told_to, two.converts) == (None, True)
    assert three is None


async def test_each_recipient_has_links_of_its_own(provider: Sending) -> None:
    """A click tells who has clicked: the links of two messages differ, and so do two in one text.
    Each text has as many parts."""
    text = "https://a.example/ https://a.example/ https://b.example/"
    numbers = [{"to": "41790000001"}, {"to": "41790000002"}]
    keys = iter(range(1000))
    async with sending(new_key=lambda: str(next(keys))) as provider:
        send = await v2(provider, a_text(text=text, destinations=numbers), urlOptions={})

    links = [link for sms in send.messages if sms.links is not None for link in sms.links.links]
    assert [link.url for link in links] == text.split() * 2
    assert len({link.code for link in links}) == 6
    assert len({sms.parts for sms in send.messages}) == 1


async def test_where_clicks_are_told(provider: Sending) -> None:
    """The URL for clicks is kept unless clicks are not to be tracked."""
    url = "https://example.com/click-report"
    asked = await v2(provider, a_text(), urlOptions={"trackingUrl": url})
    not_asked = await v2(provider, a_text(), urlOptions={"trackingUrl": url, "trackClicks": False})

    assert asked.tracking == Tracking(url=url)
    assert not_asked.tracking is None
