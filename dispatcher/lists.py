"""What `dlr reports`, `messages`, `quarantine` and `dispatches` print."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.markup import escape

from dispatcher.api import attempt_view, dispatch_view
from dispatcher.console import Columns, ListFormat, View, fields, print_list, print_rows
from dispatcher.dispatch import State
from dispatcher.service import Storage
from receiver.answers import BadQuery
from receiver.api import message_of, message_view, quarantine_view, report_query, report_view
from receiver.dlr.item import write_item
from receiver.store.base import ReportQuery, StoredReport

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


def query(
    *, message_id: str | None, source: str | None, final: bool | None, status_group: str | None
) -> ReportQuery:
    """The filters of the command line, read by the rules of the API. Raises BadQuery."""
    given = {"messageId": message_id, "source": source, "statusGroup": status_group}
    texts = {name: text for name, text in given.items() if text is not None}
    if final is not None:
        texts["final"] = "true" if final else "false"
    return report_query(texts)


async def print_reports(
    storage: Storage, wanted: ReportQuery, form: ListFormat, limit: int | None
) -> None:
    async def read(cursor: int | None) -> list[StoredReport]:
        return await storage.store.reports(replace(wanted, before=cursor, limit=PAGE))

    await print_list(_views(_pages(read, limit), _readable), REPORT_COLUMNS, form)


async def print_messages(storage: Storage, form: ListFormat, limit: int | None) -> None:
    async def read(cursor: int | None) -> list[StoredReport]:
        return await storage.store.newest_of_messages(cursor, PAGE)

    async def view(newest: StoredReport) -> View:
        return await message_of(storage.store, newest, lambda ids: _dispatches_of(storage, ids))

    views = (await view(newest) async for newest in _pages(read, limit))
    await print_list(views, MESSAGE_COLUMNS, form)


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


async def print_quarantine(storage: Storage, form: ListFormat, limit: int | None) -> None:
    entries = _pages(lambda cursor: storage.store.quarantine(cursor, PAGE), limit)
    await print_list(_views(entries, quarantine_view), QUARANTINE_COLUMNS, form)


async def print_quarantined(storage: Storage, entry_id: int) -> None:
    """The bytes of one entry as they came, and nothing else, for a file or a pipe."""
    found = await storage.store.quarantined(entry_id)
    if found is None:
        raise BadQuery(f"there is no quarantine entry {entry_id}")
    sys.stdout.buffer.write(found[1])
    sys.stdout.buffer.flush()


async def print_dispatches(
    storage: Storage,
    form: ListFormat,
    limit: int | None,
    endpoint: str | None,
    state: State | None,
) -> None:
    found = _pages(
        lambda cursor: storage.queue.dispatches(
            before=cursor, limit=PAGE, endpoint=endpoint, state=state
        ),
        limit,
    )
    views = (await dispatch_view(storage.store, dispatch) async for dispatch in found)
    await print_list(views, DISPATCH_COLUMNS, form)


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
    found = await storage.queue.dispatches(report_ids=report_ids)
    return [await dispatch_view(storage.store, dispatch) for dispatch in found]


def _readable(stored: StoredReport) -> View:
    return {**report_view(stored), "report": write_item(stored.read())}


def _status(item: View) -> str | None:
    status = item.get("status") or {}
    return status.get("name") or status.get("groupName") or status.get("id")


def _finality(view: View) -> str:
    return "final" if view["final"] else "intermediate"


async def _views(rows: AsyncIterator[Any], view: Callable[[Any], View]) -> AsyncIterator[View]:
    async for row in rows:
        yield view(row)


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
