"""Bodies read by the name of their format: what is made of each item, and items that were kept."""

from __future__ import annotations

import pytest

from receiver.dlr.errors import ItemRefused, TooManyItems, Unreadable
from receiver.dlr.formats import CODECS, framed, items_by_identity
from receiver.dlr.identity import identity
from receiver.dlr.model import Format, Report

ITEMS: dict[Format, list[bytes]] = {
    "json": [b'{"to": "1"}', b'{"to":"2" }', b'{"smsCount":"many"}', b'{"to":"3"}'],
    "xml": [
        b"<result><to>1</to></result>",
        b"<result> <to>2</to></result>",
        b"<result><smsCount>many</smsCount></result>",
        b"<result><to>3</to></result>",
    ],
}


def body_of(format: Format) -> bytes:
    return framed((b"," if format == "json" else b"").join(ITEMS[format]), format)


def not_two(report: Report, place: str) -> str | None:
    """The recipient; of number 2 nothing is wanted."""
    if report.to == "2":
        raise ItemRefused(f"{place}.to", "2 is not wanted")
    return report.to


@pytest.mark.parametrize("format", ["json", "xml"])
def test_something_is_made_of_each_report(format: Format) -> None:
    """Whoever reads a body says what becomes of a report; what is refused then is unreadable with
    its exact bytes, like an item that could not be read at all."""
    _, unwanted, malformed, _ = ITEMS[format]

    assert CODECS[format].read_body(body_of(format), not_two) == [
        "1",
        Unreadable(raw=unwanted, place="results[1].to", reason="2 is not wanted"),
        Unreadable(
            raw=malformed,
            place="results[2].smsCount",
            reason='expected an integer, got "many"',
        ),
        "3",
    ]


@pytest.mark.parametrize("format", ["json", "xml"])
def test_too_many_items_are_not_read(format: Format) -> None:
    """Beyond the limit nothing is made of any item."""
    made: list[str] = []

    with pytest.raises(TooManyItems):
        CODECS[format].read_body(body_of(format), lambda _, place: made.append(place), 3)

    assert made == []
    assert len(CODECS[format].read_body(body_of(format), lambda _, place: place, 4)) == 4


@pytest.mark.parametrize("format", ["json", "xml"])
def test_kept_items_are_found_by_identity(format: Format) -> None:
    """In a kept body and in a kept item; what is neither holds none."""
    first, second, _, third = ITEMS[format]
    expected = {
        identity(Report(to=to)): item
        for to, item in zip("123", [first, second, third], strict=True)
    }

    assert items_by_identity(body_of(format), format) == expected
    assert items_by_identity(third, format) == {identity(Report(to="3")): third}
    assert items_by_identity(b"garbage", format) == {}
