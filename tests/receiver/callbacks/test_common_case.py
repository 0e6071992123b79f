"""An item that says nothing out of the ordinary is decided in one pass, without the readers that
take everything. The short way must never judge differently from the long one, whatever the bytes:
a report that got another identity there would be stored twice, or never.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from receiver.callbacks.common_case import common_entry
from receiver.callbacks.intake import NO_LIMITS, Limits, verdict_on_bytes
from receiver.dlr import xml_format
from receiver.dlr.json_format import encode_item
from receiver.dlr.model import Format
from receiver.store.excerpt import summary_of_item
from tests.receiver.callbacks.test_fuzz import spoilt
from tests.receiver.payloads import V2_JSON, V2_XML, V3_JSON, V3_XML, a_report, a_v3_item, an_item

INTEGERS = [
    "0", "3", "-1", "-0", "1.0", "3e0", "1e400", '"3"', '" 3 "', '"3.0"', '"+3"', '""', "true",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "9" * 400,
]  # fmt: skip
NUMBERS = [
    "0", "-0", "0.0100", "-0.0", "1e2", "1E2", "1E-7", "0.0000001", "0.000001",
    "12345678901234567890",
    "1" * 40, "1" * 41, "0." + "1" * 38, "0." + "1" * 39, '"0.01"', '"1_000"', '" 1"', '"NaN"',
    '""',
    '"Infinity"', "1e999999999999999999999", "[]", "true",
]  # fmt: skip
INSTANTS = [
    f'"{text}"'
    for text in (
        "2026-05-09T16:00:00.000+0000", "2026-05-09T16:00:01.500+0530",
        "2026-05-09T16:00:01.500-2359",
        "2026-05-09T16:00:00.000-0000", "2026-05-09T16:00:00.000-0030",
        "2026-05-09T16:00:00.000+2400",
        "2026-05-09T16:00:00.000+0060", "2026-05-09T16:00:00.000Z", "2026-05-09T16:00:00.000+00:00",
        "2026-05-09T16:00:00.001500+0000", "2026-05-09T16:00:00+0000",
        "2026-05-09 16:00:00.000+0000",
        "2026-02-29T16:00:00.000+0000", "2026-05-09T24:00:00.000+0000",
        "2026-05-09T23:59:60.000+0000",
        "0001-01-01T00:00:00.000+0100", "9999-12-31T23:59:59.000-0100",
        "0000-01-01T00:00:00.000+0000",
        "२026-05-09T16:00:00.000+0000", " 2026-05-09T16:00:00.000+0000", "2026-05-09", "",
    )
]  # fmt: skip
TEXTS = [
    '"4179"', '""', '" "', '"\\u0000"', '"\\ud83d\\ude00"', '"\\ud800"', '"é"', '"\\/"',
    '"\\"sender\\""',
    "5", "5.50", "false", '"DELIVERED"', '"REJECTED "', '"ß"',
]  # fmt: skip
ODD = ["null", "[]", "{}", '{"id":1}', "[[1]]"]

FIELDS = {
    **dict.fromkeys(("bulkId", "messageId", "to", "from", "sender", "mccMnc", "mccmnc"), TEXTS),
    **dict.fromkeys(("callbackData", "entityId", "applicationId", "campaignReferenceId"), TEXTS),
    **dict.fromkeys(("sentAt", "doneAt"), INSTANTS),
    **dict.fromkeys(("smsCount", "messageCount"), INTEGERS),
    "novel": TEXTS,
    "seenAt": INSTANTS,
}
"""Values of the fields of an item, each as it stands in JSON: usual ones, and their neighbours."""

PARTS = {
    "price": {"pricePerMessage": NUMBERS, "currency": TEXTS, "unknown": TEXTS},
    "status": dict.fromkeys(("groupId", "id"), INTEGERS)
    | dict.fromkeys(("groupName", "name", "description", "action", "unknown"), TEXTS),
    "error": dict.fromkeys(("groupId", "id"), INTEGERS)
    | dict.fromkeys(("groupName", "name", "description", "unknown"), TEXTS)
    | {"permanent": ["true", "false", '"true"', "1", "null"]},
    "platform": dict.fromkeys(("entityId", "applicationId", "unknown"), TEXTS),
}


def objects(fields: dict[str, st.SearchStrategy[str]], most: int) -> st.SearchStrategy[str]:
    """Objects in JSON with some of these fields, in any order, one perhaps twice."""
    field = st.sampled_from(sorted(fields)).flatmap(
        lambda name: fields[name].map(lambda value: f'"{name}":{value}')
    )
    return st.lists(field, max_size=most).map(lambda found: f"{{{','.join(found)}}}")


def values(usual: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(usual) | st.sampled_from(ODD)


ITEMS = objects(
    {name: values(usual) for name, usual in FIELDS.items()}
    | {
        part: objects({name: values(usual) for name, usual in of.items()}, 5) | st.sampled_from(ODD)
        for part, of in PARTS.items()
    }
    # Few reports are told without these two.
    | {"messageId": st.just('"m"'), "status": st.just('{"groupId":3,"id":5}')},
    10,
)


def judged(body: bytes, format: Format, limits: Limits = NO_LIMITS) -> Any:
    """The verdict, each summary as what the read model takes of it, which two types may tell."""
    verdict = verdict_on_bytes(body, format, limits)
    taken = [
        s and (s.keys(), s.said(), s.currency, s.price, s.milliseconds)
        for s in (entry.summary for entry in verdict.entries)
    ]
    for entry, told in zip(verdict.entries, taken, strict=True):
        s = summary_of_item(entry.item, entry.generation)
        assert told == (s.keys(), s.said(), s.currency, s.price, s.milliseconds)
    return replace(verdict, entries=[replace(entry, summary=None) for entry in verdict.entries])


def the_long_way(body: bytes, format: Format, limits: Limits = NO_LIMITS) -> Any:
    with (
        patch("receiver.callbacks.intake.common_entry", lambda *_, **__: None),
        patch("receiver.callbacks.intake.common_entry_of_xml", lambda *_, **__: None),
        patch("receiver.dlr.xml_format._may_have_attributes", lambda _: True),
    ):
        return judged(body, format, limits)


@given(st.lists(ITEMS, max_size=4), st.sampled_from([NO_LIMITS, Limits(items=3, field=30)]))
@example(['{"messageId":"m","status":{"id":5},"price":{"pricePerMessage":-0}}'], NO_LIMITS)
@example(['{"messageId":"m","status":{},"sender":"x","platform":{}}'], NO_LIMITS)
@example(['{"messageId":"m","status":{"unknown":{"a":"b"}}}'], NO_LIMITS)
@example(['{"messageId":"m","status":{"id":5},"to":null,"to":"1","to":null}'], NO_LIMITS)
def test_both_ways_judge_the_same(items: list[str], limits: Limits) -> None:
    body = f'{{"results":[{",".join(items)}]}}'.encode()
    assert judged(body, "json", limits) == the_long_way(body, "json", limits)


@given(st.data())
def test_each_value_of_each_field_is_judged_the_same(data: st.DataObject) -> None:
    """One odd value in an item that is usual otherwise: most draws reach the short way."""
    part = data.draw(st.sampled_from(["", *PARTS]))
    name = data.draw(st.sampled_from(sorted(PARTS[part] if part else FIELDS)))
    value = data.draw(values((PARTS[part] if part else FIELDS)[name]))
    field = f'"{part}":{{"{name}":{value}}}' if part else f'"{name}":{value}'
    rest = data.draw(
        st.sampled_from(
            ['"from":"a"', '"sender":"a"', '"messageCount":2', '"entityId":"e"', '"to":""']
        )
    )
    body = f'{{"results":[{{"messageId":"m","error":{{"id":0}},{rest},{field}}}]}}'.encode()
    assert judged(body, "json") == the_long_way(body, "json")


# --- XML ---------------------------------------------------------------------------------------

XML_INTEGERS = ["0", "3", "-1", "-0", "007", "+3", "3.0", " 3 ", "", "9" * 18, "9" * 19, "9" * 400]
XML_NUMBERS = [
    "0", "-0", "0.0100", ".5", "5.", "1e2", "1E-7", "0.0000001", "-0.0", " 1 ", "1" * 40, "1" * 41,
    "NaN", "1_000", "",
]  # fmt: skip
XML_INSTANTS = [text[1:-1] for text in INSTANTS]
XML_TEXTS = ["4179", "", " ", "é", "&lt;b&gt;", "&#10;", "DELIVERED", "<![CDATA[<]]>", "a=b"]
XML_ODD = ["<x>1</x>", "<x/>", "<id>5</id>", "t<id>5</id>", "<!-- c -->"]
XML_VALUES = {
    **dict.fromkeys(FIELDS, XML_TEXTS),
    **dict.fromkeys(("sentAt", "doneAt", "seenAt"), XML_INSTANTS),
    **dict.fromkeys(("smsCount", "messageCount"), XML_INTEGERS),
}
XML_PARTS = {
    part: {
        name: XML_NUMBERS
        if name == "pricePerMessage"
        else XML_INTEGERS
        if values is INTEGERS
        else ["true", "false", "1", "TRUE", "", "maybe"]
        if name == "permanent"
        else XML_TEXTS
        for name, values in of.items()
    }
    for part, of in PARTS.items()
}
TAGS = ["<{0}>{1}</{0}>"] * 8 + ['<{0} a="1">{1}</{0}>', "<{0}/>", "<n:{0}>{1}</n:{0}>"]


def elements(fields: dict[str, st.SearchStrategy[str]], most: int) -> st.SearchStrategy[str]:
    """Some of these elements, in any order, one perhaps twice, with or without blanks between."""
    element = st.sampled_from(sorted(fields)).flatmap(
        lambda name: st.tuples(st.sampled_from(TAGS), fields[name]).map(
            lambda found: found[0].format(name, found[1])
        )
    )
    between = st.sampled_from(["", "", "\n  ", "t"])
    return st.tuples(between, st.lists(element, max_size=most)).map(
        lambda found: found[0] + found[0].join(found[1])
    )


def xml_values(usual: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(usual * 4 + XML_ODD)


XML_ITEMS = elements(
    {name: xml_values(usual) for name, usual in XML_VALUES.items()}
    | {
        part: elements({name: xml_values(usual) for name, usual in of.items()}, 4)
        for part, of in XML_PARTS.items()
    }
    | {"messageId": st.just("m"), "status": st.just("<groupId>3</groupId><id>5</id>")},
    8,
)


@given(
    st.lists(XML_ITEMS, max_size=3),
    st.sampled_from(["reportResponse", "DeliveryReports", "x", 'x xmlns:n="urn:n"']),
    st.sampled_from(["", '<?xml version="1.0"?>']),
    st.sampled_from([NO_LIMITS, Limits(items=2, field=30)]),
)
@example(["<messageId>m</messageId><status><id>5</id></status><to/>"], "x", "", NO_LIMITS)
@example(["<messageId>m</messageId><status><id>5</id>t</status>"], "x", "", NO_LIMITS)
def test_both_ways_judge_xml_the_same(
    items: list[str], root: str, declaration: str, limits: Limits
) -> None:
    inner = "".join(f"<result>{item}</result>" for item in items)
    end = root.partition(" ")[0]
    body = f"{declaration}<{root}><results>{inner}</results></{end}>".encode()
    assert judged(body, "xml", limits) == the_long_way(body, "xml", limits)


@pytest.mark.parametrize("root", ["reportResponse", "DeliveryReports", "x"])
@pytest.mark.parametrize("blank", ["", "\n   "])
def test_what_the_provider_writes_in_xml_goes_the_short_way(root: str, blank: str) -> None:
    with patch("receiver.callbacks.intake.entry_of", side_effect=AssertionError):
        for item in (a_report(generation="v2"), a_report(generation="v3")):
            body = xml_format.encode_body([item])
            (entry,) = verdict_on_bytes(body.replace(b"><", f">{blank}<".encode()), "xml").entries
            assert entry.item == encode_item(item)
        bare = "<messageId>m</messageId><status><id>5</id></status>"
        body = f"<{root}><results><result>{bare}</result></results></{root}>".encode()
        (entry,) = verdict_on_bytes(body, "xml").entries
        assert entry.generation == {"reportResponse": "v2", "DeliveryReports": "v3"}.get(root)


def bodies(format: Format) -> Iterator[bytes]:
    reports = [a_report(), a_report("PENDING_ENROUTE", to=None, price=None)]
    if format == "xml":
        yield from (V2_XML, V3_XML)
        return
    yield from (V2_JSON, V3_JSON)
    for generation in ("v2", "v3"):
        items = [encode_item(report, generation) for report in reports]
        yield b'{"results":[' + b",".join(items) + b"]}"


@pytest.mark.parametrize("count", [3_000, pytest.param(300_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("format", ["json", "xml"])
def test_spoilt_bodies_are_judged_the_same(format: Format, count: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    whole = list(bodies(format))
    for number in range(count):
        body = spoilt(rng.choice(whole), rng)
        told = f"seed {seed}, body {number}: {body!r}"
        assert judged(body, format) == the_long_way(body, format), told


def test_what_the_provider_writes_goes_the_short_way() -> None:
    """Of both generations, and of a report that tells neither."""
    for item in (an_item(), a_v3_item()):
        written = encode_item(a_report(), "v3" if "sender" in item else "v2")
        entry = common_entry(written, None)
        assert entry is not None
        assert entry.item == written
    neither = common_entry(b'{"messageId":"m","status":{"groupId":3,"id":5}}', None)
    assert neither is not None
    assert neither.generation is None
