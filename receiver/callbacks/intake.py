"""The pure verdict on one callback: what to store, what to quarantine.

Nothing is lost here: every item of a readable body is either an entry or quarantined with its
exact bytes, and an unreadable body is quarantined whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from receiver.callbacks import other_events
from receiver.callbacks.body import BodyText, text_of
from receiver.callbacks.common_case import common_entry, common_entry_of_xml
from receiver.dlr import json_format, xml_format
from receiver.dlr.errors import ItemRefused, MalformedBody, TooManyItems, Unreadable
from receiver.dlr.identity import identity, message_key
from receiver.dlr.instants import utc_microseconds
from receiver.dlr.item import write_item
from receiver.dlr.json_format import encode_body, encode_item
from receiver.dlr.model import Format, Report
from receiver.dlr.statuses import group_of, is_final
from receiver.settings.settings import ReceiverSettings
from receiver.store.callback import Entry, Verdict
from receiver.store.excerpt import Summary


class Limits(Struct, frozen=True, kw_only=True):
    """What is taken at most. `None` is no limit."""

    body: int = 10 * 1024**2  # bytes, after inflating
    items: int | None = None
    field: int | None = None  # bytes of one text in UTF-8

    @classmethod
    def of(cls, settings: ReceiverSettings) -> Limits:
        limits = settings.limits
        return cls(body=settings.server.body_limit, items=limits.items, field=limits.field)


NO_LIMITS = Limits()


def verdict_on_bytes(raw: bytes, format: Format, limits: Limits = NO_LIMITS) -> Verdict:
    """The verdict on bytes of a known format that did not come over the wire."""
    return verdict_on(text_of(raw, format), limits)


def verdict_on(text: BodyText, limits: Limits) -> Verdict:
    """What is to become of the reports in a body. Never raises, whatever the bytes."""
    try:
        if text.fault is not None:
            raise text.fault
        items = _items(text, limits)
    except MalformedBody as error:
        if (event := other_events.of_body(text.utf8, text.format)) is not None:
            return Verdict(quarantined=[Unreadable(raw=text.raw, place="", reason=event)])
        return Verdict(
            quarantined=[Unreadable.because(error, text.raw)],
            readable=False,
            too_long=isinstance(error, TooManyItems),
        )
    entries = [item for item in items if isinstance(item, Entry)]
    return Verdict(
        entries=entries,
        quarantined=[item for item in items if isinstance(item, Unreadable)],
        received=text.utf8 if text.format == "xml" or _differs(text.utf8, entries) else None,
    )


def _items(text: BodyText, limits: Limits) -> list[Entry | Unreadable]:
    make = partial(_entry, limits.field)
    if text.format == "xml":
        element = partial(common_entry_of_xml, text_most=limits.field)
        return xml_format.read_body(text.utf8, make, limits.items, element)
    common = partial(common_entry, text_most=limits.field)
    return json_format.read_body(text.utf8, make, limits.items, common)


def _differs(body: bytes, entries: Sequence[Entry]) -> bool:
    return bool(entries) and body != encode_body([entry.item for entry in entries])


def entry_of(report: Report) -> Entry:
    """A report as the store takes it."""
    told = identity(report)
    return Entry(
        message_key=message_key(report) if report.message_id else told,
        identity=told,
        generation=report.generation,
        final=is_final(report.status),
        item=encode_item(report),
        status_group=group_of(report.status),
        summary=_summary(report),
    )


def _summary(report: Report) -> Summary:
    sent_at, done_at, price = report.sent_at, report.done_at, report.price
    return Summary(
        to=report.to,
        bulk_id=report.bulk_id,
        sender=report.sender,
        mcc_mnc=report.mcc_mnc,
        status=report.status,
        error=report.error,
        currency=None if price is None else price.currency,
        price=None if price is None else price.per_message,
        message_count=report.message_count,
        milliseconds=None
        if sent_at is None or done_at is None
        else (utc_microseconds(done_at) - utc_microseconds(sent_at)) // 1000,
    )


def _entry(text_most: int | None, report: Report, place: str) -> Entry:
    """The entry of a report. Raises ItemRefused for an item that can be read and yet is not stored:
    another event, or a report with a text of more than `text_most` bytes.
    """
    if (event := other_events.of_item(report)) is not None:
        raise ItemRefused(place, event)
    entry = entry_of(report)
    if text_most is not None and len(entry.item) > text_most:  # no text of a short item is long
        _check_texts(report, place, text_most)
    return entry


def _check_texts(report: Report, place: str, most: int) -> None:
    for where, text in _texts(write_item(report), place):
        if (size := len(text.encode())) > most:
            raise ItemRefused(where, f"expected at most {most} bytes, got {size}")


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
