"""Quarantine read again: after an upgrade, what could not be read may be readable."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from receiver.callbacks.body import BodyText, Unsupported, charset_of, format_of, sniffed, text_of
from receiver.callbacks.intake import NO_LIMITS, Limits, verdict_on, verdict_on_bytes
from receiver.dlr.formats import framed
from receiver.dlr.model import Format
from receiver.store.base import Counts, QuarantineEntry, ReportStore
from receiver.store.callback import Callback, Verdict


async def read_again(
    store: ReportStore, entry_id: int, limits: Limits = NO_LIMITS
) -> Counts | None:
    """Read an entry's bytes again and store what can now be read, as received when it was.

    If that helps, the entry goes, and what still cannot be read of it becomes entries of its own.
    Otherwise it stays as it is, and counts as one quarantined. `None` when there is no such entry.
    """
    found = await store.quarantined(entry_id)
    if found is None:
        return None
    callback = await asyncio.to_thread(_callback, *found, limits)
    if callback is None:
        return Counts(stored=0, duplicates=0, quarantined=1)
    return await store.resolve(entry_id, callback)


def _callback(entry: QuarantineEntry, raw: bytes, limits: Limits) -> Callback | None:
    """What today's code reads in kept bytes; `None` when that is no more than it was before."""
    text = text_of_entry(entry, raw)
    verdict = None
    if entry.place.startswith("results["):
        verdict = _of_item(raw, text.format, limits)
    if verdict is None:
        verdict = verdict_on(text, limits)
    split = verdict.readable and len(verdict.quarantined) != 1
    if not verdict.entries and not split:
        return None
    return Callback(entry.source, text.format, entry.content_type, entry.received_at, verdict)


def text_of_entry(entry: QuarantineEntry, raw: bytes) -> BodyText:
    """Kept bytes as the text of a whole body."""
    format = format_of(entry.content_type, raw) or sniffed(raw)
    return text_of(raw, format, _charset(entry.content_type))


def _charset(content_type: str | None) -> str | None:
    """The charset that was told, if there is one: without it the bytes themselves may tell."""
    try:
        return charset_of(content_type)
    except Unsupported:
        return None


def _of_item(raw: bytes, format: Format, limits: Limits) -> Verdict | None:
    """The verdict on an item, which is kept in UTF-8 and without its body; `None` when the bytes
    are no item. From XML the whole body may have been kept for one.
    """
    verdict = verdict_on_bytes(framed(raw, format), format, limits)
    if not verdict.readable:
        return None
    return verdict if verdict.received is None else replace(verdict, received=raw)
