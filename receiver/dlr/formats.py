"""The two formats by their names, for whoever reads a body whichever format it is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

from receiver.dlr import json_format, xml_format
from receiver.dlr.errors import MalformedBody, Unreadable
from receiver.dlr.identity import identity
from receiver.dlr.model import Format, Report

T = TypeVar("T")


class Codec(Protocol):
    """How the body of one format is read; the modules of the formats say what each function does.

    All of them take UTF-8 and raise MalformedBody when there is no list of items.
    """

    def read_body(
        self, body: bytes, make: Callable[[Report, str], T], most: int | None = None
    ) -> list[T | Unreadable]: ...

    def decode_body(self, body: bytes) -> list[Report | Unreadable]: ...

    def raw_items(self, body: bytes) -> list[bytes]: ...


CODECS: Final[Mapping[Format, Codec]] = {"json": json_format, "xml": xml_format}

_FRAMES: Final[Mapping[Format, tuple[bytes, bytes]]] = {
    "json": (b'{"results":[', b"]}"),
    "xml": (b"<results>", b"</results>"),
}


def framed(item: bytes, format: Format) -> bytes:
    """The body of one item whose bytes were kept without their body."""
    before, after = _FRAMES[format]
    return before + item + after


def items_by_identity(kept: bytes, format: Format) -> dict[int, bytes]:
    """The bytes of each readable item of a kept body, or of a kept item, by identity."""
    codec = CODECS[format]
    for body in (kept, framed(kept, format)):
        try:
            read = zip(codec.decode_body(body), codec.raw_items(body), strict=True)
        except MalformedBody:
            continue
        return {identity(report): item for report, item in read if isinstance(report, Report)}
    return {}


def items_of_kept(kept: bytes, format: Format) -> list[Report | Unreadable]:
    """The items of a kept body, or a kept item, readable or not."""
    for body in (kept, framed(kept, format)):
        try:
            return CODECS[format].decode_body(body)
        except MalformedBody:
            continue
    return []
