"""What `dlr reports`, `messages`, `quarantine` and `dispatches` print."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any, TextIO

import msgspec
from msgspec import UNSET, Struct, structs
from msgspec.structs import astuple
from rich.console import Console
from rich.text import Text

from dispatcher.api.dispatches import (
    AttemptAnswer,
    DispatchAnswer,
    DispatchQuery,
    DispatchWithHistory,
    dispatch_page,
    dispatches_with_history,
    with_history,
)
from dispatcher.api.endpoint_totals import EndpointTotals
from dispatcher.api.placed import PlacedReports
from dispatcher.api.unrouted import Unrouted
from dispatcher.commands.console import (
    Columns,
    ListFormat,
    encoded,
    fields,
    print_csv,
    print_list,
    print_record,
    print_rows,
    told,
)
from dispatcher.commands.export import Output, finished, output
from dispatcher.commands.gone import counted
from dispatcher.commands.saying import NotThere, say
from dispatcher.endpoints.registry import Registry
from dispatcher.storage import Storage
from receiver.api.filters import AskedTotals, MessageQuery, Place, QuarantineQuery
from receiver.api.messages import MessageAnswer, find_message, find_messages
from receiver.api.quarantine import QuarantineEntryAnswer
from receiver.api.reports import ReportAnswer
from receiver.api.totals import (
    PERCENTS,
    SHARE_PERCENTS,
    PartAnswer,
    TotalAnswer,
    TotalsAnswer,
    totals_answer,
)
from receiver.callbacks.intake import Limits
from receiver.callbacks.quarantine import read_again
from receiver.dlr.item import write_item
from receiver.store.base import Counts, FoundReports, ReportQuery, StoredReport

PAGE = 500
"""Rows that are read from the database at a time."""

TERMINAL_ROWS = 100
"""Rows that a terminal gets if nobody says how many."""

MORE = (
    f"{TERMINAL_ROWS} rows are shown, and there are more: --limit N shows N of them;"
    " --output FILE, or a pipe, gets all"
)


class ReportRow(ReportAnswer, frozen=True, kw_only=True):
    """A report for tables and CSV: `item` holds the names and values of `report`."""

    item: dict[str, Any]


def _report_row(stored: StoredReport) -> ReportRow:
    return ReportRow.of(stored, item=write_item(stored.read()))


def _in_item(*names: str) -> Columns:
    """Columns of reports that are named like the field of the item."""
    return {name: _of_item(name) for name in names}


def _of_item(*names: str) -> Callable[[ReportRow], object]:
    """The first of these that the item has."""
    return lambda row: next((row.item[name] for name in names if name in row.item), None)


def _of_part(part: str, *names: str) -> Callable[[ReportRow], object]:
    """The first of these that `price`, `status` or `error` has."""

    def first(row: ReportRow) -> object:
        said = row.item.get(part) or {}
        return next((said[name] for name in names if said.get(name) is not None), None)

    return first


def _status(status: Mapping[str, Any] | None) -> str | None:
    status = status or {}
    return status.get("name") or status.get("groupName") or status.get("id")


def _finality(row: ReportRow | MessageAnswer) -> str:
    return "final" if row.final else "intermediate"


REPORT_COLUMNS: Columns = {
    **fields(ReportRow, "id", "receivedAt"),
    **_in_item("messageId", "to"),
    "status": lambda row: _status(row.item.get("status")),
    "final": _finality,
    **_in_item("doneAt", "callbackData"),
    **fields(ReportRow, "source", "format", "duplicates"),
}

REPORT_CSV_COLUMNS: Columns = {
    **fields(ReportRow, "id", "receivedAt", "source", "format", "generation", "final"),
    **fields(ReportRow, "duplicates"),
    **_in_item("bulkId", "messageId", "to"),
    "from": _of_item("from", "sender"),
    **_in_item("sentAt", "doneAt", "mccMnc", "callbackData"),
    "messageCount": _of_item("messageCount", "smsCount"),
    "price": lambda row: _price((row.item.get("price") or {}).get("pricePerMessage")),
    "currency": _of_part("price", "currency"),
    "statusGroup": _of_part("status", "groupName"),
    "status": lambda row: _status(row.item.get("status")),
    "errorGroup": _of_part("error", "groupName"),
    "error": _of_part("error", "name", "id"),
    "permanent": _of_part("error", "permanent"),
}

MESSAGE_COLUMNS: Columns = {
    **fields(MessageAnswer, "messageId"),
    "status": lambda row: _status(row.status),
    "state": _finality,
    "reports": lambda row: len(row.reports),
    "dispatches": lambda row: ", ".join(f"{each.endpoint} {each.state}" for each in row.dispatches),
    **fields(MessageAnswer, "source"),
    "to": lambda row: msgspec.json.decode(row.reports[-1].report).get("to"),
    "receivedAt": lambda row: row.reports[-1].received_at,
}

QUARANTINE_COLUMNS: Columns = fields(
    QuarantineEntryAnswer,
    "id",
    "receivedAt",
    "source",
    "contentType",
    "size",
    "place",
    "reason",
)

DISPATCH_COLUMNS: Columns = fields(
    DispatchAnswer, "id", "endpoint", "state", "attempts", "reports", "createdAt", "dueAt", "url"
)

CARRIED_COLUMNS: Columns = {
    "report": attrgetter("id"),
    **{name: REPORT_COLUMNS[name] for name in ("messageId", "to", "status", "final", "source")},
}

ATTEMPT_COLUMNS: Columns = fields(
    AttemptAnswer,
    "number",
    "startedAt",
    "durationMs",
    "status",
    "outcome",
    "error",
    "answer",
    "note",
)


def totals_columns(shown: TotalsAnswer) -> Columns:
    """The columns of these totals: one for the cost in each currency, a number alone."""
    first: Columns = {"start": lambda row: getattr(row, "start", "total")}
    if shown.by is not None:
        first = {shown.by: lambda row: getattr(row, "value", "total"), "name": _name_of}
    return {
        **first,
        **fields(TotalAnswer, "reports", "final", "delivered", "deliveredShare"),
        "statusGroups": lambda row: ", ".join(f"{k} {n}" for k, n in row.status_groups.items()),
        "errors": lambda row: ", ".join(
            f"{each.name or each.id} {each.reports}" for each in row.errors
        ),
        **{f"cost {each.currency}": _cost_in(each.currency) for each in shown.total.cost},
        **{f"p{percent} s": attrgetter(f"sent_to_done.p{percent}") for percent in PERCENTS},
        **({} if shown.by is None else _share_columns(shown)),
    }


def _share_columns(shown: TotalsAnswer) -> Columns:
    """Percentiles of each row's delivery rate over the buckets; the last row has those of all."""

    def percentile(percent: int) -> Callable[[TotalAnswer], float | None]:
        def of(row: TotalAnswer) -> float | None:
            shares = row.delivered_shares if isinstance(row, PartAnswer) else shown.delivered_shares
            found: float | None = getattr(shares, f"p{percent}")
            return found

        return of

    return {f"share p{percent}": percentile(percent) for percent in SHARE_PERCENTS}


def _name_of(row: TotalAnswer) -> str | None:
    return getattr(row, "name", None)


def _cost_in(currency: str) -> Callable[[TotalAnswer], str | None]:
    def cost(row: TotalAnswer) -> str | None:
        return next((f"{each.sum:f}" for each in row.cost if each.currency == currency), None)

    return cost


@dataclass(frozen=True, slots=True)
class Listing:
    """In which form a list is printed, where to, and how much of it, as far as it was said."""

    said: ListFormat | None = None
    said_limit: int | None = None
    path: Path | None = None

    @property
    def form(self) -> ListFormat:
        return self.said or "table"

    @property
    def limit(self) -> int | None:
        """The most rows; `None`: all. A terminal gets TERMINAL_ROWS unless something else is said:
        who looks at millions wants the newest."""
        if self.said_limit is None and self.path is None and sys.stdout.isatty():
            return TERMINAL_ROWS
        return self.said_limit

    async def print(
        self,
        found: AsyncIterator[Any],
        row: Callable[[Any], Struct],
        columns: Columns,
        share: Callable[[Any], float],
        csv_columns: Columns | None = None,
    ) -> None:
        """Print what is found as it comes, each as the answer or row that `row` makes of it.
        `share` is how much of the way is done there."""
        with output(self.path) as out:
            rows = self._counted(found, row, share, out)
            await print_list(rows, columns, self.form, out.file, csv_columns)
        if out.more:
            say(MORE, err=True)

    def print_one(
        self,
        answer: Struct,
        columns: Columns,
        table: Callable[[TextIO], None] | None = None,
        row: Struct | None = None,
    ) -> None:
        """Print what an id names: JSON is that of the API, CSV has one row with the columns of the
        list, and `table` prints the tables; without it, each value has a line. `row` is what the
        columns are of, if not the answer."""
        with output(self.path) as out:
            if self.form == "csv":
                print_csv([row or answer], columns, out.file)
            elif self.form != "table":
                out.file.write(encoded(answer) + "\n")
            elif table is not None:
                table(out.file)
            else:
                print_record(msgspec.to_builtins(answer), out.file)

    async def _counted(
        self,
        found: AsyncIterator[Any],
        row: Callable[[Any], Struct],
        share: Callable[[Any], float],
        out: Output,
    ) -> AsyncIterator[Struct]:
        limit = self.limit
        async for each in found:
            if out.counter.rows == limit:
                out.more = True
                return
            out.counter.row(share(each))
            yield row(each)
            if out.counter.rows == self.said_limit:
                return

    async def print_reports(
        self, found: AsyncIterator[StoredReport], share: Callable[[Any], float]
    ) -> None:
        """Reports: as the API has them in JSON, with the values of the item elsewhere."""
        as_answers = self.form in ("json", "ndjson")
        row = ReportAnswer.of if as_answers else _report_row
        await self.print(found, row, REPORT_COLUMNS, share, REPORT_CSV_COLUMNS)


async def print_reports(storage: Storage, wanted: ReportQuery, listing: Listing) -> None:
    found = _reports(storage.store.find, wanted, listing.limit)
    await listing.print_reports(found, await _way(storage))


async def print_placed(
    storage: Storage, registry: Registry, wanted: ReportQuery, place: Place, listing: Listing
) -> None:
    """Reports by what became of them."""
    unrouted = Unrouted(storage.unrouted, registry)
    placed = PlacedReports(storage.store, storage.queue, unrouted)
    found = _reports(lambda query: placed.find(query, place), wanted, listing.limit)
    await listing.print_reports(found, await _way(storage))
    if place.state == "unrouted":
        await _say_what_is_judged(storage, unrouted)


UNREAD_COUNTED = 1_000
"""Unread reports that are counted, at most."""


async def _say_what_is_judged(storage: Storage, unrouted: Unrouted) -> None:
    """On stderr, of which reports nobody can say yet, or any more, whether they are unrouted."""
    ends = await unrouted.find(1, 1)
    # Counted, because ids have gaps: a day may begin with a new partition.
    unread = len(await storage.store.reports_after(ends.read_to, UNREAD_COUNTED))
    if unread:
        more = " or more" if unread == UNREAD_COUNTED else ""
        told = f"{counted(unread, 'report')}{more}"
        say(f"not every endpoint has read the newest {told} yet", err=True)
    if ends.forgotten_to:
        say(
            f"reports up to id {ends.forgotten_to} are left out, because dispatches of that time"
            " have been removed",
            err=True,
        )


_with_all_digits = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


async def print_report(storage: Storage, report_id: int, listing: Listing) -> None:
    """One report; in a table, a line for each thing that is known of it."""
    found = await storage.store.reports_by_id([report_id])
    if not found:
        raise NotThere(f"there is no report {report_id}")
    shown, row = ReportAnswer.of(found[0]), _report_row(found[0])
    known = _with_all_digits.decode(encoded(shown))
    known |= known.pop("report")
    listing.print_one(shown, REPORT_CSV_COLUMNS, lambda file: print_record(known, file), row)


async def _reports(
    find: Callable[[ReportQuery], Awaitable[FoundReports]], wanted: ReportQuery, limit: int | None
) -> AsyncIterator[StoredReport]:
    size = PAGE if limit is None else min(PAGE, limit)
    before = wanted.before
    while True:
        found = await find(replace(wanted, before=before, limit=size))
        for report in found.reports:
            yield report
        if (before := found.next) is None:
            return


async def _way(storage: Storage) -> Callable[[Any], float]:
    """How much of the way, from the newest id down to the first, is done at a report."""
    newest = await storage.store.reports(ReportQuery(limit=1))
    oldest = await storage.store.reports_after(0, 1)
    if not newest or not oldest:
        return lambda _: 1.0
    start, length = newest[0].id, max(1, newest[0].id - oldest[0].id)
    return lambda report: min(1.0, max(0.0, (start - report.id) / length))


async def print_messages(storage: Storage, wanted: MessageQuery, listing: Listing) -> None:
    way = await _way(storage)
    await listing.print(
        _messages(storage, wanted, listing.limit),
        lambda found: MessageAnswer.of(*found),
        MESSAGE_COLUMNS,
        lambda found: way(found[0][-1]),
    )


async def _messages(
    storage: Storage, wanted: MessageQuery, limit: int | None
) -> AsyncIterator[tuple[list[StoredReport], list[DispatchWithHistory]]]:
    size = PAGE if limit is None else min(PAGE, limit)
    before = wanted.before
    while True:
        found, before = await find_messages(
            storage.store, structs.replace(wanted, before=before, limit=size)
        )
        for reports in found:
            yield reports, await _dispatches_of(storage, [report.id for report in reports])
        if before is None:
            return


async def print_message(
    storage: Storage, message_id: str, source: str | None, listing: Listing
) -> None:
    """One message: where it stands, its reports, its dispatches. Raises AmbiguousMessage."""
    reports = await find_message(storage.store, message_id, source)
    if not reports:
        raise NotThere(f"there is no report of a message {message_id!r}")
    shown = MessageAnswer.of(reports, await _dispatches_of(storage, [r.id for r in reports]))

    def table(file: TextIO) -> None:
        console = Console(file=file)
        bold = "" if console.no_color else "bold"
        state = f" {_status(shown.status)} ({_finality(shown)})"
        console.print(Text.assemble(told(message_id, bold), told(state)), soft_wrap=True)
        print_rows("reports", [_report_row(each) for each in reports], REPORT_COLUMNS, file)
        print_rows("dispatches", shown.dispatches, DISPATCH_COLUMNS, file)

    listing.print_one(shown, MESSAGE_COLUMNS, table)


async def print_quarantine(storage: Storage, wanted: QuarantineQuery, listing: Listing) -> None:
    newest = await storage.store.quarantine(None, 1)
    highest = newest[0].id if newest else 1
    times = {"since": wanted.received_since, "until": wanted.received_until}
    await listing.print(
        pages(lambda cursor: storage.store.quarantine(cursor, PAGE, **times)),
        QuarantineEntryAnswer.of,
        QUARANTINE_COLUMNS,
        lambda entry: (highest - entry.id) / highest,
    )


async def read_quarantine_again(storage: Storage, entry_id: int | None, limits: Limits) -> Counts:
    """Read one entry again, or all of them, the oldest first. Prints what became of each that is
    not as it was, and the sum, which it returns."""
    if entry_id is not None:
        ids = [entry_id]
    else:
        entries = pages(lambda cursor: storage.store.quarantine(cursor, PAGE))
        ids = [entry.id async for entry in entries][::-1]
    sum = Counts(0, 0, 0)
    for number in ids:
        counts = await read_again(storage.store, number, limits)
        if counts is None:
            if entry_id is not None:
                raise NotThere(f"there is no quarantine entry {number}")
            continue  # somebody else was faster
        sum = Counts(*(a + b for a, b in zip(astuple(sum), astuple(counts), strict=True)))
        if counts != Counts(0, 0, 1):
            say(f"{number}: {_told(counts)}")
    say(f"{len(ids)} read again: {_told(sum)}")
    return sum


async def dismiss_quarantined(storage: Storage, entry_id: int) -> None:
    if not await storage.store.dismiss(entry_id):
        raise NotThere(f"there is no quarantine entry {entry_id}")
    say(f"{entry_id}: taken out")


def _told(counts: Counts) -> str:
    return (
        f"{counts.stored} stored, {counts.duplicates} duplicates,"
        f" {counts.quarantined} still in quarantine"
    )


async def print_totals(storage: Storage, asked: AskedTotals, listing: Listing) -> None:
    """Every bucket, or every row of what is asked for, and the sum of all at the end. JSON is that
    of the API."""
    by_endpoint = EndpointTotals(storage.store, storage.queue, None).of
    shown = await totals_answer(storage.store, asked, by_endpoint)
    if shown.behind:
        say(f"adding up {counted(shown.behind, 'report')} first", err=True)
        await storage.read_model.catch_up()
        shown = await totals_answer(storage.store, asked, by_endpoint)

    async def rows() -> AsyncIterator[TotalAnswer]:
        for each in shown.buckets if shown.rows is UNSET else shown.rows:
            yield each
        if listing.form == "table":
            yield shown.total

    with output(listing.path) as out:
        if listing.form == "json":
            out.file.write(encoded(shown) + "\n")
        else:
            await print_list(rows(), totals_columns(shown), listing.form, out.file)
    if listing.form == "table" and listing.path is None:
        _say_shares(shown)


def _say_shares(shown: TotalsAnswer) -> None:
    """How the delivery rate varied, where there are some buckets to compare."""
    shares = shown.delivered_shares
    if shares.buckets > 1:
        told = ", ".join(
            f"p{percent} {getattr(shares, f'p{percent}'):.2%}" for percent in SHARE_PERCENTS
        )
        say(f"deliveredShare of the {shares.buckets} {shown.bucket}s with final reports: {told}")


async def print_quarantined(storage: Storage, entry_id: int, listing: Listing) -> None:
    """The bytes of one entry as they came, and nothing else, for a file or a pipe. A terminal gets
    them as a text that does not steer it. With a form that was asked for: what is known of it."""
    found = await storage.store.quarantined(entry_id)
    if found is None:
        raise NotThere(f"there is no quarantine entry {entry_id}")
    if listing.said is not None:
        listing.print_one(QuarantineEntryAnswer.of(found[0]), QUARANTINE_COLUMNS)
        return
    if listing.path is not None:
        with finished(listing.path) as path:
            path.write_bytes(found[1])
        return
    if sys.stdout.isatty():
        for line in found[1].decode("utf-8", "replace").split("\n"):
            say(line)
        return
    sys.stdout.buffer.write(found[1])
    sys.stdout.buffer.flush()


async def print_dispatches(storage: Storage, wanted: DispatchQuery, listing: Listing) -> None:
    found = _dispatches(storage, wanted, listing.limit)
    await listing.print(found, lambda each: each, DISPATCH_COLUMNS, lambda _: 0.0)


async def _dispatches(
    storage: Storage, wanted: DispatchQuery, limit: int | None
) -> AsyncIterator[DispatchAnswer]:
    size = PAGE if limit is None else min(PAGE, limit)
    before: str | None = None
    while True:
        asked = structs.replace(wanted, before=before, limit=size)
        page = await dispatch_page(storage.store, storage.queue, asked)
        for each in page.dispatches:
            yield each
        if (before := page.next) is None:
            return


async def print_dispatch(storage: Storage, dispatch_id: str, listing: Listing) -> None:
    """One dispatch with its messages and its attempts."""
    found = await storage.queue.dispatch(dispatch_id)
    if found is None:
        raise NotThere(f"there is no dispatch {dispatch_id!r}")
    shown = await with_history(storage.store, *found)
    carried = await storage.store.reports_by_id(found[0].report_ids)

    def table(file: TextIO) -> None:
        print_rows("dispatch", [shown], DISPATCH_COLUMNS, file)
        print_rows("messages", [_report_row(each) for each in carried], CARRIED_COLUMNS, file)
        print_rows("attempts", shown.history, ATTEMPT_COLUMNS, file)

    listing.print_one(shown, DISPATCH_COLUMNS, table)


async def _dispatches_of(storage: Storage, report_ids: Sequence[int]) -> list[DispatchWithHistory]:
    return await dispatches_with_history(storage.store, storage.queue, report_ids)


def _price(price: Any) -> str | None:
    return None if price is None else f"{price:f}"


async def pages(read: Callable[[Any], Awaitable[Sequence[Any]]]) -> AsyncIterator[Any]:
    """All rows, a page at a time, each page by the id of the last row before it."""
    cursor = None
    while rows := await read(cursor):
        for row in rows:
            yield row
        cursor = rows[-1].id
