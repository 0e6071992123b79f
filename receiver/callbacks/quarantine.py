"""Quarantine once more: after an upgrade, what could not be read may be readable."""

from __future__ import annotations

import asyncio

from receiver.callbacks.intake import NO_LIMITS, Limits
from receiver.callbacks.read_again import read_again
from receiver.store.base import Callback, Counts, ReportStore


async def retry(store: ReportStore, entry_id: int, limits: Limits = NO_LIMITS) -> Counts | None:
    """Read an entry's bytes again and store what can now be read, as received when it was.

    The entry goes when that helps; what still cannot be read of it becomes entries of its own. Else
    it stays as it is, and counts as one quarantined. `None` when there is no such entry.
    """
    found = await store.quarantined(entry_id)
    if found is None:
        return None
    entry, raw = found
    reading = await asyncio.to_thread(read_again, raw, entry.content_type, entry.place, limits)
    if not reading.helped:
        return Counts(stored=0, duplicates=0, quarantined=1)
    callback = Callback(
        source=entry.source,
        format=reading.format,
        content_type=entry.content_type,
        received_at=entry.received_at,
        entries=reading.verdict.entries,
        quarantined=reading.verdict.quarantined,
        received=reading.verdict.received,
    )
    return await store.resolve(entry_id, callback)
