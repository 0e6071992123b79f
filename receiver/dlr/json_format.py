"""JSON bodies: bytes to reports, reports to bytes.

The list is cut into the exact bytes of its items first and each item is read alone, so that one
bad item costs its neighbours nothing. Numbers are read exactly and never pass through a float.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

import msgspec

from receiver.dlr.errors import (
    ItemRefused,
    MalformedBody,
    MalformedReport,
    TooManyItems,
    Unreadable,
)
from receiver.dlr.item import read_item, wire_item
from receiver.dlr.model import Generation, Report

T = TypeVar("T")


class _Body(msgspec.Struct):
    """The outermost object; its other fields may be anything and are passed over unread."""

    results: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET


_cut = msgspec.json.Decoder(_Body).decode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode

# All that msgspec was seen to raise: it lets its hook's and Python's own errors through.
_REFUSALS = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)

_BOM = b"\xef\xbb\xbf"


def decode_body(body: bytes) -> list[Report | Unreadable]:
    """The items of a body in their order, each a report or what could not be read of it.

    `results` null or empty is no report. Raises `MalformedBody` when there is no list of items to
    be found, and nothing else.
    """
    return read_body(body, lambda report, _: report)


def read_body(
    body: bytes,
    make: Callable[[Report, str], T],
    most: int | None = None,
    common: Callable[[bytes], T | None] = lambda _: None,
) -> list[T | Unreadable]:
    """The items of a body as in `decode_body`, each as what `make` makes of the report.

    `make` is given the report and its place (`results[3]`), and may raise `ItemRefused`: then the
    item is unreadable. `common` is given the bytes of each item first, and may know what `make`
    would make of them. Raises `TooManyItems` when there are more than `most`.
    """
    items = _items(body) if most is None else _items_up_to(body, most)
    return [
        _read(data, f"results[{index}]", make) if (made := common(data)) is None else made
        for index, data in enumerate(map(bytes, items))
    ]


def raw_items(body: bytes) -> list[bytes]:
    """The exact bytes of each item, in the order of `decode_body`; raises as that does."""
    return [bytes(item) for item in _items(body)]


def decode_item(data: bytes, generation: Generation | None = None) -> Report:
    """The report of one item, as `encode_item` wrote it. Raises `MalformedReport`.

    `generation` is a hint, as in `read_item`: hand in the one that was stored with the item.
    """
    try:
        return read_item(_decode(data), "report", generation)
    except MalformedReport:
        raise
    except _REFUSALS as error:
        raise MalformedReport("report", "a JSON object", str(error)) from error


def encode_item(report: Report, generation: Generation | None = None) -> bytes:
    """The item of `report` as compact JSON; `generation` None = its own, v2 when it has none."""
    return _encode(wire_item(report, generation))


def encode_body(items: Iterable[bytes]) -> bytes:
    """A body of items that are JSON already, in their order."""
    return b'{"results":[' + b",".join(items) + b"]}"


def _items(body: bytes) -> Iterable[bytes | msgspec.Raw]:
    body = body.removeprefix(_BOM)
    try:
        results = _cut(body).results
    except _REFUSALS:
        return _items_slowly(body)
    if results is msgspec.UNSET:
        raise MalformedBody("results", "expected a list of reports, got nothing")
    return results or ()


_COMMAS_PER_ITEM = 100
"""Far more than a report has. A body with more of them is counted before it is cut: 10 MB of
`0,0,0` would be a quarter of a gigabyte of pieces."""


def _items_up_to(body: bytes, most: int) -> Iterable[bytes | msgspec.Raw]:
    if len(body) > 2 * most and body.count(b",") > _COMMAS_PER_ITEM * most:
        items: list[bytes | msgspec.Raw] = list(islice(_cut_slowly(body), most + 1))
    else:
        items = list(_items(body))
    if len(items) > most:
        raise TooManyItems(most)
    return items


def _read(item: bytes, place: str, make: Callable[[Report, str], T]) -> T | Unreadable:
    try:
        return make(read_item(_value(item, place), place), place)
    except ItemRefused as error:
        return Unreadable.because(error, item)


def _value(item: bytes, place: str) -> Any:
    try:
        return _decode(item)
    except _REFUSALS:
        return _value_slowly(item, place)


def _value_slowly(item: bytes, place: str) -> Any:
    """What msgspec refuses: the standard library reads more, and so can name the field at fault."""
    try:
        return json.loads(item.decode(), parse_float=_number)
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:
        reason = f"not JSON: {error}"
    raise ItemRefused(place, reason)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError as error:  # an exponent of more than 18 digits
        raise ValueError("a number that is too large") from error


# A body that msgspec refuses as a whole may have a single bad item, which can be a broken escape
# or 100,000 brackets. It is cut along its strings and brackets alone, without recursion.

_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_KEY = re.compile(rb"(" + _STRING + rb")[ \t\r\n]*+:[ \t\r\n]*+", re.DOTALL)
_SCALAR = re.compile(_STRING + rb'|[^\s,:\[\]{}"]++', re.DOTALL)
_MARK = re.compile(_STRING + rb'|[\[\]{}"]', re.DOTALL)
_OPENING, _CLOSING = b"[{", b"]}"


def _items_slowly(body: bytes) -> list[bytes]:
    return list(_cut_slowly(body))


def _cut_slowly(body: bytes) -> Iterator[bytes]:
    start = _skip_space(body, 0)
    if body[start : start + 1] != b"{":
        raise MalformedBody(f"byte {start}", f"expected an object, got {_kind(body, start)}")
    end = _skip_space(body, _end_of_value(body, start))
    if end != len(body):
        raise MalformedBody(f"byte {end}", "expected the end of the body, got more")
    found = [at for key, at, _ in _children(body, start) if key == b'"results"']
    if not found:
        raise MalformedBody("results", "expected a list of reports, got nothing")
    kind = _kind(body, found[-1])
    if kind == "null":
        return
    if kind != "a list":
        raise MalformedBody("results", f"expected a list of reports, got {kind}")
    for _, at, end in _children(body, found[-1]):
        yield body[at:end]


def _children(body: bytes, start: int) -> Iterator[tuple[bytes, int, int]]:
    """Key, first and past-the-last byte of each child of the object or list opening at `start`."""
    keyed = body[start : start + 1] == b"{"
    closing = b"}" if keyed else b"]"
    at = _skip_space(body, start + 1)
    if body[at : at + 1] == closing:
        return
    while True:
        key = _KEY.match(body, at) if keyed else None
        if key:
            at = key.end()
        elif keyed:
            raise MalformedBody(f"byte {at}", f"expected a name, got {_kind(body, at)}")
        end = _end_of_value(body, at)
        yield key[1] if key else b"", at, end
        at = _skip_space(body, end)
        if body[at : at + 1] == closing:
            return
        if body[at : at + 1] != b",":
            raise MalformedBody(f"byte {at}", f"expected a comma, got {_kind(body, at)}")
        at = _skip_space(body, at + 1)


def _end_of_value(body: bytes, start: int) -> int:
    if body[start : start + 1] not in (b"{", b"["):
        scalar = _SCALAR.match(body, start)
        if not scalar:
            raise MalformedBody(f"byte {start}", f"expected a value, got {_kind(body, start)}")
        return scalar.end()
    depth = 0
    for mark in _MARK.finditer(body, start):
        sign = mark[0]
        if sign in _CLOSING:
            depth -= 1
            if depth == 0:
                return mark.end()
        elif sign in _OPENING:
            depth += 1
        elif sign == b'"':
            raise MalformedBody(f"byte {mark.start()}", "unterminated string")
    raise MalformedBody(f"byte {len(body)}", "expected a closing bracket, got the end of the body")


def _skip_space(body: bytes, at: int) -> int:
    space: Any = _SPACE.match(body, at)  # matches always, if only nothing
    return int(space.end())


_KINDS = {
    b"": "the end of the body",
    b"{": "an object",
    b"[": "a list",
    b'"': "a text",
    b"t": "true",
    b"f": "false",
    b"n": "null",
}


def _kind(body: bytes, at: int) -> str:
    first = body[at : at + 1]
    if first in _KINDS:
        return _KINDS[first]
    return "a number" if first.isdigit() or first == b"-" else f"the byte {first!r}"
