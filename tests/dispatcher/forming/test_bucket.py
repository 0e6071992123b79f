"""Buckets: which reports go together, and the bytes of the push."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec import structs

from dispatcher.endpoints.endpoint import ContentType, Endpoint, Rules
from dispatcher.endpoints.own_urls import target_of
from dispatcher.forming.bucket import encode, encoded, fill
from dispatcher.queue.base import Bucket, Forming
from receiver.dlr import json_format, xml_format
from receiver.dlr.item import read_item
from receiver.dlr.model import Format, Generation, Report
from receiver.store.base import StoredReport
from tests.contracts.report_store import a_callback, an_sms, message_ids
from tests.dispatcher.support import an_endpoint, stored
from tests.receiver.payloads import a_v3_item, an_item


def an_item_of(kind: str, message_id: str) -> dict[str, Any]:
    """`2` is in v2, `3` in v3, `m` minimal, `p` in v2 and not final."""
    match kind:
        case "2":
            return an_item(messageId=message_id)
        case "3":
            return a_v3_item(messageId=message_id)
        case "m":
            return {"messageId": message_id}
    return an_sms(message_id, "PENDING_ENROUTE")


async def reports(kinds: str) -> list[StoredReport]:
    """A report for each letter, stored in this order; its messageId is place and letter."""
    items = [an_item_of(kind, f"{n}{kind}") for n, kind in enumerate(kinds)]
    return await stored(a_callback(*items))


def shown(forming: Forming) -> list[tuple[Generation | None, list[str | None]]]:
    return [(bucket.generation, message_ids(bucket.reports)) for bucket in forming.buckets]


@pytest.mark.parametrize(
    ("number", "size", "room", "sizes", "left"),
    [
        (0, 3, 9, [], 0),
        (1, 3, 9, [1], 0),
        (3, 3, 9, [3], 0),
        (4, 3, 9, [3, 1], 0),
        (9, 3, 3, [3, 3, 3], 0),
        (9, 3, 2, [3, 3], 3),
        (4, 1, 9, [1, 1, 1, 1], 0),
        (4, 100, 0, [], 4),
    ],
)
async def test_fills_buckets(
    number: int, size: int, room: int, sizes: list[int], left: int
) -> None:
    """Buckets are filled to their size in the order of arrival, as many as there is room for;
    what did not fit is still to be read."""
    waiting = await reports("2" * number)

    forming = fill(an_endpoint(bucket_size=size), waiting, room=room)

    assert [len(bucket.reports) for bucket in forming.buckets] == sizes
    gone = [report for bucket in forming.buckets for report in bucket.reports]
    assert gone == waiting[: number - left]
    assert forming.read_to == (gone[-1].id if gone else 0)


async def test_one_shape_a_bucket() -> None:
    """Reports of different generations do not share a push, but each goes as early as it can."""
    forming = fill(an_endpoint(), await reports("23m23"), room=9)

    assert shown(forming) == [("v2", ["02", "32"]), ("v3", ["13", "43"]), (None, ["2m"])]


async def test_one_generation_for_all() -> None:
    """An endpoint that wants one generation gets reports of both in one push."""
    forming = fill(an_endpoint(generation="v3"), await reports("23m"), room=9)

    assert shown(forming) == [("v3", ["02", "13", "2m"])]


async def test_a_shape_without_room_waits() -> None:
    """Where there is room for no other bucket, reading stops: nothing is passed over."""
    waiting = await reports("2232")

    forming = fill(an_endpoint(), waiting, room=1)

    assert shown(forming) == [("v2", ["02", "12"])]
    assert forming.read_to == waiting[1].id


async def test_passes_over_what_goes_elsewhere() -> None:
    """Reports that the endpoint does not want are read off and are in no bucket."""
    waiting = await reports("2p2p")
    endpoint = an_endpoint(rules=Rules(final=True))

    forming = fill(endpoint, waiting, room=9)

    assert shown(forming) == [("v2", ["02", "22"])]
    assert forming.read_to == waiting[-1].id


async def test_only_unwanted_reports() -> None:
    """When none is wanted, all are read off and there is no bucket."""
    waiting = await reports("ppp")

    forming = fill(an_endpoint(rules=Rules(final=True)), waiting, room=9)

    assert (forming.buckets, forming.read_to) == ([], waiting[-1].id)


async def test_nothing_to_read() -> None:
    """Without reports the endpoint stays where it was."""
    forming = fill(an_endpoint(), [], room=9, read_from=41)

    assert (forming.buckets, forming.read_from, forming.read_to) == ([], 41, 41)


def a_bucket(
    *reports: StoredReport, generation: Generation | None = "v2", to: Endpoint | None = None
) -> Bucket:
    """These reports in one push, to an endpoint's own URL."""
    return Bucket(reports, generation, target_of(to or an_endpoint(), None))


async def test_json_goes_as_it_was_stored() -> None:
    """JSON that is pushed in the generation it came in is not written anew: unknown fields, exact
    numbers and all."""
    item = an_item(novel={"a": [1, None]})
    (report,) = await stored(a_callback(item))

    body = encode(a_bucket(report, report))

    assert body == b'{"results":[' + report.item + b"," + report.item + b"]}"
    assert b'"pricePerMessage":0.010' in body
    assert b'"novel":{"a":[1,null]}' in body


async def test_minimal_item_goes_as_it_was_stored() -> None:
    """An item that tells no generation is pushed as it is in any."""
    (report,) = await stored(a_callback({"messageId": "1"}))

    body = encode(a_bucket(report, generation="v3"))

    assert body == b'{"results":[{"messageId":"1"}]}'


READ = {"application/json": json_format.decode_body, "application/xml": xml_format.decode_body}


@pytest.mark.parametrize("content_type", ["application/json", "application/xml"])
@pytest.mark.parametrize("generation", ["v2", "v3"])
@pytest.mark.parametrize("format", ["json", "xml"])
@pytest.mark.parametrize("item", [an_item(), a_v3_item()], ids=["v2", "v3"])
async def test_every_form_into_every_form(
    item: dict[str, Any], format: Format, generation: Generation, content_type: ContentType
) -> None:
    """Whatever form a report came in, it can be pushed in any other, and says the same."""
    (report,) = await stored(a_callback(item, format=format))
    bucket = a_bucket(report, generation=generation, to=an_endpoint(content_type=content_type))

    (pushed,) = READ[content_type](encode(bucket))

    wanted = read_item(a_v3_item() if generation == "v3" else an_item(), "report")
    assert isinstance(pushed, Report)
    assert pushed == wanted


async def test_xml_has_the_root_of_its_generation() -> None:
    """The document's root tells the generation, also when no report does."""
    two, three = await stored(a_callback(an_sms("m1"), a_v3_item(messageId="m2")))
    (minimal,) = await stored(a_callback({"messageId": "1"}))
    endpoint = an_endpoint(content_type="application/xml")

    assert b"<reportResponse>" in encode(a_bucket(two, generation="v2", to=endpoint))
    assert b"<DeliveryReports>" in encode(a_bucket(three, generation="v3", to=endpoint))
    assert b"<reportResponse>" in encode(a_bucket(minimal, generation=None, to=endpoint))


async def test_what_cannot_be_encoded_costs_no_other_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two sources have a message with the same id. One's report cannot be encoded; the other's
    goes on, and only what is of the same message of the same source waits with it."""
    both = [
        *await stored(a_callback(an_sms("m", "PENDING_ENROUTE"), an_sms("m"), source="alpha")),
        structs.replace((await stored(a_callback(an_sms("m"), source="beta")))[0], id=3),
    ]
    broken = both[0].item

    def encode_body(items: Iterable[bytes]) -> bytes:
        if broken in (taken := list(items)):
            raise ZeroDivisionError
        return b",".join(taken)

    monkeypatch.setattr(json_format, "encode_body", encode_body)
    forming = fill(an_endpoint(), both, room=9)

    made = await encoded(forming)

    assert [[report.source for report in bucket.reports] for bucket in made.buckets] == [
        ["beta"],
        ["alpha", "alpha"],
    ]
    assert made.bodies == [both[2].item, None]
