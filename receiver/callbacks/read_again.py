"""Bodies and items that were kept, read once more: from quarantine, and to show them as they came.

An item in quarantine has lost its body. It is put into one again to be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from receiver.callbacks.body import charset_of
from receiver.callbacks.intake import NO_LIMITS, Limits, Verdict, format_of, judge
from receiver.dlr import json_format, xml_format
from receiver.dlr.errors import MalformedBody
from receiver.dlr.identity import identity
from receiver.dlr.model import Format, Report

_FRAMES: dict[Format, tuple[bytes, bytes]] = {
    "json": (b'{"results":[', b"]}"),
    "xml": (b"<results>", b"</results>"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What today's code makes of kept bytes. `helped` is false when it is what it made before."""

    format: Format
    verdict: Verdict
    helped: bool


def read_again(
    raw: bytes, content_type: str | None, place: str, limits: Limits = NO_LIMITS
) -> Reading:
    """Read the bytes of a quarantine entry. Never raises, whatever the bytes.

    `content_type` and `place` are the entry's: an item stands in the list of results.
    """
    format = format_of(content_type, raw) or "json"
    whole = partial(judge, raw, format, charset=charset_of(content_type), limits=limits)
    if place.startswith("results["):
        verdict = judge(_framed(raw, format), format, limits=limits)  # items are kept in UTF-8
        if verdict.received is not None:
            verdict = replace(verdict, received=raw)
        if not verdict.readable:  # from XML the whole body may have been kept for the item
            verdict = whole()
    else:
        verdict = whole()
    split = verdict.readable and len(verdict.quarantined) != 1
    return Reading(format, verdict, helped=bool(verdict.entries) or split)


def items_by_identity(raw: bytes, format: Format) -> dict[int, bytes]:
    """The bytes of each readable item of a kept body, or of a kept item, by identity."""
    for body in (raw, _framed(raw, format)):
        try:
            return {identity(report): item for report, item in _items(body, format)}
        except MalformedBody:
            continue
    return {}


def _items(body: bytes, format: Format) -> Iterable[tuple[Report, bytes]]:
    codec = json_format if format == "json" else xml_format
    for report, item in zip(codec.decode_body(body), codec.raw_items(body), strict=True):
        if isinstance(report, Report):
            yield report, item


def _framed(raw: bytes, format: Format) -> bytes:
    before, behind = _FRAMES[format]
    return before + raw + behind
