"""The request samples of the provider's five documents, and the answers that they document.

S0 to S4 are the documents in the order of `reference/infobip.md`, part 0. Ids that the provider
made are compared only for being there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher.sandbox.messages.statuses import MESSAGE_ACCEPTED
from tests.sandbox.sending import Sending, sending

DATA = Path(__file__).parents[1] / "data" / "sandbox"
OWN_IDS = {"BULK-ID-123-xyz", "MESSAGE-ID-123-xyz"}


def sample(name: str) -> str:
    return (DATA / name).read_text()


def documented(name: str) -> Any:
    return without_ids(json.loads(sample(f"{name}.answer.json")))


def without_ids(answer: Any) -> Any:
    """An answer with `made` where the sandbox, or the provider, made an id."""
    if isinstance(answer, list):
        return [without_ids(each) for each in answer]
    if not isinstance(answer, dict):
        return answer
    ids = {"bulkId", "messageId"}
    return {
        name: "made" if name in ids and value not in OWN_IDS else without_ids(value)
        for name, value in answer.items()
    }


def from_xml(answer: Any) -> Any:
    """The JSON of an XML answer: numbers as such, lists without the names of their items."""
    if isinstance(answer, dict):
        fields = {name: from_xml(child) for name, child in answer.items()}
        if isinstance(held := fields.get("messages"), dict):
            messages = held["message"]
            fields["messages"] = messages if isinstance(messages, list) else [messages]
        for name in ("groupId", "id", "smsCount"):
            if name in fields:
                fields[name] = int(fields[name])
        return fields
    return [from_xml(each) for each in answer] if isinstance(answer, list) else answer


@pytest.fixture
async def provider() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


@pytest.fixture
async def provider_of_2016() -> AsyncIterator[Sending]:
    """S1 was written when /sms/1 answered with MESSAGE_ACCEPTED."""
    async with sending(v1_status=MESSAGE_ACCEPTED) as served:
        yield served


@pytest.mark.parametrize("name", ["s1-one", "s1-two"])
async def test_s1_in_json(provider_of_2016: Sending, name: str) -> None:
    """Samples of S1 in JSON are answered as S1 shows: a bulkId only for several numbers."""
    status, answer = await provider_of_2016.post(
        "/sms/1/binary/single", json.loads(sample(f"{name}.json"))
    )

    assert (status, without_ids(answer)) == (200, documented(name))


@pytest.mark.parametrize("name", ["s1-one", "s1-two"])
async def test_s1_in_xml(provider_of_2016: Sending, name: str) -> None:
    """Samples of S1 in XML are answered in XML under smsResponse, or in JSON for who accepts it."""
    path, body = "/sms/1/binary/single", sample(f"{name}.xml")

    in_xml = await provider_of_2016.post_xml(path, body)
    in_json = await provider_of_2016.post_xml(path, body, accept="application/json")

    assert without_ids(from_xml(in_xml["smsResponse"])) == documented(name)
    assert without_ids(in_json) == documented(name)


async def test_s1_sends_json_and_accepts_xml(provider_of_2016: Sending) -> None:
    """S1's first sample posts JSON and is answered in XML."""
    headers = {
        "Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "Content-Type": "application/json",
        "Accept": "application/xml",
    }
    client = provider_of_2016.client
    async with client.post(
        "/sms/1/binary/single", headers=headers, data=sample("s1-one.json")
    ) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/xml"
        assert "<smsResponse><messages><message><to>41793026727</to>" in await answer.text()


async def test_s1_octets(provider: Sending) -> None:
    """The two contents of S1 are read octet by octet, whatever the data coding."""
    for name in ("s1-one.json", "s1-two.json"):
        await provider.post("/sms/1/binary/single", json.loads(sample(name)))

    one, two = (send.messages[0].content for send in provider.sandbox.sent)
    assert one.data == b"Test message."  # type: ignore[union-attr]
    assert two.data.decode() == "Testing čšćđ"  # type: ignore[union-attr]


async def test_s0(provider: Sending) -> None:
    """S0's sample is answered message by message in the shape that S0 shows for the first."""
    status, answer = await provider.post("/sms/2/binary/advanced", json.loads(sample("s0.json")))

    (shown,) = documented("s0")["messages"]
    assert status == 200
    assert answer["bulkId"] == "BULK-ID-123-xyz"
    assert [each["to"] for each in answer["messages"]] == [
        "41793026727",
        "41793026834",
        "41793026700",
    ]
    assert answer["messages"][0] == {**shown, "messageId": "MESSAGE-ID-123-xyz"}
    assert set(answer) == {"bulkId", "messages"}


@pytest.mark.parametrize(
    "path", ["/sms/1/binary/advanced", "/sms/1/text/advanced", "/sms/2/binary/advanced"]
)
async def test_s2(provider: Sending, path: str) -> None:
    """S2's sample is taken by all three paths to which S2 posts it."""
    status, answer = await provider.post(path, json.loads(sample("s2.json")))

    first, _, last = answer["messages"]
    assert status == 200
    assert answer["bulkId"] == "BULK-ID-123-xyz"
    assert first["messageId"] == "MESSAGE-ID-123-xyz"
    assert last["status"]["description"] == "Pending Accepted"
    assert ("smsCount" in first) == path.startswith("/sms/1/")
    delivery = provider.sandbox.messages[0].delivery
    assert delivery.intermediate
    assert delivery.url == "https://www.example.com/sms/advanced"


async def test_s3_in_json(provider: Sending) -> None:
    """S3's sample in JSON is answered exactly as S3 shows."""
    status, answer = await provider.post("/sms/2/text/advanced", json.loads(sample("s3.json")))

    assert (status, without_ids(answer)) == (200, documented("s3"))


async def test_s3_in_xml(provider: Sending) -> None:
    """S3's sample in XML asks for the same messages, without tracking and intermediate reports."""
    answer = await provider.post_xml("/sms/2/text/advanced", sample("s3.xml"))

    expected = {**documented("s3")}
    del expected["trackingProcessKey"]
    assert without_ids(from_xml(answer["smsResponse"])) == expected
    assert not provider.sandbox.messages[0].delivery.intermediate


async def test_s3_means_the_same_in_both_formats(provider: Sending) -> None:
    """What S3's samples have in common is read alike from JSON and from XML."""
    await provider.post("/sms/2/text/advanced", json.loads(sample("s3.json")))
    await provider.post_xml("/sms/2/text/advanced", sample("s3.xml"))

    in_json, in_xml = (send.messages for send in provider.sandbox.sent)
    assert in_json[2] == in_xml[2]
    assert in_json[0].content == in_xml[0].content
    assert in_json[0].content.sent.startswith("Artik Ulusal Dil Tanimlayicisi")  # type: ignore[union-attr]


async def test_s4_to_several_numbers(provider: Sending) -> None:
    """S4's first sample is answered as S4 shows, but with the number that it really names twice."""
    body = json.loads(sample("s4-destinations.json"))

    status, answer = await provider.post("/sms/2/text/advanced", body)

    expected = documented("s4-destinations")
    expected["messages"][1]["to"] = "41793026727"
    assert (status, without_ids(answer)) == (200, expected)


async def test_s4_several_messages(provider: Sending) -> None:
    """S4's second sample sends two messages to two numbers."""
    status, answer = await provider.post(
        "/sms/2/text/advanced", json.loads(sample("s4-messages.json"))
    )

    assert status == 200
    assert [each["to"] for each in answer["messages"]] == ["41793026727", "41793026834"]


async def test_s4_scheduled(provider: Sending) -> None:
    """S4's schedule in a request of v3 is answered in the shape of v3."""
    status, answer = await provider.post("/sms/3/messages", json.loads(sample("s4-schedule.json")))

    assert status == 200
    assert answer["bulkId"] == "BULK-ID-123-xyz"
    (message,) = answer["messages"]
    assert message["destination"] == "41793026727"
    assert set(message) == {"messageId", "status", "destination"}


@pytest.mark.parametrize(("path", "root"), [("", None), (".xml", "SmsResponseEnvelope")])
async def test_s4_by_query(provider: Sending, path: str, root: str | None) -> None:
    """S4's query is answered in JSON, and in XML with .xml at the end of the path."""
    status, answer = await provider.get(
        f"/sms/3/text/query{path}?from=InfoSMS&to=41793026727&text=Hello"
    )

    fields = answer[root] if root else answer
    assert status == 200
    assert set(fields) == {"bulkId", "messages"}
