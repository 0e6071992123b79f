"""Which of some rows are a recipient's. Pure; whoever erases goes through whole tables with it.

A report is the recipient's by its `to` or its messageId. A quarantined body is if any text that it
may stand for (texts.py) names the number or the id. A body as received is if one of its items is
the recipient's, be it stored of this body, or a repeat, or unreadable.
"""

from __future__ import annotations

from collections.abc import Iterable

from receiver.dlr.formats import items_of_kept
from receiver.dlr.model import Format, Generation, Report
from receiver.store.excerpt import excerpt_of
from receiver.store.recipient import Recipient


def reports_of(
    recipient: Recipient, rows: Iterable[tuple[int, Generation | None, str | bytes]]
) -> list[int]:
    """Of rows of id, generation and item."""
    return [id for id, generation, item in rows if recipient.has(excerpt_of(item, generation))]


def quarantine_of(
    recipient: Recipient, rows: Iterable[tuple[int, bytes, str | None, str, str]]
) -> list[int]:
    """Of rows of id, body, content type, reason and place."""
    return [
        number
        for number, body, content_type, reason, place in rows
        if recipient.is_named_in(reason)
        or recipient.is_named_in(place)
        or recipient.is_named_in_bytes(body, content_type)
    ]


def bodies_of(recipient: Recipient, rows: Iterable[tuple[int, bytes, Format]]) -> list[int]:
    """Of rows of id, body and format."""
    return [first for first, body, format in rows if _is_in(recipient, body, format)]


def _is_in(recipient: Recipient, body: bytes, format: Format) -> bool:
    """Whether a body as received has an item of the recipient's."""
    if not (recipient.may_be_in(body) or b"\\" in body or b"&" in body):  # no escapes either
        return False
    return any(
        recipient.has(item) if isinstance(item, Report) else recipient.is_named_in_bytes(item.raw)
        for item in items_of_kept(body, format)
    )
