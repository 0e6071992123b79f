"""The pure verdict on one callback: what to store, what to quarantine.

Nothing is lost here: every item of a readable body is either an entry or quarantined with its
exact bytes, and an unreadable body is quarantined whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from receiver.callbacks import other_events
from receiver.callbacks.body import NotTaken, as_utf8, charset_of, inflate
from receiver.dlr import json_format, xml_format
from receiver.dlr.errors import MalformedBody, TooManyItems, Unreadable
from receiver.dlr.identity import identity, message_key
from receiver.dlr.item import write_item
from receiver.dlr.model import Format, Generation, Report
from receiver.dlr.statuses import group_of, is_final


class NotifyTo(Struct, frozen=True):
    """The URL that a report came with, and the format that it is wanted in there. The URL may hold
    user and password."""

    url: str
    format: Format


class Entry(Struct, frozen=True, kw_only=True):
    """One report as the store takes it.

    `item` is the report as JSON in its own generation; read it again with `generation` as hint.
    `status_group` is derived from names where no groupId came; `None` when nothing tells.
    """

    message_key: int
    identity: int
    generation: Generation | None
    final: bool
    item: bytes
    status_group: int | None
    notify_to: NotifyTo | None = None  # None: whatever endpoints take it


class Verdict(Struct, frozen=True, kw_only=True):
    """`readable` is false when no list of reports was found: then the body is quarantined whole.

    So it is when the list is `too_long`: a refusal alone would lose the reports once the platform
    has given up repeating them.
    """

    readable: bool
    entries: list[Entry]
    quarantined: list[Unreadable]
    too_long: bool = False
    received: bytes | None = None  # the body in UTF-8, where it differs from what is to be stored


class Limits(Struct, frozen=True, kw_only=True):
    """What is taken at most. `None` is no limit."""

    body: int = 10 * 1024**2  # bytes, after inflating
    items: int | None = None
    field: int | None = None  # bytes of one text in UTF-8


NO_LIMITS = Limits()


_SNIFFED = frozenset(
    {"", "application/octet-stream", "text/plain", "application/x-www-form-urlencoded"}
)
"""What clients send that set no content type, or whose library sets one for them."""

_TAGS = (b"<", b"\0<", b"\xff\xfe<", b"\xff\xfe\0\0<", b"\xfe\xff\0<", b"\0\0\xfe\xff\0\0\0<")
"""How `<` begins a body in UTF-8, UTF-16 and UTF-32."""


def format_of(content_type: str | None, body: bytes) -> Format | None:
    """The format to read `body` in; `None` = neither of ours, to be answered with 415.

    A content type that says nothing is settled by the first byte that is no blank.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return "json"
    if kind in ("application/xml", "text/xml") or kind.endswith("+xml"):
        return "xml"
    return _sniff(body) if kind in _SNIFFED else None


def _sniff(body: bytes) -> Format:
    start = body[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    return "xml" if start.startswith(_TAGS) else "json"


def take(
    body: bytes, content_type: str | None, coding: str | None, limits: Limits
) -> tuple[Format, Verdict]:
    """The verdict on a body as it came: inflated, its format found, brought to UTF-8, and judged.

    `coding` is that of `body.coding_of`. Raises NotTaken for a body that is not even kept.
    """
    charset = charset_of(content_type)
    broken: MalformedBody | None = None
    if coding is not None:
        try:
            body = inflate(body, coding, limits.body)
        except MalformedBody as error:
            broken = error
    form = format_of(content_type, body)
    if form is None:
        expected = f"expected JSON or XML, got {content_type!r}"
        raise NotTaken(415, "unsupported_media_type", expected)
    if broken is not None:
        return form, _quarantined_whole(body, broken)
    return form, judge(body, form, charset=charset, limits=limits)


def judge(
    body: bytes, format: Format, *, charset: str | None = None, limits: Limits = NO_LIMITS
) -> Verdict:
    """What is to become of the reports in `body`. Never raises, whatever the bytes.

    `charset` is that of the Content-Type, by Python's name.
    """
    codec = json_format if format == "json" else xml_format
    utf8 = body
    try:
        utf8 = as_utf8(body, format, charset)
        items = codec.decode_body(utf8, limits.items)
    except MalformedBody as error:
        if (event := other_events.of_body(utf8, format)) is not None:
            kept = Unreadable(raw=body, place="", reason=event)
            return Verdict(readable=True, entries=[], quarantined=[kept])
        return _quarantined_whole(body, error)
    entries: list[Entry] = []
    quarantined: list[Unreadable] = []
    raw: list[bytes] | None = None
    most = limits.field
    for index, item in enumerate(items):
        if isinstance(item, Unreadable):
            quarantined.append(item)
            continue
        entry = entry_of(item)
        # What has a status is a report, and no text of a short item is long.
        if item.status is None or (most is not None and len(entry.item) > most):
            found = _not_taken(item, entry, f"results[{index}]", most)
            if found is not None:
                raw = codec.raw_items(utf8) if raw is None else raw
                place, reason = found
                quarantined.append(Unreadable(raw=raw[index], place=place, reason=reason))
                continue
        entries.append(entry)
    received = utf8 if format == "xml" or _differs(utf8, entries) else None
    return Verdict(readable=True, entries=entries, quarantined=quarantined, received=received)


def _differs(body: bytes, entries: list[Entry]) -> bool:
    return bool(entries) and body != json_format.encode_body([entry.item for entry in entries])


def _quarantined_whole(body: bytes, error: MalformedBody) -> Verdict:
    whole = Unreadable(raw=body, place=error.place, reason=error.reason)
    too_long = isinstance(error, TooManyItems)
    return Verdict(readable=False, entries=[], quarantined=[whole], too_long=too_long)


def _not_taken(
    report: Report, entry: Entry, place: str, most: int | None
) -> tuple[str, str] | None:
    """Where and why an item is not stored although it can be read."""
    if (event := other_events.of_item(report)) is not None:
        return place, event
    if most is None or len(entry.item) <= most:
        return None
    for where, text in _texts(write_item(report), place):
        if (size := len(text.encode())) > most:
            return where, f"expected at most {most} bytes, got {size}"
    return None


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Each text, and each name, of an item with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield place, name
            yield from _texts(inner, f"{place}.{name}" if len(name) <= 64 else place)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{index}]")


def entry_of(report: Report) -> Entry:
    """A report as the store takes it."""
    told = identity(report)
    return Entry(
        message_key=message_key(report) if report.message_id else told,
        identity=told,
        generation=report.generation,
        final=is_final(report.status),
        item=json_format.encode_item(report),
        status_group=group_of(report.status),
    )
