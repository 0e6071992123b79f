"""Buckets: which reports go together, and the bytes of the push."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.endpoints.endpoint import ContentType, Rules
from dispatcher.forming.bucket import Bucket, Filling, encode, fill
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


def shown(filling: Filling) -> list[tuple[Generation | None, list[str | None]]]:
    return [(bucket.generation, message_ids(bucket.reports)) for bucket in filling.buckets]


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

    filling = fill(an_endpoint(bucket_size=size), waiting, room, 0)

    assert [len(bucket.reports) for bucket in filling.buckets] == sizes
    gone = [report for bucket in filling.buckets for report in bucket.reports]
    assert gone == waiting[: number - left]
    assert filling.read_to == (gone[-1].id if gone else 0)


async def test_one_shape_a_bucket() -> None:
    """Reports of different generations do not share a push, but each goes as early as it can."""
    filling = fill(an_endpoint(), await reports("23m23"), 9, 0)

    assert shown(filling) == [("v2", ["02", "32"]), ("v3", ["13", "43"]), (None, ["2m"])]


async def test_one_generation_for_all() -> None:
    """An endpoint that wants one generation gets reports of both in one push."""
    filling = fill(an_endpoint(generation="v3"), await reports("23m"), 9, 0)

    assert shown(filling) == [("v3", ["02", "13", "2m"])]


async def test_a_shape_without_room_waits() -> None:
    """Where there is room for no other bucket, reading stops: nothing is passed over."""
    waiting = await reports("2232")

    filling = fill(an_endpoint(), waiting, 1, 0)

    assert shown(filling) == [("v2", ["02", "12"])]
    assert filling.read_to == waiting[1].id


async def test_passes_over_what_goes_elsewhere() -> None:
    """Reports that the endpoint does not want are read off and are in no bucket."""
    waiting = await reports("2p2p")
    endpoint = an_endpoint(rules=Rules(final=True))

    filling = fill(endpoint, waiting, 9, 0)

    assert shown(filling) == [("v2", ["02", "22"])]
    assert filling.read_to == waiting[-1].id


async def test_only_unwanted_reports() -> None:
    """When none is wanted, all are read off and there is no bucket."""
    waiting = await reports("ppp")

    filling = fill(an_endpoint(rules=Rules(final=True)), waiting, 9, 0)

    assert filling == Filling([], waiting[-1].id)


async def test_nothing_to_read() -> None:
    """Without reports the endpoint stays where it was."""
    assert fill(an_endpoint(), [], 9, 41) == Filling([], 41)


async def test_json_goes_as_it_was_stored() -> None:
    """JSON that is pushed in the generation it came in is not written anew: unknown fields, exact
    numbers and all."""
    item = an_item(novel={"a": [1, None]})
    (report,) = await stored(a_callback(item))

    body = encode(an_endpoint(), Bucket([report, report], "v2"))

    assert body == b'{"results":[' + report.item + b"," + report.item + b"]}"
    assert b'"pricePerMessage":0.010' in body
    assert b'"novel":{"a":[1,null]}' in body


async def test_minimal_item_goes_as_it_was_stored() -> None:
    """An item that tells no generation is pushed as it is in any."""
    (report,) = await stored(a_callback({"messageId": "1"}))

    assert encode(an_endpoint(), Bucket([report], "v3")) == b'{"results":[{"messageId":"1"}]}'


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
    endpoint = an_endpoint(content_type=content_type, generation=generation)

    (pushed,) = READ[content_type](encode(endpoint, Bucket([report], generation)))

    wanted = read_item(a_v3_item() if generation == "v3" else an_item(), "report")
    assert isinstance(pushed, Report)
    assert pushed == wanted


async def test_xml_has_the_root_of_its_generation() -> None:
    """The document's root tells the generation, also when no report does."""
    two, three = await stored(a_callback(an_sms("m1"), a_v3_item(messageId="m2")))
    (minimal,) = await stored(a_callback({"messageId": "1"}))
    endpoint = an_endpoint(content_type="application/xml")

    assert b"<reportResponse>" in encode(endpoint, Bucket([two], "v2"))
    assert b"<DeliveryReports>" in encode(endpoint, Bucket([three], "v3"))
    assert b"<reportResponse>" in encode(endpoint, Bucket([minimal], None))
