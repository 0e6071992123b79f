"""Where the items of an XML body stand, in bytes; asked only when one of them is unreadable."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from typing import NamedTuple
from xml.parsers import expat


class Spot(NamedTuple):
    """An item by its place in the tree: names as written, numbers among namesakes from 0.

    `item` is empty when the holder is the item itself, `holder` when the root is the holder.
    """

    holder: str
    holder_index: int
    item: str
    item_index: int


def bytes_of_items(body: bytes) -> dict[Spot, bytes]:
    """The exact bytes of each element at the first and second level, in UTF-8.

    Empty when the second look at the body fails, which must not cost what the first has read.
    """
    try:
        utf8 = _in_utf8(body)
        return _Finder(utf8).found
    except (expat.ExpatError, ValueError, LookupError):
        return {}


_DECLARED = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


def _in_utf8(body: bytes) -> bytes:
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return body.decode(encoding).encode()
    declared = _DECLARED.match(body)
    if not declared or declared[1].lower() == b"utf-8":
        return body
    return body.decode(declared[1].decode()).encode()


_EMPTY = re.compile(rb"""<[^<>"']*(?:"[^"<]*"[^<>"']*|'[^'<]*'[^<>"']*)*/>""")


def end_of_element(body: bytes, start: int, at: int) -> int:
    """The byte behind the element that begins at `start`. `at` is what expat calls the place of its
    end: that is where `</name>` begins, or, for an empty `<name/>`, already behind it."""
    return at if _EMPTY.fullmatch(body, start, at) else body.find(b">", at) + 1


class _Finder:
    """One pass over a body in UTF-8, counting namesakes as xmltodict groups them."""

    def __init__(self, body: bytes) -> None:
        self.found: dict[Spot, bytes] = {}
        self._body = body
        self._path: list[tuple[str, int, int]] = []  # name, number among namesakes, first byte
        self._namesakes: list[Counter[str]] = [Counter()]
        self._parser = parser = expat.ParserCreate("utf-8")  # whatever is declared
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.Parse(body, True)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        number = self._namesakes[-1][name]
        self._namesakes[-1][name] += 1
        self._path.append((name, number, self._parser.CurrentByteIndex))
        self._namesakes.append(Counter())

    def _end(self, _name: str) -> None:
        self._namesakes.pop()
        name, number, start = self._path.pop()
        level = len(self._path)
        if level not in (1, 2):
            return
        end = end_of_element(self._body, start, self._parser.CurrentByteIndex)
        content = self._body[start:end]
        if level == 1:
            self.found[Spot(name, number, "", 0)] = content
            self.found[Spot("", 0, name, number)] = content  # the root itself is the holder
        else:
            holder, holder_number, _ = self._path[1]
            self.found[Spot(holder, holder_number, name, number)] = content
