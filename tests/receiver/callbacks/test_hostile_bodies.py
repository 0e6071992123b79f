"""Bodies made to break a receiver, and what each of them gets.

An outcome is the number of entries and of quarantined items; `None` is a body refused as a whole.
"""

from __future__ import annotations

import codecs
import encodings.aliases
import gc
import time
from typing import Any

import pytest

from receiver.callbacks.intake import verdict_on_bytes
from receiver.dlr.model import Format
from tests.receiver.payloads import V2_JSON, V2_XML, a_json_body, a_v3_item, an_item

DEEP = 100_000
GOOD = b'{"messageId":"1","status":{}}'
Outcome = tuple[int, int] | None


def outcome(body: bytes, format: Format) -> Outcome:
    verdict = verdict_on_bytes(body, format)
    return (len(verdict.entries), len(verdict.quarantined)) if verdict.readable else None


def among(item: bytes) -> bytes:
    return b'{"results":[' + GOOD + b"," + item + b"," + GOOD + b"]}"


def xml_among(item: str) -> bytes:
    good = "<result><messageId>1</messageId><status/></result>"
    return f"<r><results>{good}<result>{item}</result>{good}</results></r>".encode()


LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"lol") for n in range(10)
)

JSON: dict[str, tuple[bytes, Outcome]] = {
    "empty": (b"", None),
    "blank": (b" \n", None),
    "truncated": (V2_JSON[:-20], None),
    "truncated in a text": (V2_JSON[:40], None),
    "two bodies": (V2_JSON * 2, None),
    "deep at the root": (b"[" * DEEP, None),
    "deep and closed at the root": (b"[" * DEEP + b"]" * DEEP, None),
    "deep objects at the root": (b'{"a":' * DEEP, None),
    "deep beside the results": (
        b'{"x":' + b"[" * DEEP + b"]" * DEEP + b',"results":[' + GOOD + b"]}",
        (1, 0),
    ),
    "deep in an item": (among(b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}"), (2, 1)),
    "deep instead of an item": (among(b"[" * DEEP + b"]" * DEEP), (2, 1)),
    "deep in an item, to the limit": (
        among(b'{"status":{},"x":' + b"[" * 32 + b"]" * 32 + b"}"),
        (3, 0),
    ),
    "deep in an item, over the limit": (among(b'{"x":' + b"[" * 33 + b"]" * 33 + b"}"), (2, 1)),
    "lone surrogate": (among(b'{"to":"\\ud800"}'), (2, 1)),
    "lone surrogate in a name": (among(b'{"\\udc00":1}'), (2, 1)),
    "lone surrogate beside the results": (b'{"x":"\\ud800","results":[{"status":{}}]}', (1, 0)),
    "surrogate in UTF-8": (among(b'{"to":"\xed\xa0\x80"}'), (2, 1)),
    "bad UTF-8": (among(b'{"to":"\xff\xfe"}'), (2, 1)),
    "escaped NUL": (among(b'{"status":{},"to":"\\u0000"}'), (3, 0)),
    "bare NUL": (among(b'{"to":"\0"}'), (2, 1)),
    "NUL between items": (b'{"results":[{}\0]}', None),
    "NaN": (among(b'{"smsCount":NaN}'), (2, 1)),
    "NaN as an item": (among(b"NaN"), (2, 1)),
    "Infinity in an unknown field": (among(b'{"x":[-Infinity]}'), (2, 1)),
    "1e400 as a price": (among(b'{"price":{"pricePerMessage":1e400}}'), (2, 1)),
    "1e999999999 in an unknown field": (among(b'{"x":1e999999999}'), (2, 1)),
    "1e999999999 as a count": (among(b'{"smsCount":1e999999999}'), (2, 1)),
    "1e999999999 as a text": (among(b'{"to":1e999999999}'), (2, 1)),
    "1e-999999999 as a price": (among(b'{"price":{"pricePerMessage":1e-999999999}}'), (2, 1)),
    "exponent of 20 digits": (among(b'{"x":1e99999999999999999999}'), (2, 1)),
    "5,000 digits": (among(b'{"smsCount":' + b"9" * 5000 + b"}"), (2, 1)),
    "5,000 digits in an unknown field": (among(b'{"x":' + b"9" * 5000 + b"}"), (2, 1)),
    "5,000 digits in a text": (among(b'{"smsCount":"' + b"9" * 5000 + b'"}'), (2, 1)),
    "65 bits": (among(b'{"smsCount":9223372036854775808}'), (2, 1)),
    "65 bits as an id": (among(b'{"status":{},"messageId":9223372036854775808}'), (3, 0)),
    "a million blanks": (among(b'{"status":{},"smsCount":"' + b" " * 10**6 + b'"}'), (3, 0)),
    "a million quotes": (b'{"results":["' + b'\\"' * 10**6, None),
    "a million commas": (b'{"results":[' + b"," * 10**6, None),
    "a million brackets after a bad item": (among(b'NaN,"' + b"[" * 10**6 + b'"'), (2, 2)),
    "UTF-16": (V2_JSON.decode().encode("utf-16"), (1, 0)),
    "XML": (V2_XML, None),
    "a click event": (b'{"notificationType":"CLICKED","recipient":"1"}', (0, 1)),
    "a OneAPI push": (b'{"deliveryInfoNotification":{"deliveryInfo":{}}}', (0, 1)),
    "BOM": (codecs.BOM_UTF8 + V2_JSON, (1, 0)),
}

XML: dict[str, tuple[bytes, Outcome]] = {
    "empty": (b"", None),
    "truncated": (V2_XML[:-30], None),
    "garbage behind": (V2_XML + b"x", None),
    "two roots": (b"<a><results/></a><b/>", None),
    "deep at the root": (b"<a>" * DEEP, None),
    "deep and closed at the root": (b"<a>" * DEEP + b"</a>" * DEEP, None),
    "deep results": (b"<results>" * DEEP + b"</results>" * DEEP, (0, 1)),
    "deep beside the results": (
        b"<r>"
        + b"<a>" * DEEP
        + b"</a>" * DEEP
        + b"<results><result><status/></result></results></r>",
        (1, 0),
    ),
    "deep in an item": (xml_among("<a>" * DEEP + "</a>" * DEEP), (2, 1)),
    "deep in a text": (xml_among("<to>" * DEEP + "</to>" * DEEP), (2, 1)),
    "entity bomb": (b"<!DOCTYPE r [" + LAUGHS + b"]><r>&l9;</r>", None),
    "quadratic entity": (b'<!DOCTYPE r [<!ENTITY a "%s">]><r>&a;</r>' % (b"a" * 10**5), None),
    "file entity": (b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><r>&a;</r>', None),
    "parameter entity": (b'<!DOCTYPE r [<!ENTITY % a SYSTEM "http://x/"> %a;]><r/>', None),
    "external DTD": (
        b'<!DOCTYPE r SYSTEM "http://127.0.0.1:1/x.dtd"><r><results><result><status/></result></results></r>',
        (1, 0),
    ),
    "undefined entity": (b"<r>&nbsp;</r>", None),
    "NUL": (V2_XML.replace(b"4179", b"\0"), None),
    "reference to NUL": (V2_XML.replace(b"4179", b"&#0;"), None),
    "reference to a surrogate": (V2_XML.replace(b"4179", b"&#xD800;"), None),
    "bad UTF-8": (V2_XML.replace(b"4179", b"\xff"), None),
    "unknown encoding": (b'<?xml version="1.0" encoding="x-none"?><r/>', None),
    "an encoding of several bytes": (b'<?xml version="1.0" encoding="shift_jis"?><r/>', None),
    "UTF-16": (V2_XML.decode().replace("UTF-8", "UTF-16").encode("utf-16"), (1, 0)),
    "NaN": (xml_among("<price><pricePerMessage>NaN</pricePerMessage></price>"), (2, 1)),
    "1e400": (xml_among("<price><pricePerMessage>1e400</pricePerMessage></price>"), (2, 1)),
    "5,000 digits": (xml_among(f"<smsCount>{'9' * 5000}</smsCount>"), (2, 1)),
    "65 bits": (xml_among("<smsCount>9223372036854775808</smsCount>"), (2, 1)),
    "a field twice": (xml_among("<to>1</to><to>2</to>"), (2, 1)),
    "elements in a text": (xml_among("<to><b>1</b></to>"), (2, 1)),
    "text instead of an item": (xml_among("text"), (2, 1)),
    "text between fields": (xml_among("text<status/>text"), (3, 0)),
    "text instead of items": (b"<r><results>text</results></r>", (0, 1)),
    "nil": (xml_among('<error/><status xmlns:i="x" i:nil="true"/>'), (3, 0)),
    "10,000 attributes": (
        xml_among("<status/><to " + " ".join(f'a{n}="x"' for n in range(10_000)) + ">1</to>"),
        (3, 0),
    ),
    "JSON": (V2_JSON, None),
    "HTML": (b"<html><body><p>502</body></html>", None),
}


@pytest.mark.parametrize("name", JSON)
def test_hostile_json(name: str) -> None:
    """A hostile JSON body gets what the table says, quickly."""
    check(*JSON[name], "json")


@pytest.mark.parametrize("name", XML)
def test_hostile_xml(name: str) -> None:
    """A hostile XML body gets what the table says, quickly."""
    check(*XML[name], "xml")


def check(body: bytes, expected: Outcome, format: Format) -> None:
    started = time.process_time()
    assert outcome(body, format) == expected
    gc.collect()
    assert time.process_time() - started < 5  # a hang takes minutes; these take milliseconds


OF_TEXT: list[Any] = [True, [], {}, ["1"], float("nan"), "\ud800"]
OF_INTEGER: list[Any] = ["x", True, [], {}, 1.5, 2**63, -(2**63) - 1, "1 2", float("inf")]
OF_DECIMAL: list[Any] = ["x", True, [], {}, 1e300, "1e300", "NaN", float("inf")]
OF_INSTANT: list[Any] = ["x", True, [], {}, 1573315200000, "2019-02-30", "9999-12-31T23:59:59-0100"]
OF_OBJECT: list[Any] = ["x", True, [], 5, [{}], ""]
OF_BOOLEAN: list[Any] = ["x", 2, [], {}, 0.5, "yes"]

TEXTS = ("bulkId", "messageId", "to", "from", "sender", "mccMnc", "mccmnc", "callbackData")
IDS = ("entityId", "applicationId", "platform.entityId", "platform.applicationId")
INNER_TEXTS = ("groupName", "name", "description")
INTEGERS = ("smsCount", "messageCount", "status.groupId", "status.id", "error.groupId", "error.id")

WRONG: dict[str, list[Any]] = {
    **dict.fromkeys((*TEXTS, *IDS, "campaignReferenceId", "price.currency"), OF_TEXT),
    **{f"{part}.{name}": OF_TEXT for part in ("status", "error") for name in INNER_TEXTS},
    "status.action": OF_TEXT,
    **dict.fromkeys(INTEGERS, OF_INTEGER),
    "price.pricePerMessage": OF_DECIMAL,
    "sentAt": OF_INSTANT,
    "doneAt": OF_INSTANT,
    **dict.fromkeys(("price", "status", "error", "platform"), OF_OBJECT),
    "error.permanent": OF_BOOLEAN,
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG.items() for value in values]
)
def test_a_wrong_type_at_any_place_is_told_by_its_place(field: str, value: Any) -> None:
    """Whatever field is of the wrong type, it is named, and the neighbours are read."""
    bad: dict[str, Any] = {}
    outer, _, inner = field.partition(".")
    bad[outer] = {inner: value} if inner else value
    verdict = verdict_on_bytes(a_json_body(an_item(), bad, a_v3_item()), "json")
    assert len(verdict.entries) == 2
    (item,) = verdict.quarantined
    assert item.place == f"results[1].{field}"
    assert item.reason.startswith("expected ")


def test_any_encoding_python_knows_is_survived() -> None:
    """A declared encoding cannot raise anything new, however odd the codec."""
    for name in sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values(), "idna"}):
        document = f'<?xml version="1.0" encoding="{name}"?><r><results>x</results></r>'
        verdict = verdict_on_bytes(document.encode(), "xml")
        assert len(verdict.quarantined) == 1


def test_ten_thousand_bad_items_are_ten_thousand_entries() -> None:
    """A large body of bad items is cut in one pass."""
    check(b'{"results":[' + b",".join([b"NaN"] * 10_000) + b"]}", (0, 10_000), "json")
    check(b"<r><results>" + b"<result>x</result>" * 10_000 + b"</results></r>", (0, 10_000), "xml")
