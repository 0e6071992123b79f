"""What the receiver and the dispatcher need of a store of reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from receiver.dlr.json_format import decode_item
from receiver.dlr.model import Format, Generation, Report
from receiver.dlr.number import comparable, comparable_prefix
from receiver.store.callback import Callback, NotifyTo
from receiver.store.excerpt import Dimension, ReportOutcome

DUPLICATE_DAYS = 4
"""Today and the days before in which a repeated report is recognised.

The platform repeats for 41:30 h at most, so three days always lie within.
"""

TURN = 1_000
"""Reports that the read model follows in one transaction: it keeps intake waiting for 6 ms
(measured with SQLite)."""


class StoreUnavailable(Exception):
    """The store cannot be read or written now (disk full, locked, missing). Nothing was changed.

    With one exception: when the connection to a database server breaks during a commit, nobody
    knows whether it was made. So whoever writes the same again must be able to find it there.
    """


class StoreUnreachable(StoreUnavailable):
    """The database's server did not take a connection while it was waited for."""


class Counts(Struct, frozen=True):
    """What became of one callback. It is the answer to it, too."""

    stored: Annotated[int, Meta(ge=0, examples=[1])]
    duplicates: Annotated[int, Meta(ge=0, examples=[0])]
    quarantined: Annotated[int, Meta(ge=0, examples=[0])]


Message = tuple[str, int]
"""Which message: the source that its reports came from, and its `message_key`. Sources are tenants:
the same messageId from two of them is two messages."""


class AmbiguousMessage(Exception):
    """Several sources have a message with this messageId, and none of them was named."""

    def __init__(self, message_id: str, sources: Sequence[str]) -> None:
        names = ", ".join(sources)
        super().__init__(f'{len(sources)} sources have a message "{message_id}": {names}')
        self.sources = sources


class ReportItem(Struct, frozen=True, kw_only=True, gc=False):
    """What a push needs of a stored report. `item` is JSON in the provider's field names."""

    id: int
    source: str
    generation: Generation | None
    final: bool
    status_group: int | None
    message_key: int
    item: bytes
    notify_to: NotifyTo | None = None  # came with a URL of its own

    @property
    def message(self) -> Message:
        """The message that it is of."""
        return self.source, self.message_key

    def read(self) -> Report:
        """The report itself. Raises nothing: it was read before it was stored."""
        return decode_item(self.item, self.generation)


class StoredReport(ReportItem, frozen=True, kw_only=True):
    """A report as it lies in the store."""

    received_at: datetime
    format: Format
    duplicates: int
    identity: int


def of_one_source(message_id: str, reports: Sequence[StoredReport]) -> Sequence[StoredReport]:
    """The reports with this messageId, if they are of one message. Raises AmbiguousMessage."""
    sources = sorted({report.source for report in reports})
    if len(sources) > 1:
        raise AmbiguousMessage(message_id, sources)
    return reports


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """Which reports are wanted, newest first. `None` or nothing means: any. All must hold.

    `before` is the cursor: only reports with a smaller id; `after`: only with a larger one.
    `statuses` and `errors` are ids, or names in capitals. Of a range the beginning belongs to it,
    the end does not. `text` is a part of the messageId, of the recipient's number or of the
    callbackData, in capitals or small letters.

    `to`, `to_prefix` and `sender` may be given in any form of a number, and are kept in the
    comparable one (number.py).
    """

    limit: int = 100
    before: int | None = None
    after: int | None = None
    text: str | None = None
    message_id: str | None = None
    source: str | None = None
    final: bool | None = None
    status_groups: tuple[int, ...] = field(default=())
    bulk_id: str | None = None
    to: str | None = None
    to_prefix: str | None = None
    sender: str | None = None
    statuses: tuple[int | str, ...] = ()
    errors: tuple[int | str, ...] = ()
    permanent: bool | None = None
    callback_data: str | None = None
    callback_data_contains: str | None = None
    received_since: datetime | None = None
    received_until: datetime | None = None
    done_since: datetime | None = None
    done_until: datetime | None = None

    def __post_init__(self) -> None:
        self._compare_by("to", comparable)
        self._compare_by("to_prefix", comparable_prefix)
        self._compare_by("sender", comparable)

    def _compare_by(self, name: str, form: Callable[[str], str]) -> None:
        text = getattr(self, name)
        if text is not None:
            object.__setattr__(self, name, form(text))  # it is frozen


class FoundReports(Struct, frozen=True):
    """What one step of a search has found, newest first.

    `next` is the cursor of the next step, `None` when there is none. It may come with fewer
    reports than were asked for, even with none, because one step looks at a bounded number.
    """

    reports: Sequence[StoredReport]
    next: int | None


class QuarantineEntry(Struct, frozen=True):
    """What could not be read: where in the body, why, and how many bytes are kept of it."""

    id: int
    received_at: datetime
    source: str
    content_type: str | None
    size: int
    reason: str
    place: str
    repeats: int = 0  # how often the very same came again


class TotalsQuery(Struct, frozen=True):
    """Whole minutes, hours or days (`span` in seconds) from `since` up to and without `until`, both
    in seconds since 1970 UTC. `None` means: any."""

    span: int
    since: int
    until: int
    source: str | None = None
    final: bool | None = None


class OutcomeCount(Struct, frozen=True):
    """How many reports said so. `outcome` is `None` for what was not told apart."""

    start: int
    outcome: ReportOutcome | None
    reports: int


class PriceSum(Struct, frozen=True):
    """The exact sum of the prices in one currency, of final or of other reports."""

    start: int
    currency: str
    final: bool
    reports: int
    sum: Decimal


class DurationCount(Struct, frozen=True):
    """How many reports took so long from sentAt to doneAt (a bin of histogram.py)."""

    start: int
    bin: int
    reports: int


class Totals(Struct, frozen=True):
    """What was added up, each by the start of its span in ascending order.

    `lag` reports are not in it yet; it is 0 unless more came than can be added up at once.
    """

    outcomes: Sequence[OutcomeCount]
    prices: Sequence[PriceSum]
    durations: Sequence[DurationCount]
    lag: int


class PartOutcome(Struct, frozen=True):
    """How many reports of a part (a value of the dimension) said so. `value` is `None` for what was
    not told apart."""

    value: str | None
    outcome: ReportOutcome | None
    reports: int


class PartPrice(Struct, frozen=True):
    """As PriceSum."""

    value: str | None
    currency: str
    final: bool
    reports: int
    sum: Decimal


class PartDuration(Struct, frozen=True):
    """Durations are within 6 %: `bin` stands for its neighbours too (histogram.py, coarse)."""

    value: str | None
    bin: int
    reports: int


PartShares = Mapping[str | None, Mapping[int, tuple[int, int]]]
"""By value of the dimension, then by start of the span: how many reports were delivered, and how
many are final. Spans without final reports are left out."""


class PartTotals(Struct, frozen=True):
    """What was added up by the values of a dimension. `lag` as of `Totals`."""

    outcomes: Sequence[PartOutcome]
    prices: Sequence[PartPrice]
    durations: Sequence[PartDuration]
    shares: PartShares
    lag: int


class ReportStore(Protocol):
    """Keeps every report once, and every body that could not be read."""

    async def add(self, callbacks: Sequence[Callback]) -> list[Counts]:
        """Store all callbacks in one transaction; when this returns they are on disk.

        A report whose source and identity were seen in the last days is counted on the stored one
        instead.
        Raises StoreUnavailable; then nothing of any of them is stored.
        """

    async def check_writable(self) -> None:
        """Raises StoreUnavailable when nothing could be stored now."""

    async def reports(self, query: ReportQuery) -> list[StoredReport]:
        """The wanted reports, newest first. Looks at all that there are, if need be."""

    async def find(self, query: ReportQuery) -> FoundReports:
        """One step of the same search, in bounded time."""

    async def reports_by_id(self, report_ids: Sequence[int]) -> list[StoredReport]:
        """Those of these reports that are there, in the order of arrival."""

    async def reports_after(self, report_id: int, limit: int) -> list[StoredReport]:
        """At most `limit` reports that were stored after this one, in the order of arrival."""

    async def newest_report(self) -> int:
        """The id of the report stored last, even if it is no longer kept; 0 when there was none."""

    async def reports_of(self, message_id: str, source: str | None = None) -> list[StoredReport]:
        """All reports of this source's message, in the order of arrival; without a source those of
        each source that has a message with this messageId."""

    async def newest_of_messages(self, before: int | None, limit: int) -> list[StoredReport]:
        """Each message's last received report, newest first: one report a message.

        `before` is the cursor: only reports with a smaller id. Reports without messageId stand for
        themselves.
        """

    async def quarantine(
        self,
        before: int | None,
        limit: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[QuarantineEntry]:
        """What could not be read, newest first. Received at `since` or later, and before `until`;
        `None`: at any time."""

    async def quarantined(self, entry_id: int) -> tuple[QuarantineEntry, bytes] | None:
        """One entry with the bytes as they came."""

    async def resolve(self, entry_id: int, callback: Callback) -> Counts | None:
        """Put in place of a quarantine entry what could be read of it now, in one transaction.

        A report of the same source that is stored already, however long ago, is counted on that
        one. `None`, and nothing is stored, when the entry is not there (any more).
        """

    async def dismiss(self, entry_id: int) -> bool:
        """Take an entry out of quarantine for good, with its bytes. False when it is not there (any
        more)."""

    async def as_received(self, reports: Sequence[StoredReport]) -> dict[int, bytes]:
        """The bytes of these reports' items as they came, by id; without those that were not kept.

        Items of XML are in UTF-8.
        """

    async def totals(self, query: TotalsQuery) -> Totals:
        """Counts, sums of prices and durations by time of receipt."""

    async def part_totals(self, query: TotalsQuery, dimension: Dimension) -> PartTotals:
        """The same of all of the time by the values of a dimension, in ascending order of these;
        by hours or days only."""


class ReadModel(Protocol):
    """Search keys and totals, made of the reports after they were stored.

    Searches and totals are complete however far it has come: it decides only how fast they are.
    """

    async def turn(self, most: int = TURN) -> int:
        """Follow at most `most` reports; returns how many there were to follow.

        Raises StoreUnavailable; then nothing is changed, and the next turn begins at the same one.
        Of several that take a turn at the same time, one counts the reports.
        """

    async def catch_up(self) -> int:
        """Take turns until there is nothing to follow. Returns how many reports were followed."""


Pause = Callable[[], Awaitable[None]]
"""Called between two batches. What it raises ends the work; the batches before it stay."""


class StoreRetention(Protocol):
    """Removes reports and quarantine that are too old, or too many, the oldest first.

    What is older than `before` goes (`None`: nothing is too old), and of more than the `most`
    newest the oldest (0: as many as there are). Instants decide what is oldest, whatever the order
    in which it was stored; of one instant the lower id is older. Each batch is a small transaction,
    so that callbacks hardly wait. Returns the rows of each table. Raises StoreUnavailable; then the
    batches before stay removed.

    A report stays as long as somebody has to read it, which an implementation is told when it is
    made, or the read model has to follow it. `held` is told how many stay for whom.
    """

    async def last_stored_at(self) -> datetime | None:
        """When the report that was stored last was received; None if it is not there."""

    async def purge_reports(
        self,
        *,
        now: datetime,
        before: datetime | None,
        most: int,
        pause: Pause,
        held: Counter[str] | None = None,
    ) -> Mapping[str, int]:
        """Remove reports. A repeat of one of the last days (`now`) is recognised all the same."""

    async def count_reports(
        self,
        *,
        now: datetime,
        before: datetime | None,
        most: int,
        held: Counter[str] | None = None,
    ) -> Mapping[str, int]:
        """How many reports and keys `purge_reports` would remove. Keys go with their day, so that
        they can be fewer than reports, or more."""

    async def purge_quarantine(
        self, *, before: datetime | None, most: int, pause: Pause
    ) -> Mapping[str, int]:
        """Remove quarantined bodies and items."""

    async def count_quarantine(self, *, before: datetime | None, most: int) -> Mapping[str, int]:
        """What `purge_quarantine` would remove."""


class Traces(Struct, frozen=True):
    """Where a recipient's data was found: ids, ascending.

    `bodies` are those in which others' reports came and the recipient's stood beside them as
    repeats or unreadable items: each by the first report that came in it.
    """

    reports: Sequence[int]
    quarantine: Sequence[int]
    bodies: Sequence[int] = ()
