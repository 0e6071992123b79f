"""XML bodies: bytes to reports, reports to bytes.

Element names are those of the JSON fields. Accepted on the way in: any root, any namespace prefix,
`results/result`, the doubled `results/results` of 2015, and `results` repeated under the root
(reference, part 2). Entities are refused and nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar
from xml.parsers.expat import ExpatError, ParserCreate

import xmltodict

from receiver.dlr import plain
from receiver.dlr.errors import (
    ItemRefused,
    MalformedBody,
    MalformedReport,
    TooManyItems,
    Unreadable,
)
from receiver.dlr.fields import DEEPEST, describe
from receiver.dlr.item import read_item, write_item
from receiver.dlr.model import Generation, Report
from receiver.dlr.xml_places import Spot, bytes_of_items

T = TypeVar("T")

ROOTS: Final[dict[Generation, str]] = {"v2": "reportResponse", "v3": "DeliveryReports"}

_HINTS: Final[dict[str, Generation]] = {root: generation for generation, root in ROOTS.items()}
_ITEM_NAMES = frozenset({"result", "results"})
_OBJECTS = ("price", "status", "error", "platform")


class _Item(NamedTuple):
    spot: Spot
    element: Any


_TAGS_PER_ITEM = 200
"""Far more than a report has. A body with more of them is not even parsed: 10 MB of small elements
would be a third of a gigabyte of dictionaries."""


def decode_body(body: bytes) -> list[Report | Unreadable]:
    """The items of a body, each a report or what could not be read of it.

    An empty `results` is no report. Raises `MalformedBody` when the body is not XML or has no
    `results`, and nothing else.
    """
    return read_body(body, lambda report, _: report)


def read_body(
    body: bytes,
    make: Callable[[Report, str], T],
    most: int | None = None,
    common: Callable[[dict[str, Any], Generation | None], T | None] = lambda _, __: None,
) -> list[T | Unreadable]:
    """The items of a body as in `decode_body`, each as what `make` makes of the report.

    `make` is given the report and its place (`results[3]`), and may raise `ItemRefused`: then the
    item is unreadable. `common` is given each item first, as xmltodict reads it, with what the root
    tells of the generation, and may know what `make` would make of it. Raises `TooManyItems` when
    there are more than `most`.
    """
    if most is not None and len(body) > most and body.count(b"<") > _TAGS_PER_ITEM * (most + 10):
        raise TooManyItems(most)
    body = body.lstrip(_BLANKS)
    root, content = root_and_content(body)
    hint = _HINTS.get(_local(root))
    items = list(_items(root, content))
    if most is not None and len(items) > most:
        raise TooManyItems(most)
    read = [
        _read(element, f"results[{number}]", hint, make)
        if not isinstance(element, dict) or (made := common(element, hint)) is None
        else made
        for number, (_, element) in enumerate(items)
    ]
    refused = any(isinstance(one, ItemRefused) for one in read)
    slices = bytes_of_items(body) if refused else {}
    return [
        Unreadable.because(one, slices.get(item.spot, body))
        if isinstance(one, ItemRefused)
        else one
        for item, one in zip(items, read, strict=True)
    ]


def raw_items(body: bytes) -> list[bytes]:
    """The bytes of each item in UTF-8, in the order of `decode_body`; raises as that does. Where an
    item's bytes cannot be found they are the whole body.
    """
    body = body.lstrip(_BLANKS)
    root, content = root_and_content(body)
    slices = bytes_of_items(body)
    return [slices.get(item.spot, body) for item in _items(root, content)]


_BLANKS = b" \t\r\n"
"""XML allows no blank before its declaration; templates and shells put one there all the same."""


def root_and_content(body: bytes) -> tuple[str, Any]:
    """Name and content of the root, as xmltodict has them. Raises `MalformedBody`."""
    body = body.lstrip(_BLANKS)
    try:
        document: dict[str, Any] = xmltodict.parse(
            body, strip_whitespace=False, xml_attribs=_may_have_attributes(body)
        )
    except ExpatError as error:
        text = str(error).partition(":")[0]
        raise MalformedBody(f"line {error.lineno}, column {error.offset + 1}", text) from error
    except (ValueError, LookupError, RecursionError) as error:
        # entities, which are refused, or an encoding that is unknown or does not hold
        raise MalformedBody("", f"not readable as XML: {error}") from error
    ((root, content),) = document.items()
    return root, content


def _may_have_attributes(body: bytes) -> bool:
    """Whether there is an equals sign after the declaration. Looking for attributes of each element
    takes xmltodict a tenth of its time."""
    start = body.find(b"?>") if body.startswith(b"<?xml") else 0
    return body.find(b"=", max(start, 0)) >= 0


def _items(root: str, content: Any) -> Iterator[_Item]:
    """The items, each with where it stands, so that its bytes can be found when they are needed."""
    holders = _children(content, frozenset({"results"}))
    if not holders and _local(root) == "results":
        holders = [("", 0, content)]
    if not holders:
        place, came = _local(root), _kind(content)
        raise MalformedBody(place, f"expected an element <results>, got {came}")
    for name, index, holder in holders:
        children = _children(holder, _ITEM_NAMES)
        for child_name, child_index, child in children:
            yield _Item(Spot(name, index, child_name, child_index), child)
        if not children and not _is_bare(holder):
            yield _Item(Spot(name, index, "", 0), holder)


def _children(element: Any, names: frozenset[str]) -> list[tuple[str, int, Any]]:
    """Name as written, number among its namesakes, and content of each child of these names."""
    if not isinstance(element, dict):
        return []
    return [
        (name, index, child)
        for name, children in element.items()
        if _local(name) in names
        for index, child in enumerate(children if isinstance(children, list) else [children])
    ]


def _is_bare(element: Any) -> bool:
    """Whether an element has neither children nor text; attributes do not count."""
    if isinstance(element, dict):
        return all(name[0] == "@" or _is_blank(name, child) for name, child in element.items())
    return element is None or not element.strip()


def _is_blank(name: str, child: Any) -> bool:
    return name == "#text" and not child.strip()


def _kind(element: Any) -> str:
    if isinstance(element, dict):
        return "other elements"
    return "nothing" if _is_bare(element) else describe(element)


def _read(
    element: Any, place: str, hint: Generation | None, make: Callable[[Report, str], T]
) -> T | ItemRefused:
    try:
        fields = _value(element, place, 0) if isinstance(element, dict) else element
        if fields is None or (isinstance(fields, str) and not fields.strip()):
            fields = {}
        if isinstance(fields, dict):
            for name in _OBJECTS:
                value = fields.get(name)
                if value.__class__ is str and not value.strip():
                    fields[name] = {}
        return make(read_item(fields, place, hint), place)
    except ItemRefused as error:
        return error


def _value(element: dict[str, Any], place: str, level: int) -> Any:
    """What xmltodict made of an element, as JSON would have it.

    An element with children is an object, its attributes kept under `@name`; one without is its
    text, "" when empty and null when it says `xsi:nil`. Prefixes and namespaces are dropped.
    """
    if level > DEEPEST:
        raise MalformedReport(place, f"at most {DEEPEST} levels", "more")
    fields: dict[str, Any] = {}
    has_children = False
    for name, child in element.items():
        if name[0] in "@#":
            if name.startswith("@xmlns") or _is_blank(name, child):
                continue
        else:
            has_children = True
        local = name
        if ":" in name and name[0] != "@":
            local = _local(name)
            if local in element or local in fields:
                local = name  # a namesake from another namespace
        if child.__class__ is not str:
            child = _not_text(child, place, level)
        fields[local] = child
    return fields if has_children else _leaf(element)


def _not_text(child: Any, place: str, level: int) -> Any:
    if child is None:
        return ""
    if isinstance(child, list):
        return [one if isinstance(one, str) else _not_text(one, place, level) for one in child]
    return _value(child, place, level + 1)


def _leaf(element: dict[str, Any]) -> str | None:
    nil = any(name.endswith(":nil") and value in ("true", "1") for name, value in element.items())
    return None if nil else element.get("#text", "")


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def encode_body(reports: Sequence[Report], generation: Generation | None = None) -> bytes:
    """A document of all `reports` in UTF-8.

    `generation` None = that of the first report, v2 when it has none. What XML cannot hold is
    replaced or left out: control characters become U+FFFD, unknown fields whose names cannot be
    names of elements are dropped.
    """
    if generation is None:
        generation = (reports[0].generation if reports else None) or "v2"
    items = [_elements(write_item(report, generation)) for report in reports]
    return _written({ROOTS[generation]: {"results": {"result": items} if items else ""}})


def encode_document(root: str, fields: dict[str, Any]) -> bytes:
    """A document of any JSON object: an element for each field, a list as a repeated one; what XML
    cannot hold as in `encode_body`.
    """
    return _written({root: _elements(fields)})


def decode_document(body: bytes) -> Any:
    """What JSON would have for the root of any document: an object where it has children, else its
    text. Texts are not read as numbers, and an element alone is no list. Raises `MalformedBody`.
    """
    root, content = root_and_content(body)
    try:
        return content if isinstance(content, str) else _not_text(content, _local(root), 0)
    except MalformedReport as error:
        raise MalformedBody(error.place, error.reason) from error


def _written(document: dict[str, Any]) -> bytes:
    text: str = xmltodict.unparse(document)
    # A bare carriage return would be read as a line feed.
    return _NOT_XML.sub("\ufffd", text).replace("\r", "&#13;").encode()


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_ASCII_NAME = re.compile(r"[A-Za-z_][-.0-9A-Za-z_]*")


@lru_cache(maxsize=1024)  # the names of a feed are few; pathological ones are forgotten again
def _is_name(name: str) -> bool:
    """Whether `name` can be an element's, for expat too, which goes by the older fourth edition."""
    if name.isascii():
        return bool(_ASCII_NAME.fullmatch(name))
    read: list[str] = []
    parser = ParserCreate("utf-8")
    parser.StartElementHandler = lambda element, _: read.append(element)
    try:
        parser.Parse(f"<{name}/>".encode(), True)
    except (ExpatError, ValueError):
        return False
    return read == [name] and ":" not in name


def _elements(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if value.__class__ is str else _element(value)
        for name, value in fields.items()
        if value is not None and _is_name(name)
    }


def _element(value: Any) -> Any:
    if isinstance(value, dict):
        return _elements(value)
    if isinstance(value, list):
        return [_element(child) for child in plain.flatten(value)]
    return plain.scalar(value)
