from decimal import Decimal

import pytest

from receiver.dlr.errors import MalformedBody, MalformedReport, Unreadable
from receiver.dlr.item import read_item
from receiver.dlr.json_format import decode_body, decode_item, encode_body, encode_item
from receiver.dlr.model import Price, Report
from tests.receiver.payloads import V2_JSON, V3_JSON, a_json_body, a_report, a_v3_item, an_item


def test_reads_both_generations() -> None:
    """A body of each generation gives the report it holds."""
    assert decode_body(V2_JSON) == [read_item(an_item(), "x")]
    assert decode_body(V3_JSON) == [read_item(a_v3_item(), "x")]


def test_reads_every_item() -> None:
    """Not only results[0] is read: a bucket has up to 2,000."""
    body = a_json_body(*(an_item(messageId=str(n)) for n in range(2000)))
    reports = [item for item in decode_body(body) if isinstance(item, Report)]
    assert [report.message_id for report in reports] == [str(n) for n in range(2000)]


@pytest.mark.parametrize(
    "body",
    [
        b'{"results":[]}',
        b'{"results":null}',
        b' {"x":{"results":1},"results":[ ],"y":[1e9]} ',
        b'\xef\xbb\xbf{"results":[]}',
        b'{"x":NaN,"results":null}',
        b'{"x":NaN,"results":[]}',
    ],
)
def test_no_reports_is_no_error(body: bytes) -> None:
    """An empty or null list is no report; other top-level fields may be anything."""
    assert decode_body(body) == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "byte 0: expected an object, got the end of the body"),
        (b"  []", "byte 2: expected an object, got a list"),
        (b"5", "byte 0: expected an object, got a number"),
        (b"<x/>", "byte 0: expected an object, got the byte b'<'"),
        (b"{}", "results: expected a list of reports, got nothing"),
        (b'{"messageId":"1"}', "results: expected a list of reports, got nothing"),
        (b'{"results":{}}', "results: expected a list of reports, got an object"),
        (b'{"results":"x"}', "results: expected a list of reports, got a text"),
        (b'{"results":5}', "results: expected a list of reports, got a number"),
        (b'{"results":true}', "results: expected a list of reports, got true"),
        (b'{"results":[{}', "byte 14: expected a closing bracket, got the end of the body"),
        (b'{"results":["x]}', "byte 12: unterminated string"),
        (b'{"results":[]} x', "byte 15: expected the end of the body, got more"),
        (b'{"results":[{} {}]}', "byte 15: expected a comma, got an object"),
        (b'{"results":[{},]}', "byte 15: expected a value, got the byte b']'"),
        (b"{results:[]}", "byte 1: expected a name, got the byte b'r'"),
    ],
)
def test_a_body_without_a_list_is_refused(body: bytes, told: str) -> None:
    """Without a list of items the body is refused, with where and what."""
    with pytest.raises(MalformedBody) as refused:
        decode_body(body)
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("item", "place", "reason"),
    [
        (b"5", "results[1]", "expected an object, got 5"),
        (
            b'{"status":{"groupId":"x"}}',
            "results[1].status.groupId",
            'expected an integer, got "x"',
        ),
        (b'{"to":"\\ud800"}', "results[1].to", 'expected text, got a lone surrogate in "\\ud800"'),
        (b'{"smsCount":NaN}', "results[1].smsCount", "expected an integer, got NaN"),
        (
            b'{"price":{"pricePerMessage":1e400}}',
            "results[1].price.pricePerMessage",
            "expected a decimal number of at most 40 digits, got 1E+400",
        ),
        (b'{"x":1e9999999999999999999}', "results[1]", "not JSON: a number that is too large"),
        (b"{'to':1}", "results[1]", "not JSON: Expecting property name"),
        (b'{"to":"\xff"}', "results[1]", "not JSON: 'utf-8' codec can't decode byte 0xff"),
        (b'{"to":' + b"[" * 10**5 + b"]" * 10**5 + b"}", "results[1]", "nested too deeply"),
        (b'{"smsCount":' + b"1" * 5000 + b"}", "results[1]", "not JSON: Exceeds the limit"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_one_bad_item_costs_its_neighbours_nothing(item: bytes, place: str, reason: str) -> None:
    """The bad item is told with its exact bytes; those around it are read."""
    first, bad, last = decode_body(encode_body([b'{"to":"1"}', item, b'{"to":"]}\\"3"}']))
    assert [first, last] == [Report(to="1"), Report(to=']}"3')]
    assert isinstance(bad, Unreadable)
    assert (bad.raw, bad.place) == (item, place)
    assert bad.reason.startswith(reason)


def test_encodes_exactly() -> None:
    """Prices are numbers with the digits they came with; absent fields are left out."""
    report = Report(message_id="1", price=Price(per_message=Decimal("0.10")))
    assert encode_item(report) == b'{"messageId":"1","price":{"pricePerMessage":0.10}}'


def test_an_item_survives_the_store() -> None:
    """What `encode_item` wrote, `decode_item` reads; the hint restores an untold generation."""
    report = a_report(unknown={"novel": [1, {"a": Decimal("1.50")}], "big": 2**70})
    assert decode_item(encode_item(report)) == report
    untold = Report(generation="v3", to="1")
    assert decode_item(encode_item(untold), "v3") == untold


@pytest.mark.parametrize("data", [b"", b"[]", b'{"to":[]}', b'{"to":"\xff"}', b"[" * 10**5])
def test_a_broken_item_is_one_kind_of_error(data: bytes) -> None:
    """An item that is none is a MalformedReport and nothing else."""
    with pytest.raises(MalformedReport, match=r"^report"):
        decode_item(data)


def test_a_body_is_its_items() -> None:
    """A body of encoded items is read back as these reports."""
    reports = [a_report(), a_report("PENDING_ENROUTE")]
    assert decode_body(encode_body(encode_item(report) for report in reports)) == reports
    assert encode_body([]) == b'{"results":[]}'
