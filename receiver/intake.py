"""The pure verdict on one callback: what to store, what to quarantine.

Nothing is lost here: every item of a readable body is either an entry or quarantined with its
exact bytes, and an unreadable body is quarantined whole.
"""

from __future__ import annotations

from msgspec import Struct

from receiver.dlr import json_format, xml_format
from receiver.dlr.errors import MalformedBody, Unreadable
from receiver.dlr.identity import identity, message_key
from receiver.dlr.model import Format, Generation, Report
from receiver.dlr.statuses import group_of, is_final


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


class Verdict(Struct, frozen=True, kw_only=True):
    """`readable` is false when no list of reports was found: then the body is quarantined whole."""

    readable: bool
    entries: list[Entry]
    quarantined: list[Unreadable]


_SNIFFED = frozenset(
    {"", "application/octet-stream", "text/plain", "application/x-www-form-urlencoded"}
)
"""What clients send that set no content type, or whose library sets one for them."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")


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
    return "xml" if start.startswith((b"<", *_UTF16)) else "json"


def judge(body: bytes, format: Format) -> Verdict:
    """What is to become of the reports in `body`. Never raises, whatever the bytes."""
    read = json_format.decode_body if format == "json" else xml_format.decode_body
    try:
        items = read(body)
    except MalformedBody as error:
        whole = Unreadable(raw=body, place=error.place, reason=error.reason)
        return Verdict(readable=False, entries=[], quarantined=[whole])
    return Verdict(
        readable=True,
        entries=[_entry(item) for item in items if isinstance(item, Report)],
        quarantined=[item for item in items if isinstance(item, Unreadable)],
    )


def _entry(report: Report) -> Entry:
    told = identity(report)
    return Entry(
        message_key=message_key(report) if report.message_id else told,
        identity=told,
        generation=report.generation,
        final=is_final(report.status),
        item=json_format.encode_item(report),
        status_group=group_of(report.status),
    )
