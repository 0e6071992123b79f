"""Where in a body the place of a fault is, and what of the body is shown around it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.web.place import AROUND, LOOKED_AT_MOST, excerpt, hex_excerpt, range_of
from dispatcher.web.quarantine import shown_body
from receiver.callbacks.intake import Limits, verdict_on_bytes
from receiver.dlr.model import Format
from receiver.store.base import QuarantineEntry


def marked(place: str, text: str, format: Format = "json") -> str | None:
    at = range_of(place, text, format)
    return None if at is None else text[slice(*at)]


ITEM = '{"a": {"b": [1, {"c": "x\\"}"}]}, "d.e": 7, "twice": 1, "twice": {"f": 2}}'


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("results[3]", ITEM),
        ("results[3].a.b[0]", "1"),
        ("results[3].a.b[1].c", '"x\\"}"'),
        ("results[3].d.e", "7"),
        ("results[3].twice.f", "2"),
        ("results[3].a.missing", None),
        ("results[3].a.b[2]", None),
        ("results[3].a.b[1].c.d", None),
    ],
)
def test_a_path_in_an_item_of_json(place: str, found: str | None) -> None:
    """An item is kept without its body, so its path begins in it. Of two namesakes the last one was
    read. What is not there cannot be found."""
    assert marked(place, ITEM) == found


def test_a_path_in_a_whole_body_of_json() -> None:
    """Where the whole body was kept, its path begins at its root."""
    body = ' {"results" : [ {"to": 1} , { "to" :  2 } ] }'
    assert marked("results[1].to", body) == "2"


XML = (
    "<reportResponse><results><result><to>1</to><to>2</to></result>"
    '<result a="1"><x:status><id> é </id></x:status></result></results></reportResponse>'
)


@pytest.mark.parametrize(
    ("place", "text", "found"),
    [
        ("results[0].status.id", "<result><status><id/></status></result>", "<id/>"),
        ("results[7].to", "<result><to>1</to></result>", "<to>1</to>"),
        ("results[7].to[1]", "<result><to>1</to><to>2</to></result>", "<to>2</to>"),
        ("results[1].status.id", XML.replace("x:", ""), "<id> é </id>"),
        (
            "results[1].@a",
            XML.replace("x:", ""),
            '<result a="1"><status><id> é </id></status></result>',
        ),
        ("results[0].to[1]", XML.replace("x:", ""), "<to>2</to>"),
        ("results[1].to", "<results><result/><result><to>5</to></result></results>", "<to>5</to>"),
        ("results[0].none", XML.replace("x:", ""), None),
        ("results[0].to", "<result><to>", None),
        ("results[0].to", '<!DOCTYPE a [<!ENTITY b "c">]><result><to>&b;</to></result>', None),
    ],
)
def test_a_path_in_xml(place: str, text: str, found: str | None) -> None:
    """In an item, or in the whole body that was kept for one. Prefixes do not count, and an
    attribute is shown by its element."""
    assert marked(place, text, "xml") == found


def test_offsets_and_lines() -> None:
    """Bytes are of UTF-8, lines and columns of characters; at the end there is nothing to mark."""
    assert range_of("byte 3", '"é?"', "json") == (2, 3)
    assert range_of("byte 5", '"é?"', "json") == (4, 4)
    assert range_of("byte 6", '"é?"', "json") is None
    assert marked("line 2, column 2", "ab\ncd\n", "xml") == "d"
    assert marked("line 2", "ab\ncd\n", "xml") == "cd"
    assert range_of("line 9, column 1", "ab\n", "xml") is None
    assert range_of("results", "[]", "json") is None
    assert range_of("", "[]", "json") is None
    assert range_of("byte 1", " " * (LOOKED_AT_MOST + 1), "json") is None


@pytest.mark.parametrize(
    ("format", "body", "found"),
    [
        ("json", b'{"results":[{"messageId":"a","status":{"groupId":"x"}}]}', '"x"'),
        ("json", b'{"results":[{"messageId":"a"}', None),
        ("json", b'{"results":[{"messageId":"\xc3\xa9"} 7]}', "7"),
        ("json", b'{"results":[7]}', "7"),
        (
            "xml",
            b"<r><results><result><status><groupId>x</groupId></status></result></results></r>",
            "<groupId>x</groupId>",
        ),
        ("xml", b"<r>\n<results><result></r>", "r"),
    ],
)
def test_what_the_receiver_refuses_is_marked(
    format: Format, body: bytes, found: str | None
) -> None:
    """The places that the receiver gives lead to what it could not read."""
    (refused,) = verdict_on_bytes(body, format, Limits()).quarantined
    entry = _entry(refused.place, f"application/{format}", refused.raw)

    shown = shown_body(entry, refused.raw).body

    assert shown.has_place
    assert (shown.marked or None) == found
    assert shown.before + shown.marked + shown.after == refused.raw.decode()


@given(st.text(), st.text(), st.sampled_from(["json", "xml"]))
def test_any_text_has_a_place_or_none(path: str, text: str, format: Format) -> None:
    """Whatever came, looking for a place ends with a range in the text, or with none."""
    for place in (f"results[0].{path}", path, "byte 2", "line 1, column 3"):
        at = range_of(place, text, format)
        assert at is None or 0 <= at[0] <= at[1] <= len(text)


@given(
    st.recursive(st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s))
)
def test_each_member_of_json_is_found_as_it_is(value: object) -> None:
    """The range of a member is its JSON."""
    text = json.dumps({"k": value})
    found = marked("results[0].k", text)
    assert found is not None
    assert json.loads(found) == value


def test_deep_nesting_is_no_trouble() -> None:
    """Nobody's brackets stop the page."""
    assert range_of("results[0].a", "[" * 100_000, "json") is None
    assert range_of("results[0].a", "<a>" * 100_000, "xml") is None


def test_a_long_body_is_cut_around_the_place() -> None:
    """What is left out is counted."""
    text = "a" * 50_000 + "!" + "b" * 50_000
    shown = excerpt(text, (50_000, 50_001))
    assert shown.marked == "!"
    assert len(shown.before) == AROUND
    assert shown.left_out[0] + len(shown.before + "!" + shown.after) + shown.left_out[1] == 100_001
    assert excerpt(text, (0, 100_000)).marked == "a" * 2 * AROUND
    assert not excerpt(text, None).has_place


def _entry(place: str, content_type: str | None, raw: bytes) -> QuarantineEntry:
    return QuarantineEntry(
        1, datetime(2026, 11, 28, tzinfo=UTC), "s", content_type, len(raw), "", place
    )


def test_what_is_no_text_is_shown_as_bytes() -> None:
    """With the row of the place marked, and what is not shown counted."""
    raw = bytes(range(256)) * 20
    shown = shown_body(_entry("byte 2570", "application/json", raw), raw)
    assert not shown.is_text
    assert shown.body.marked.startswith("00000a00  00 01 02")
    assert shown.body.left_out == (2048, 2048)
    assert hex_excerpt(b"\0abc", "").after == f"00000000  {'00 61 62 63':<48} ·abc\n"
    assert not hex_excerpt(b"", "byte 7").has_place


def test_an_item_is_read_in_utf8_whatever_its_body_was() -> None:
    """A whole body keeps its charset, an item does not."""
    item = "<result><to>é</to></result>"
    utf16 = "application/xml; charset=utf-16le"
    shown = shown_body(_entry("results[0].to", utf16, item.encode()), item.encode())
    assert shown.body.marked == "<to>é</to>"
    body = "<results><result><to>é</to></result></results>"
    shown = shown_body(
        _entry("results[0].to", utf16, body.encode("utf-16le")), body.encode("utf-16le")
    )
    assert shown.body.marked == "<to>é</to>"
