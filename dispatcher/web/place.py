"""Where in a body the fault is that quarantine tells of, and what is shown around it. Pure.

byte 120                        an offset into the body in UTF-8
line 3, column 7                of XML
results[3].status.groupId       a path. What is kept is the item, `results[3]`, or from some XML
                                the whole body
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from xml.parsers import expat

from msgspec import Struct

from receiver.dlr.model import Format
from receiver.dlr.xml_places import end_of_element

LOOKED_AT_MOST = 4_000_000
"""Characters. In a longer body no place is looked for."""

Range = tuple[int, int]
"""Two positions in a text. Both the same: something is missing there."""


def range_of(place: str, text: str, format: Format) -> Range | None:
    """Where `place` is; `None` when it cannot be found, or does not say where."""
    if len(text) > LOOKED_AT_MOST:
        return None
    if found := re.fullmatch(r"byte ([0-9]{1,18})", place):
        return _at_byte(int(found[1]), text)
    if found := re.fullmatch(r"line ([0-9]{1,18})(?:, column ([0-9]{1,18}))?", place):
        return _at_line(int(found[1]), int(found[2]) if found[2] else None, text)
    if found := re.match(r"results\[([0-9]{1,9})\]", place):
        return _of_path(place[found.end() :], int(found[1]), text, format)
    return None


def _at_byte(offset: int, text: str) -> Range | None:
    encoded = text.encode("utf-8", "surrogatepass")
    if offset > len(encoded):
        return None
    start = len(encoded[:offset].decode("utf-8", "ignore"))
    return start, min(start + 1, len(text))


def _at_line(line: int, column: int | None, text: str) -> Range | None:
    """Lines and columns count from 1; without a column it is the whole line."""
    lines = text.split("\n")
    if not 1 <= line <= len(lines):
        return None
    before = sum(len(each) + 1 for each in lines[: line - 1])
    if column is None:
        return before, before + len(lines[line - 1])
    start = min(before + column - 1, len(text))
    return start, min(start + 1, len(text))


def _of_path(path: str, item: int, text: str, format: Format) -> Range | None:
    """`path` begins with a dot, or is empty for the item itself."""
    try:
        return (_in_json if format == "json" else _in_xml)(path, item, text)
    except (ValueError, IndexError, RecursionError, expat.ExpatError):
        return None  # no JSON, no XML, or nested too deeply


# --- JSON ----------------------------------------------------------------------------------------

_BLANKS = re.compile(r"[ \t\r\n]*")
_value = json.JSONDecoder().raw_decode


def _in_json(path: str, item: int, text: str) -> Range | None:
    start = _after_blanks(text, 0)
    end = _value(text, start)[1]
    found = _below(path, text, start, end)
    return found or _below(f".results[{item}]{path}", text, start, end)


def _below(path: str, text: str, start: int, end: int) -> Range | None:
    """The value that a path leads to from the one at `start`. A name with dots in it is found too,
    because a path is compared with the names that there are. Of several namesakes the last one
    counts, as for whoever read it."""
    if not path:
        return start, end
    found = None
    for step, inner_start, inner_end in _members(text, start):
        if path.startswith(step) and path[len(step) : len(step) + 1] in ("", ".", "["):
            inner = _below(path[len(step) :], text, inner_start, inner_end)
            found = inner or found
    return found


def _members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """The members of the object or the array at `at`: the step to each, and its range."""
    if text[at] not in "{[":
        return
    closing = "}" if text[at] == "{" else "]"
    number, at = 0, _after_blanks(text, at + 1)
    while text[at] != closing:
        step = f"[{number}]"
        if closing == "}":
            name, at = _value(text, at)
            step, at = f".{name}", _after_blanks(text, _after_blanks(text, at) + 1)
        _, end = _value(text, at)
        yield step, at, end
        number, at = number + 1, _after_blanks(text, end)
        if text[at] == ",":
            at = _after_blanks(text, at + 1)


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    assert found is not None
    return found.end()


# --- XML -----------------------------------------------------------------------------------------


DEEPEST_XML = 64
"""Elements in each other: more than any item may have that is told of by its path."""


class _Element(Struct):
    """`at` are its bytes: from `<` to behind the `>` of its end. `path` is from the root, whose own
    is empty: `.results[1].status[0]`. An attribute is looked for in its element."""

    path: str
    at: Range


def _in_xml(path: str, item: int, text: str) -> Range | None:
    body = text.encode()
    elements = {each.path: each.at for each in _Elements(body).found}
    wanted = _numbered(path.partition(".@")[0])
    for begin in (*_items(list(elements), item), ""):
        if found := elements.get(begin + wanted):
            start, end = found
            return len(body[:start].decode()), len(body[:end].decode())
    return None


def _numbered(path: str) -> str:
    """A path in which each step has a number: of `.a.b[1]` it is `.a[0].b[1]`."""
    return re.sub(r"(\.[^.\[\]]+)(?=\.|$)", r"\1[0]", path)


_IN_A_HOLDER = re.compile(r"\.results\[\d+\]\.results?\[\d+\]")
_BELOW_THE_ROOT = re.compile(r"\.results?\[\d+\]")


def _items(paths: Sequence[str], item: int) -> Iterator[str]:
    """The paths that the item with this number may have in a whole body, the likelier one first."""
    for pattern in (_IN_A_HOLDER, _BELOW_THE_ROOT):
        yield from [path for path in paths if pattern.fullmatch(path)][item : item + 1]


class _Elements:
    """One pass over a body. Raises ValueError for what can be a bomb: entities, and many levels."""

    def __init__(self, body: bytes) -> None:
        self.found: list[_Element] = []
        self._body = body
        self._open: list[_Element] = []
        self._namesakes: list[Counter[str]] = [Counter()]
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = _refused
        parser.Parse(body, True)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        if len(self._open) == DEEPEST_XML:
            raise ValueError("too deep")
        name = name.rpartition(":")[2]
        number = self._namesakes[-1][name]
        self._namesakes[-1][name] += 1
        path = f"{self._open[-1].path}.{name}[{number}]" if self._open else ""
        element = _Element(path, (self._parser.CurrentByteIndex, 0))
        self._open.append(element)
        self.found.append(element)
        self._namesakes.append(Counter())

    def _end(self, _name: str) -> None:
        self._namesakes.pop()
        element = self._open.pop()
        start = element.at[0]
        element.at = start, end_of_element(self._body, start, self._parser.CurrentByteIndex)


def _refused(*_: object) -> None:
    raise ValueError("an entity")


# --- what is shown -------------------------------------------------------------------------------

AROUND = 3_000
"""Characters that are shown before the marked place; twice as many are from there on."""

BYTES_SHOWN = 1_024
"""Of what is no text, around the marked byte."""


class Excerpt(Struct, frozen=True):
    """A part of a body, in three pieces; `marked` is empty where something is missing. `left_out`
    are the characters (or bytes) before and after it that are not shown."""

    before: str
    marked: str
    after: str
    left_out: Range
    has_place: bool


def excerpt(text: str, at: Range | None) -> Excerpt:
    """What is shown of a text."""
    start, end = at or (0, 0)
    first, last = max(0, start - AROUND), min(len(text), start + 2 * AROUND)
    end = min(end, last)
    return Excerpt(
        before=text[first:start],
        marked=text[start:end],
        after=text[end:last],
        left_out=(first, len(text) - last),
        has_place=at is not None,
    )


ROW = 16


def hex_excerpt(raw: bytes, place: str) -> Excerpt:
    """What is shown of bytes that are no text: rows of offset, bytes and letters, the row of the
    place marked."""
    found = re.fullmatch(r"byte ([0-9]{1,18})", place)
    at = int(found[1]) if found and int(found[1]) <= len(raw) else None
    row = (at or 0) // ROW
    first = max(0, row - BYTES_SHOWN // ROW // 2)
    last = min(-(-len(raw) // ROW), first + BYTES_SHOWN // ROW)
    rows = [_row(raw, number) for number in range(first, last)]
    cut = row - first
    marked = rows[cut : cut + 1] if at is not None else []
    return Excerpt(
        before="".join(rows[:cut]),
        marked="".join(marked),
        after="".join(rows[cut + len(marked) :]),
        left_out=(first * ROW, max(0, len(raw) - last * ROW)),
        has_place=at is not None,
    )


def _row(raw: bytes, number: int) -> str:
    piece = raw[number * ROW : (number + 1) * ROW]
    letters = "".join(chr(each) if 32 <= each < 127 else "·" for each in piece)
    return f"{number * ROW:08x}  {piece.hex(' '):<{ROW * 3}} {letters}\n"
