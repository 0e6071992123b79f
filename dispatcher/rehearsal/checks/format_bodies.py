"""The bodies of the format checks, each with what the app should hold afterwards. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from dispatcher.rehearsal.bodies import Body, Ids, Maker, at_offset, body
from dispatcher.rehearsal.check import Bodies
from dispatcher.rehearsal.truth import PENDING, UNDELIVERABLE, Expected
from receiver.dlr.item import write_item
from receiver.dlr.model import Report, Status


def delivered(*reports: Report) -> list[Expected]:
    return [Expected(report.message_id or "") for report in reports]


def _each(reports: Sequence[Report], names: Sequence[str]) -> list[Expected]:
    """As `delivered`, with what is special about each."""
    pairs = zip(delivered(*reports), names, strict=True)
    return [replace(expected, what=name) for expected, name in pairs]


def _known(*reports: Report) -> list[Expected]:
    """The app knows the messages; in which state is its own affair."""
    return [Expected(report.message_id or "", None) for report in reports]


def bucket(number: int, **how: Any) -> Callable[[Maker], Bodies]:
    def make(maker: Maker) -> Bodies:
        reports = maker.reports(number)
        fewer = [size for size in (2, 10, 50, 500) if size < number]
        parts = tuple(body(maker.reports(size), **how) for size in fewer)
        whole = replace(body(reports, **how), parts=parts)
        if number == 1:
            return [whole], delivered(*reports)
        return [whole], _each(reports, [f"number {n} of {number}" for n in range(1, number + 1)])

    return make


def hundred(maker: Maker) -> Bodies:
    """100 reports; then 97, which no size of batches divides."""
    (whole,), expected = bucket(100)(maker)
    (odd,), others = bucket(97)(maker)
    return [whole, odd], [*expected, *others]


def _as_json(items: Sequence[dict[str, Any]], what: str, **top: Any) -> Body:
    data = json.dumps({**top, "results": items}, default=float, ensure_ascii=False).encode()
    return Body(what=what, data=data)


def minimal(maker: Maker) -> Bodies:
    message_id = maker.message_id()
    item = {"messageId": message_id, "status": {"groupName": "DELIVERED"}}
    return [_as_json([item], "1 report with only an id and a group name")], [
        Expected(message_id, None)
    ]


def all_fields(maker: Maker) -> Bodies:
    full: dict[str, Any] = {
        "entity_id": "entity",
        "application_id": "default",
        "campaign_reference_id": "summer",
    }
    reports = [maker.report(**full) for _ in range(3)]
    told = reports[0].status
    assert told is not None
    acted = replace(reports[0], status=replace(told, action="Contact account manager"))
    bodies = [
        body([acted], what="every field"),
        body([reports[1]], generation="v3", what="every field"),
        body([reports[2]], "xml", "v3", what="every field"),
    ]
    return bodies, _each(reports, ("v2 JSON", "v3 JSON", "v3 XML"))


def unknown_fields(maker: Maker) -> Bodies:
    report, other = maker.report(), maker.report()
    plain = write_item(report, "v2")
    item = {
        **plain,
        "channel": "SMS",
        "newObject": {"a": [1, {"b": None}]},
        "newFlag": True,
    }
    item["status"] = {**item["status"], "newInStatus": 1}
    parts = (
        _as_json([{**plain, "newText": "x"}], "an unknown string in the report"),
        _as_json([{**plain, "newObject": {"a": 1}}], "an unknown object in the report"),
        _as_json([{**plain, "status": item["status"]}], "an unknown field in the status"),
        _as_json([plain], "an unknown field beside results", newAtTheTop=[1]),
    )
    unknown = _as_json([item], "1 report with unknown fields", newAtTheTop=[1])
    json_body = replace(unknown, parts=parts)
    extra = {"newText": "x", "newObject": {"inner": "y"}}
    xml_body = body([replace(other, unknown=extra)], "xml", "v3", what="unknown elements")
    return [json_body, xml_body], _each((report, other), ("JSON", "XML"))


def field_order(maker: Maker) -> Bodies:
    report, other = maker.report(), maker.report()
    item = dict(reversed(write_item(report, "v2").items()))
    backwards = dict(reversed(write_item(other, "v3").items()))
    elements = "".join(_element(name, value) for name, value in backwards.items())
    xml = f"<DeliveryReports><results><result>{elements}</result></results></DeliveryReports>"
    return [
        _as_json([item], "1 report, fields backwards"),
        Body(
            what="1 report, elements backwards, no XML declaration",
            data=xml.encode(),
            content_type="application/xml",
        ),
    ], _each((report, other), ("JSON, fields backwards", "XML, elements backwards"))


def _element(name: str, value: Any) -> str:
    if isinstance(value, dict):
        inner = "".join(_element(*pair) for pair in reversed(value.items()))
        return f"<{name}>{inner}</{name}>"
    text = str(value).lower() if isinstance(value, bool) else value
    return f"<{name}>{text}</{name}>"


def new_status(maker: Maker) -> Bodies:
    new = Status(
        group_id=2,
        group_name="UNDELIVERABLE",
        id=4711,
        name="UNDELIVERABLE_FOR_A_NEW_REASON",
        description="A status that was added later",
    )
    first, strange, last = maker.report(), maker.report(status=new), maker.report()
    whole = body([first, strange, last], what="the second has a new status of a known group")
    parts = (body([first], what="a known status"), body([strange], what="the new status"))
    return [replace(whole, parts=parts)], [
        *_each((first, last), ("before the new status", "after the new status")),
        *(replace(each, what="the new status") for each in _known(strange)),
    ]


def new_group(maker: Maker) -> Bodies:
    new = Status(
        group_id=77, group_name="PARKED", id=7701, name="PARKED_FOR_NOW", description="New"
    )
    first, strange, last = maker.report(), maker.report(status=new), maker.report()
    reports = [first, strange, last]
    parts = (body([first], what="a known group"), body([strange], what="the new group"))
    whole = replace(body(reports, what="the second has a new status group"), parts=parts)
    names = ("before the new group", "after the new group")
    return [whole], _each((first, last), names)


def bad_items(maker: Maker) -> Bodies:
    """Three items that hold nothing to store, between two good reports."""
    first, last = maker.report(), maker.report()
    bad: list[dict[str, Any]] = [
        {},
        {"messageId": maker.message_id(), "status": None},
        {"messageId": maker.message_id(), "status": {}, "doneAt": "n/a", "price": "free"},
    ]
    names = ("an empty item", "a status of null", "a status without fields, doneAt n/a")
    pairs = zip(bad, names, strict=True)
    parts = tuple(_as_json([each], name) for each, name in pairs)
    items = [write_item(first, "v2"), *bad, write_item(last, "v2")]
    whole = _as_json(items, "2 good reports, and 3 bad items between them")
    beside = ("a good report before the bad items", "a good report after the bad items")
    return [replace(whole, parts=parts)], _each((first, last), beside)


NUMBERS_AS_TEXT = "numbers written as strings"


def numeric(maker: Maker) -> Bodies:
    # as the platform makes ids: 19 digits, more than a double holds
    ids: Ids = "numeric" if maker.values.ids == "named" else maker.values.ids
    digits = [maker.as_id(maker.message_id(), ids) for _ in range(3)]
    texts: dict[str, Any] = {"mcc_mnc": "04501", "callback_data": "00123", "sender": "447860"}
    reports = [maker.report(message_id=each, **texts) for each in digits]
    item = write_item(reports[2], "v2")
    item["status"] = {**item["status"], "groupId": "3", "id": "5"}
    item["smsCount"] = "1"
    bodies = [
        body([reports[0]], what="strings that look like numbers"),
        body([reports[1]], "xml", "v3", what="strings that look like numbers"),
        _as_json([item], f"1 report, {NUMBERS_AS_TEXT}"),
    ]
    expected = [Expected(digits[n], callback_data=reports[n].callback_data) for n in (0, 1)]
    return bodies, [*expected, Expected(digits[2], None)]


ODD_TEXTS = (
    '{"order":4711,"tags":["a","b"]}',
    " <b>bold</b> & \"quotes\" 'single' \\back\\ %s ${x} {{y}} &amp; &lt;i&gt; ",
    "'; DROP TABLE reports; --",
    "Grüße, 你好, مرحبا, 🙂👩‍👩‍👧, a line\nand another\tand a tab",
)


ODD_NAMES = ("JSON", "markup and quotes", "SQL", "emoji and lines")
LONG_NAME = "4,000 signs"
"""What the texts have in them."""


def callback_data(maker: Maker) -> Bodies:
    texts = [*ODD_TEXTS, "x" * 4000]
    plain = [maker.report(callback_data=text) for text in texts]
    xml = [maker.report(callback_data=text) for text in texts]
    silent = maker.report(callback_data=None)
    expected = [
        Expected(
            report.message_id or "", callback_data=report.callback_data, what=f"{name} in {form}"
        )
        for form, reports in (("JSON", plain), ("XML", xml))
        for report, name in zip(reports, (*ODD_NAMES, LONG_NAME), strict=True)
    ]
    what = "long and odd callbackData"
    return [
        replace(body(plain, what=what), parts=_alone(plain)),
        replace(body(xml, "xml", "v3", what=what), parts=_alone(xml, form="xml", generation="v3")),
        body([silent], what="no callbackData"),
    ], [*expected, *delivered(silent)]


def _alone(reports: Sequence[Report], **how: Any) -> tuple[Body, ...]:
    """Each odd callbackData in a body of its own."""
    return tuple(
        body([report], **how, what=f"callbackData with {name}")
        for report, name in zip(reports, (*ODD_NAMES, LONG_NAME), strict=True)
    )


def dates(maker: Maker) -> Bodies:
    zones = (60, -180, 330, 0)
    reports = [maker.report(sent_at=at_offset(z), done_at=at_offset(z)) for z in zones]
    names = ("+0100", "-0300", "+0530", "+0000")
    pairs = zip(reports, names, strict=True)
    parts = tuple(body([report], what=f"dates at {name}") for report, name in pairs)
    bare = maker.report(PENDING, done_at=None)
    exact: datetime = at_offset(60).replace(microsecond=123000)
    xml = maker.report(sent_at=exact, done_at=exact)
    return [
        replace(body(reports, what="dates at +0100, -0300, +0530 and +0000"), parts=parts),
        body([bare], what="no doneAt"),
        body([xml], "xml", "v3", what="dates at +0100 with milliseconds"),
    ], [
        *(replace(each, done_at=at_offset(0)) for each in _each(reports, names)),
        replace(*delivered(xml), done_at=exact),
        Expected(bare.message_id or "", PENDING),
    ]


def prices(maker: Maker) -> Bodies:
    report = maker.report(UNDELIVERABLE)
    other, free = maker.report(), maker.report()
    item = write_item(report, "v2")
    item["price"] = {"pricePerMessage": 0, "currency": "EUR"}
    fine = {**write_item(other, "v2"), "price": {"pricePerMessage": 0.0012345}}
    none = {**write_item(free, "v2"), "price": None}
    none.pop("error")
    items = [item, fine, none]
    names = ("a price of 0", "a price without currency", "no price and no error")
    refused, *rest = _each((report, other, free), names)
    expected = [replace(refused, status=UNDELIVERABLE), *rest]
    pairs = zip(items, names, strict=True)
    parts = tuple(_as_json([each], f"1 report with {name}") for each, name in pairs)
    whole = _as_json(items, "3 reports: price 0, price without currency, no price")
    return [replace(whole, parts=parts)], expected


def charset(maker: Maker) -> Bodies:
    reports = [maker.report(callback_data="Grüße 🙂") for _ in range(7)]
    types = (
        "Application/JSON",
        "application/json; version=1; charset=utf-8",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/xml; charset=utf-8",
        "text/xml",
        "Application/XML",
    )
    bodies = [
        body(
            [report],
            "xml" if kind.lower().partition(";")[0].endswith("xml") else "json",
            "v3" if "xml" in kind.lower() else "v2",
            content_type=kind,
        )
        for report, kind in zip(reports, types, strict=True)
    ]
    return bodies, [
        Expected(each.message_id or "", callback_data=each.callback_data, what=kind)
        for each, kind in zip(reports, types, strict=True)
    ]


def charset_other(maker: Maker) -> Bodies:
    marked, latin = maker.report(), maker.report(callback_data="Grüße")
    plain = body([marked])
    xml = body([latin], "xml", "v3").data.decode().replace('"utf-8"', '"ISO-8859-1"')
    return [
        replace(plain, what="1 report after a byte order mark", data=b"\xef\xbb\xbf" + plain.data),
        Body(
            what="1 report, XML that declares ISO-8859-1",
            data=xml.encode("latin-1"),
            content_type="application/xml",
        ),
    ], [*delivered(marked), Expected(latin.message_id or "", callback_data=latin.callback_data)]
