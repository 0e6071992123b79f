"""What holds for any report and any bytes, tried by hypothesis."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from receiver.callbacks.body import format_of
from receiver.callbacks.intake import verdict_on_bytes
from receiver.dlr import json_format, xml_format
from receiver.dlr.errors import MalformedBody, MalformedReport, Unreadable
from receiver.dlr.identity import identity, message_key
from receiver.dlr.item import read_item, write_item
from receiver.dlr.model import Error, Format, Generation, Price, Report, Status
from tests.receiver.payloads import V2_JSON, V2_XML, a_v3_item, an_item

NO_XML = [chr(n) for n in (*range(32), 0xFFFE, 0xFFFF) if chr(n) not in "\t\n\r"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=NO_XML), max_size=12)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
DECIMALS = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=6)
INSTANTS = st.datetimes(
    datetime(2, 1, 1),  # noqa: DTZ001
    datetime(9998, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
GENERATIONS: st.SearchStrategy[Generation] = st.sampled_from(["v2", "v3"])
NAMES = st.from_regex(r"novel[A-Za-z0-9_.é-]{0,5}", fullmatch=True)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


# Unknown values that mean the same in JSON and XML: texts, objects of them, lists of two or more.
SHARED = st.recursive(
    TEXTS,
    lambda inner: (
        st.dictionaries(NAMES, inner, min_size=1, max_size=3)
        | st.lists(inner.filter(lambda value: not isinstance(value, list)), min_size=2, max_size=3)
    ),
    max_leaves=6,
)
UNKNOWN = maybe(st.dictionaries(NAMES, SHARED, min_size=1, max_size=3))

PRICES = st.builds(Price, per_message=maybe(DECIMALS), currency=maybe(TEXTS), unknown=UNKNOWN)
STATUSES = st.builds(
    Status,
    group_id=maybe(INTEGERS),
    group_name=maybe(TEXTS),
    id=maybe(INTEGERS),
    name=maybe(TEXTS),
    description=maybe(TEXTS),
    action=maybe(TEXTS),
    unknown=UNKNOWN,
)
ERRORS = st.builds(
    Error,
    group_id=maybe(INTEGERS),
    group_name=maybe(TEXTS),
    id=maybe(INTEGERS),
    name=maybe(TEXTS),
    description=maybe(TEXTS),
    permanent=maybe(st.booleans()),
    unknown=UNKNOWN,
)
REPORTS = st.builds(
    Report,
    generation=GENERATIONS,
    bulk_id=maybe(TEXTS),
    message_id=maybe(TEXTS),
    to=maybe(TEXTS),
    sender=maybe(TEXTS),
    sent_at=maybe(INSTANTS),
    done_at=maybe(INSTANTS),
    message_count=maybe(INTEGERS),
    mcc_mnc=maybe(TEXTS),
    callback_data=maybe(TEXTS),
    price=maybe(PRICES),
    status=maybe(STATUSES),
    error=maybe(ERRORS),
    entity_id=maybe(TEXTS),
    application_id=maybe(TEXTS),
    campaign_reference_id=maybe(TEXTS),
    unknown=UNKNOWN,
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NEARLY_ITEMS = st.dictionaries(
    st.sampled_from([*an_item(), *a_v3_item(), "groupId", "mccmnc", "novel"]),
    JSON_VALUES
    | st.dictionaries(
        st.sampled_from(["groupId", "id", "pricePerMessage", "permanent", "entityId", "x"]),
        JSON_VALUES,
    ),
)


def from_xml(report: Report, generation: Generation | None = None) -> Report:
    (back,) = xml_format.decode_body(xml_format.encode_body([report], generation))
    assert isinstance(back, Report)
    return back


@given(REPORTS)
def test_json_and_back(report: Report) -> None:
    """A report written as JSON is read as itself."""
    item = json_format.encode_item(report)
    assert json_format.decode_item(item, report.generation) == report


@given(REPORTS)
def test_xml_and_back(report: Report) -> None:
    """A report written as XML is read as itself."""
    assert from_xml(report) == report


@given(REPORTS, GENERATIONS)
def test_conversion_loses_nothing(report: Report, generation: Generation) -> None:
    """A report written in the other generation has the same values, in both formats."""
    item = json_format.encode_item(report, generation)
    converted = replace(report, generation=generation)
    assert json_format.decode_item(item, generation) == converted
    assert from_xml(report, generation) == converted
    assert json.loads(item, parse_float=Decimal) == write_item(report, generation)


@given(REPORTS, GENERATIONS)
def test_identity_is_equal_across_formats(report: Report, generation: Generation) -> None:
    """Identity and message key do not depend on format, generation or offset."""
    other = from_xml(report, generation)
    if report.done_at:
        other = replace(other, done_at=report.done_at.astimezone(UTC))
    assert identity(other) == identity(report)
    assert message_key(other) == message_key(report)


@given(NEARLY_ITEMS)
def test_any_item_is_a_report_or_malformed(item: dict[str, Any]) -> None:
    """Whatever stands in the fields: a report that can be written and read, or one error."""
    try:
        report = read_item(item, "x")
    except MalformedReport:
        return
    written = json_format.encode_item(report)
    assert json_format.decode_item(written, report.generation) == normal(report)
    from_xml(report)


def normal(report: Report) -> Report:
    """The report with the floats of its unknown fields as the decimals that JSON gives."""
    item = json.loads(json_format.encode_item(report), parse_float=Decimal)
    return read_item(item, "x", report.generation)


def check_judged(body: bytes, format: Format) -> None:
    verdict = verdict_on_bytes(body, format)
    for entry in verdict.entries:
        json_format.decode_item(entry.item, entry.generation)
    for item in verdict.quarantined:
        assert item.reason
        assert verdict.readable or item.raw == body


@given(st.binary(max_size=200), st.sampled_from([None, "text/plain"]))
def test_any_bytes_are_judged(body: bytes, content_type: str | None) -> None:
    """Any bytes give reports, quarantine entries, or one kind of error."""
    check_judged(body, "json")
    check_judged(body, "xml")
    check_judged(body, format_of(content_type, body) or "json")


@given(st.sampled_from(["json", "xml"]), st.data())
def test_damaged_bodies_are_judged(format: Format, data: st.DataObject) -> None:
    """A real body with any piece cut out or replaced is judged without an exception."""
    body = V2_JSON if format == "json" else V2_XML
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 20)))
    piece = data.draw(st.binary(max_size=6) | st.sampled_from([b'"', b"<", b"[", b"\\u", b"&#0;"]))
    check_judged(body[:start] + piece + body[end:], format)


@given(st.lists(JSON_VALUES, max_size=4))
@example([math.nan, {"to": "\ud800"}, {"to": "1"}])
def test_every_item_is_accounted_for(items: list[Any]) -> None:
    """Each item of a list is a report or unreadable with its own bytes, in order."""
    body = json.dumps({"results": items}).encode()
    read = json_format.decode_body(body)
    assert len(read) == len(items)
    for item, came in zip(items, read, strict=True):
        if isinstance(came, Unreadable):
            assert came.raw == json.dumps(item).encode()


@given(st.binary(max_size=40))
def test_garbage_behind_a_body_is_refused(garbage: bytes) -> None:
    """Bytes behind the end of a body make it unreadable, unless they are blanks."""
    try:
        read = json_format.decode_body(V2_JSON + garbage)
    except MalformedBody:
        assert garbage.strip(b" \t\r\n")
    else:
        assert not garbage.strip(b" \t\r\n")
        assert len(read) == 1
