"""What could not be read, as the API and the command line show it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from receiver.answers import Count, Id, Instant, Next, timestamp
from receiver.store.base import QuarantineEntry


class QuarantineEntryAnswer(Struct, frozen=True, rename="camel"):
    """A quarantined body or item, without its bytes."""

    id: Id
    received_at: Instant
    source: str
    content_type: str | None
    size: Count
    reason: str
    place: str
    repeats: Count

    @classmethod
    def of(cls, entry: QuarantineEntry) -> QuarantineEntryAnswer:
        return cls(
            id=entry.id,
            received_at=timestamp(entry.received_at),
            source=entry.source,
            content_type=entry.content_type,
            size=entry.size,
            reason=entry.reason,
            place=entry.place,
            repeats=entry.repeats,
        )


class QuarantinePage(Struct, frozen=True):
    items: Sequence[QuarantineEntryAnswer]
    next: Next


class DismissedEntry(Struct, frozen=True):
    dismissed: Id
