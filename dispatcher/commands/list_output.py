"""What `dlr reports`, `messages`, `quarantine` and `dispatches` print."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from msgspec import structs
from msgspec.structs import astuple
from rich.console import Console
from rich.markup import escape

from dispatcher.api.dispatches import attempt_view, dispatch_view, dispatches_with_attempts
from dispatcher.api.unrouted import Unrouted
from dispatcher.commands.console import (
    Columns,
    ListFormat,
    View,
    encoded,
    fields,
    print_list,
    print_rows,
)
from dispatcher.commands.export import Output, output
from dispatcher.endpoints.registry import Registry
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.storage import Storage
from receiver.answers import BadQuery
from receiver.api.filters import MessageQuery
from receiver.api.reports import find_messages, message_view, quarantine_view, report_view
from receiver.api.totals import PERCENTS, totals_view
from receiver.callbacks.intake import Limits
from receiver.callbacks.quarantine import retry
from receiver.dlr.item import write_item
from receiver.store.base import Counts, ReportQuery, StoredReport, TotalsQuery

PAGE = 500
"""Rows that are read from the database at a time."""

REPORT_COLUMNS: Columns = {
    "id": lambda view: view["id"],
    "receivedAt": lambda view: view["receivedAt"],
    "messageId": lambda view: view["report"].get("messageId"),
    "to": lambda view: view["report"].get("to"),
    "status": lambda view: _status(view["report"]),
    "final": lambda view: _finality(view),
    "doneAt": lambda view: view["report"].get("doneAt"),
    "callbackData": lambda view: view["report"].get("callbackData"),
    "source": lambda view: view["source"],
    "format": lambda view: view["format"],
    "duplicates": lambda view: view["duplicates"],
}

MESSAGE_COLUMNS: Columns = {
    "messageId": lambda view: view["messageId"],
    "status": lambda view: _status(view),
    "state": lambda view: _finality(view),
    "reports": lambda view: len(view["reports"]),
    "dispatches": lambda view: ", ".join(
        f"{dispatch['endpoint']} {dispatch['state']}" for dispatch in view["dispatches"]
    ),
}

QUARANTINE_COLUMNS: Columns = fields(
    "id", "receivedAt", "source", "contentType", "size", "place", "reason"
)

DISPATCH_COLUMNS: Columns = fields(
    "id", "endpoint", "state", "attempts", "reports", "createdAt", "dueAt", "url"
)

ATTEMPT_COLUMNS: Columns = fields(
    "number", "startedAt", "durationMs", "status", "outcome", "error", "answer"
)


REPORT_CSV_COLUMNS: Columns = {
    **fields("id", "receivedAt", "source", "format", "generation", "final", "duplicates"),
    **{
        name: lambda view, name=name: view["report"].get(name)  # type: ignore[misc]
        for name in ("bulkId", "messageId", "to")
    },
    "from": lambda view: view["report"].get("from", view["report"].get("sender")),
    **{
        name: lambda view, name=name: view["report"].get(name)  # type: ignore[misc]
        for name in ("sentAt", "doneAt", "mccMnc", "callbackData")
    },
    "messageCount": lambda view: view["report"].get("messageCount", view["report"].get("smsCount")),
    "price": lambda view: _price(_of(view, "price", "pricePerMessage")),
    "currency": lambda view: _of(view, "price", "currency"),
    "statusGroup": lambda view: _of(view, "status", "groupName"),
    "status": lambda view: _status(view["report"]),
    "errorGroup": lambda view: _of(view, "error", "groupName"),
    "error": lambda view: _of(view, "error", "name", "id"),
    "permanent": lambda view: _of(view, "error", "permanent"),
}

TOTALS_COLUMNS: Columns = {
    "start": lambda view: view.get("start", "total"),
    "reports": lambda view: view["reports"],
    "final": lambda view: view["final"],
    "statusGroups": lambda view: ", ".join(f"{k} {n}" for k, n in view["statusGroups"].items()),
    "errors": lambda view: ", ".join(
        f"{error['name'] or error['id']} {error['reports']}" for error in view["errors"]
    ),
    "prices": lambda view: ", ".join(f"{p['sum']:f} {p['currency']}" for p in view["prices"]),
    **{
        f"p{percent} s": lambda view, percent=percent: view["sentToDone"][f"p{percent}"]  # type: ignore[misc]
        for percent in PERCENTS
    },
}


def parameters(**options: Any) -> dict[str, str]:
    """The options of a command by the names of the API's parameters: one set of rules for both."""
    words = {True: "true", False: "false"}
    return {
        _camel(name): words[value] if isinstance(value, bool) else value
        for name, value in options.items()
        if value is not None
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@dataclass(frozen=True, slots=True)
class Listing:
    """In which form a list is printed, where to, and how much of it."""

    form: ListFormat = "table"
    limit: int | None = None
    path: Path | None = None

    async def print(
        self,
        rows: AsyncIterator[Any],
        view: Callable[[Any], View],
        columns: Columns,
        share: Callable[[Any], float],
        csv_columns: Columns | None = None,
    ) -> None:
        """Print `rows` as they come. `share` is how much of the way is behind at a row."""
        with output(self.path) as out:
            views = self._counted(rows, view, share, out)
            await print_list(views, columns, self.form, out.file, csv_columns)

    async def _counted(
        self,
        rows: AsyncIterator[Any],
        view: Callable[[Any], View],
        share: Callable[[Any], float],
        out: Output,
    ) -> AsyncIterator[View]:
        async for row in rows:
            if out.counter.rows == self.limit:
                return
            out.counter.row(share(row))
            yield view(row)


async def print_reports(storage: Storage, wanted: ReportQuery, listing: Listing) -> None:
    raw = listing.form in ("json", "ndjson")
    await listing.print(
        _reports(storage, wanted, listing.limit),
        report_view if raw else _readable,
        REPORT_COLUMNS,
        await _way(storage),
        REPORT_CSV_COLUMNS,
    )


async def print_unrouted(storage: Storage, registry: Registry, listing: Listing) -> None:
    """The reports that no endpoint took. On stderr, how far that can be said."""
    unrouted = Unrouted(storage.unrouted, registry)
    raw = listing.form in ("json", "ndjson")
    await listing.print(
        _unrouted(unrouted),
        report_view if raw else _readable,
        REPORT_COLUMNS,
        await _way(storage),
        REPORT_CSV_COLUMNS,
    )
    ends = await unrouted.find(1, 1)
    if unread := await storage.store.newest_report() - ends.read_to:
        print(f"the newest {unread} are not read by every endpoint yet", file=sys.stderr)
    if ends.forgotten_to:
        known = f"reports up to id {ends.forgotten_to} are left out"
        print(f"{known}: dispatches of their time are removed", file=sys.stderr)


async def _unrouted(unrouted: Unrouted) -> AsyncIterator[StoredReport]:
    before: int | None = None
    while True:
        found = await unrouted.find(before, PAGE)
        for report in found.reports:
            yield report
        if (before := found.next) is None:
            return


async def _reports(
    storage: Storage, wanted: ReportQuery, limit: int | None
) -> AsyncIterator[StoredReport]:
    size = PAGE if limit is None else min(PAGE, limit)
    before = wanted.before
    while True:
        found = await storage.store.find(replace(wanted, before=before, limit=size))
        for report in found.reports:
            yield report
        if (before := found.next) is None:
            return


async def _way(storage: Storage) -> Callable[[Any], float]:
    """How much of the way, from the newest id down to the first, is behind at a report."""
    newest = await storage.store.reports(ReportQuery(limit=1))
    oldest = await storage.store.reports_after(0, 1)
    if not newest or not oldest:
        return lambda _: 1.0
    start, length = newest[0].id, max(1, newest[0].id - oldest[0].id)
    return lambda report: min(1.0, max(0.0, (start - report.id) / length))


async def print_messages(storage: Storage, wanted: MessageQuery, listing: Listing) -> None:
    way = await _way(storage)
    await listing.print(
        _messages(storage, wanted),
        lambda found: message_view(*found),
        MESSAGE_COLUMNS,
        lambda found: way(found[0][-1]),
    )


async def _messages(
    storage: Storage, wanted: MessageQuery
) -> AsyncIterator[tuple[list[StoredReport], list[dict[str, Any]]]]:
    before = wanted.before
    while True:
        found, before = await find_messages(
            storage.store, structs.replace(wanted, before=before, limit=PAGE)
        )
        for reports in found:
            yield reports, await _dispatches_of(storage, [report.id for report in reports])
        if before is None:
            return


async def print_message(storage: Storage, message_id: str) -> None:
    """One message: where it stands, its reports, its dispatches."""
    reports = await storage.store.reports_of(message_id)
    if not reports:
        raise BadQuery(f"there is no report of a message {message_id!r}")
    view = message_view(reports, await _dispatches_of(storage, [r.id for r in reports]))
    console = Console()
    console.print(f"[bold]{escape(message_id)}[/] {_status(view)} ({_finality(view)})")
    print_rows("reports", [_readable(report) for report in reports], REPORT_COLUMNS)
    print_rows("dispatches", view["dispatches"], DISPATCH_COLUMNS)


async def print_quarantine(storage: Storage, listing: Listing) -> None:
    newest = await storage.store.quarantine(None, 1)
    highest = newest[0].id if newest else 1
    await listing.print(
        _pages(lambda cursor: storage.store.quarantine(cursor, PAGE), listing.limit),
        quarantine_view,
        QUARANTINE_COLUMNS,
        lambda entry: (highest - entry.id) / highest,
    )


async def retry_quarantine(storage: Storage, entry_id: int | None, limits: Limits) -> Counts:
    """Read one entry again, or all of them, the oldest first. Prints what became of each that is
    not as it was; returns the sum."""
    if entry_id is not None:
        ids = [entry_id]
    else:
        entries = _pages(lambda cursor: storage.store.quarantine(cursor, PAGE), None)
        ids = [entry.id async for entry in entries][::-1]
    sum = Counts(0, 0, 0)
    for number in ids:
        counts = await retry(storage.store, number, limits)
        if counts is None:
            if entry_id is not None:
                raise BadQuery(f"there is no quarantine entry {number}")
            continue  # somebody else was faster
        sum = Counts(*(a + b for a, b in zip(astuple(sum), astuple(counts), strict=True)))
        if counts != Counts(0, 0, 1):
            print(f"{number}: {_told(counts)}")
    print(f"{len(ids)} read again: {_told(sum)}")
    return sum


def _told(counts: Counts) -> str:
    return (
        f"{counts.stored} stored, {counts.duplicates} duplicates,"
        f" {counts.quarantined} still in quarantine"
    )


async def print_totals(storage: Storage, wanted: TotalsQuery, listing: Listing) -> None:
    """Every bucket, and the sum of all at the end. JSON is that of the API."""
    found = await storage.store.totals(wanted)
    if found.lag:
        print(f"{found.lag:,} reports are added up first", file=sys.stderr)
        await storage.read_model.catch_up()
        found = await storage.store.totals(wanted)
    view = totals_view(found, wanted)

    async def rows() -> AsyncIterator[View]:
        for bucket in view["buckets"]:
            yield bucket
        if listing.form == "table":
            yield view["total"]

    with output(listing.path) as out:
        if listing.form == "json":
            out.file.write(encoded(view) + "\n")
        else:
            await print_list(rows(), TOTALS_COLUMNS, listing.form, out.file)


async def print_quarantined(storage: Storage, entry_id: int) -> None:
    """The bytes of one entry as they came, and nothing else, for a file or a pipe."""
    found = await storage.store.quarantined(entry_id)
    if found is None:
        raise BadQuery(f"there is no quarantine entry {entry_id}")
    sys.stdout.buffer.write(found[1])
    sys.stdout.buffer.flush()


async def print_dispatches(
    storage: Storage, listing: Listing, endpoint: str | None, state: DispatchState | None
) -> None:
    found = _pages(
        lambda cursor: storage.queue.dispatches(
            before=cursor, limit=PAGE, endpoint=endpoint, state=state
        ),
        listing.limit,
    )
    views = (await dispatch_view(storage.store, dispatch) async for dispatch in found)
    await listing.print(views, lambda view: view, DISPATCH_COLUMNS, lambda _: 0.0)


async def print_dispatch(storage: Storage, dispatch_id: str) -> None:
    """One dispatch with its attempts."""
    found = await storage.queue.dispatch(dispatch_id)
    if found is None:
        raise BadQuery(f"there is no dispatch {dispatch_id!r}")
    dispatch, attempts = found
    view = await dispatch_view(storage.store, dispatch)
    print_rows("dispatch", [view], DISPATCH_COLUMNS)
    print_rows("attempts", [attempt_view(attempt) for attempt in attempts], ATTEMPT_COLUMNS)


async def _dispatches_of(storage: Storage, report_ids: Sequence[int]) -> list[dict[str, Any]]:
    return await dispatches_with_attempts(storage.store, storage.queue, report_ids)


def _readable(stored: StoredReport) -> View:
    return {**report_view(stored), "report": write_item(stored.read())}


def _status(item: View) -> str | None:
    status = item.get("status") or {}
    return status.get("name") or status.get("groupName") or status.get("id")


def _finality(view: View) -> str:
    return "final" if view["final"] else "intermediate"


def _of(view: View, name: str, *fields: str) -> Any:
    inner = view["report"].get(name) or {}
    return next((inner[field] for field in fields if inner.get(field) is not None), None)


def _price(price: Any) -> str | None:
    return None if price is None else f"{price:f}"


async def _pages(
    read: Callable[[Any], Awaitable[Sequence[Any]]], limit: int | None
) -> AsyncIterator[Any]:
    """All rows, a page at a time, each page by the id of the last row before it."""
    count, cursor = 0, None
    while rows := await read(cursor):
        for row in rows:
            if count == limit:
                return
            yield row
            count += 1
        cursor = rows[-1].id
