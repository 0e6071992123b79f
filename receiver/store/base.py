"""What the receiver and the dispatcher need of a store of reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from receiver.dlr.errors import Unreadable
from receiver.dlr.json_format import decode_item
from receiver.dlr.model import Format, Generation, Report
from receiver.intake import Entry


class StoreUnavailable(Exception):
    """The store cannot be read or written now (disk full, locked, missing). Nothing was changed."""


class Callback(Struct, frozen=True):
    """One HTTP request that brought reports, as it is to be stored."""

    source: str
    format: Format
    content_type: str | None
    received_at: datetime
    entries: Sequence[Entry] = ()
    quarantined: Sequence[Unreadable] = ()


class Counts(Struct, frozen=True):
    """What became of one callback. The field names are those of the answer to it."""

    stored: int
    duplicates: int
    quarantined: int


class StoredReport(Struct, frozen=True):
    """A report as it lies in the store. `item` is JSON in the provider's field names."""

    id: int
    received_at: datetime
    source: str
    format: Format
    generation: Generation | None
    final: bool
    status_group: int | None
    duplicates: int
    message_key: int
    identity: int
    item: bytes

    def read(self) -> Report:
        """The report itself. Raises nothing: it was read before it was stored."""
        return decode_item(self.item, self.generation)


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """Which reports are wanted, newest first. `None` means: any.

    `before` is the cursor: only reports with a smaller id.
    """

    limit: int = 100
    before: int | None = None
    message_id: str | None = None
    source: str | None = None
    final: bool | None = None
    status_groups: tuple[int, ...] = field(default=())


class QuarantineEntry(Struct, frozen=True):
    """What could not be read: where in the body, why, and how many bytes are kept of it."""

    id: int
    received_at: datetime
    source: str
    content_type: str | None
    size: int
    reason: str
    place: str


class ReportStore(Protocol):
    """Keeps every report once, and every body that could not be read."""

    async def add(self, callbacks: Sequence[Callback]) -> list[Counts]:
        """Store all callbacks in one transaction; when this returns they are on disk.

        A report whose identity was seen in the last days is counted on the stored one instead.
        Raises StoreUnavailable; then nothing of any of them is stored.
        """

    async def check_writable(self) -> None:
        """Raises StoreUnavailable when nothing could be stored now."""

    async def reports(self, query: ReportQuery) -> list[StoredReport]:
        """The wanted reports, newest first."""

    async def reports_by_id(self, report_ids: Sequence[int]) -> list[StoredReport]:
        """Those of these reports that are there, in the order of arrival."""

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]:
        """At most `limit` reports that were stored after this one, in the order of arrival."""

    async def reports_of(self, message_id: str) -> list[StoredReport]:
        """All reports of one message, in the order of arrival."""

    async def newest_of_messages(self, before: int | None, limit: int) -> list[StoredReport]:
        """Each message's last received report, newest first: one report a message.

        `before` is the cursor: only reports with a smaller id. Reports without messageId stand for
        themselves.
        """

    async def quarantine(self, before: int | None, limit: int) -> list[QuarantineEntry]:
        """What could not be read, newest first."""

    async def quarantined(self, entry_id: int) -> tuple[QuarantineEntry, bytes] | None:
        """One entry with the bytes as they came."""
