"""JSON or XML, each way on its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dispatcher.sandbox.api.negotiation import in_xml, wanted
from receiver.dlr.model import Format
from tests.sandbox.sending import AUTHORIZATION, Sending, sending

PATH = "/sms/1/text/single"
JSON = b'{"to":"41793026727","text":"Hi"}'
XML = b"<request><to>41793026727</to><text>Hi</text></request>"


@pytest.fixture
async def provider() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("application/*", "json"),
        ("application/json, text/plain, */*", "json"),  # the Node client
        ("application/xml", "xml"),
        ("text/xml", "xml"),
        ("Application/XML; charset=utf-8", "xml"),
        ("application/xml;q=0.5, application/json", "json"),
        ("application/json;q=0.5, application/xml", "xml"),
        ("application/json, application/xml", "json"),
        ("application/xml, application/json", "xml"),
        ("application/xml;q=0", "json"),
        ("application/xml;q=x", "json"),
        ("application/xml;q=nan, */*;q=0.1", "json"),
        ("text/html", "json"),
        ("image/png,,;;=", "json"),
    ],
)
def test_accept(accept: str | None, form: Format) -> None:
    """The better quality wins, then what is named first; JSON is the default."""
    assert wanted(accept) == form


def test_lists_in_xml() -> None:
    """A list is an element that holds its items; an empty one holds nothing."""
    assert in_xml({"messages": [{"a": 1}], "violations": [], "days": ["x"], "empty": {}}) == {
        "messages": {"message": [{"a": 1}]},
        "violations": "",
        "days": {"days": ["x"]},
        "empty": "",
    }


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", JSON),
        ("application/json; charset=UTF-8", JSON),
        ("application/json; charset=utf-16", JSON.decode().encode("utf-16")),
        ("application/xml", XML),
        ("text/xml", XML),
        ("application/xml; charset=iso-8859-1", XML.replace(b"Hi", b"\xe9")),
        ("application/xml", b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>' + XML),
        ("application/x-www-form-urlencoded", JSON),  # curl -d without a header
        ("text/plain", XML),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "application/xml"])
async def test_every_combination(
    provider: Sending, content_type: str, body: bytes, accept: str
) -> None:
    """Whatever comes in, what goes out is what is accepted."""
    headers = {**AUTHORIZATION, "Content-Type": content_type, "Accept": accept}
    async with provider.client.post(PATH, data=body, headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == accept

    assert provider.sandbox.messages[0].to == "41793026727"


async def test_errors_too(provider: Sending) -> None:
    """An error has the format that is accepted, not the one that came."""
    headers = {**AUTHORIZATION, "Content-Type": "application/json", "Accept": "application/xml"}
    async with provider.client.post("/sms/3/messages", data=b"{}", headers=headers) as answer:
        assert (answer.status, answer.content_type) == (400, "application/xml")
        assert "<ApiError><errorCode>E400</errorCode>" in await answer.text()


async def test_any_root_and_prefix(provider: Sending) -> None:
    """The root of a document may be called anything, with or without a namespace."""
    bodies = [
        "<SMSAdvancedTextualRequest>{}</SMSAdvancedTextualRequest>",
        '<x:r xmlns:x="urn:x">{}</x:r>',
    ]
    for body in bodies:
        await provider.post_xml(PATH, body.format("<to>41793026727</to><text>Hi</text>"))
    prefixed = '<x:r xmlns:x="urn:x"><x:to>41793026727</x:to><x:text> Hi </x:text></x:r>'
    await provider.post_xml(PATH, prefixed)

    texts = [send.messages[0].content.text for send in provider.sandbox.sent]  # type: ignore[union-attr]
    assert texts == ["Hi", "Hi", " Hi "]
