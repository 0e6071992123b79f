"""Messages: what a message's reports say together, and where its dispatches stand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

from msgspec import Meta, Struct

from receiver.answers import Next
from receiver.api.filters import MessageQuery
from receiver.api.reports import ReportAnswer
from receiver.dlr.item import write_item
from receiver.dlr.message import state_of
from receiver.dlr.statuses import group_of
from receiver.routes import ref
from receiver.store.base import (
    FoundReports,
    ReportQuery,
    ReportStore,
    StoredReport,
    of_one_source,
)
from receiver.store.matching import matches

MESSAGES_STEP = 1_000
"""Messages that one request looks at, whatever of them is wanted: about a second."""

DispatchesOf = Callable[[Sequence[int]], Awaitable[Sequence[Any]]]
"""The dispatches that carry these reports (ids). The receiver knows nothing more of dispatching."""

Dispatch = Annotated[Any, Meta(extra_json_schema=ref("DispatchWithHistory"))]
"""What it is, whoever dispatches has to say."""

Part = dict[str, Any]


class MessageAnswer(Struct, frozen=True, rename="camel"):
    message_id: str | None
    source: str
    final: bool
    status: Annotated[Part, Meta(extra_json_schema=ref("Status"))] | None
    error: Annotated[Part, Meta(extra_json_schema=ref("ReportError"))] | None
    reports: Sequence[ReportAnswer]
    dispatches: Sequence[Dispatch]

    @classmethod
    def of(cls, reports: Sequence[StoredReport], dispatches: Sequence[Any]) -> MessageAnswer:
        """A message by its reports, in the order of arrival."""
        state = state_of(stored.read() for stored in reports)
        current = write_item(state.report)
        return cls(
            message_id=state.report.message_id,
            source=reports[0].source,
            final=state.final,
            status=current.get("status"),
            error=current.get("error"),
            reports=[ReportAnswer.of(stored) for stored in reports],
            dispatches=dispatches,
        )


class MessagePage(Struct, frozen=True):
    messages: Sequence[MessageAnswer]
    next: Next


async def find_message(
    store: ReportStore, message_id: str, source: str | None
) -> Sequence[StoredReport]:
    """The reports of one message, in the order of arrival; none when there is no such message.
    Raises AmbiguousMessage when several sources have one and `source` names none of them."""
    return of_one_source(message_id, await store.reports_of(message_id, source))


async def find_messages(
    store: ReportStore, query: MessageQuery
) -> tuple[list[list[StoredReport]], int | None]:
    """Messages that are wanted, each by its reports, last heard of first; and the next cursor.

    Looks at a bounded number of messages, so that there may be fewer than asked for, and a cursor.
    """
    found: list[list[StoredReport]] = []
    before, looked_at = query.before, 0
    last = 0  # the report by which the message found last was found
    of_reports = _of_reports(query)
    while looked_at < MESSAGES_STEP:
        # one more tells whether there is a next page
        page = min(query.limit + 1, MESSAGES_STEP - looked_at)
        step = await _look(store, of_reports, before, page)
        for report in step.reports:
            reports = await _reports_with(store, report)
            if _is_newest(report, reports, of_reports) and _is_wanted(reports, query):
                if len(found) == query.limit:
                    return found, last
                found.append(reports)
                last = report.id
        if step.next is None:
            return found, None
        before, looked_at = step.next, looked_at + page
    return found, before


def _of_reports(query: MessageQuery) -> ReportQuery | None:
    """What a message must have a report of; `None`: of any."""
    asked = ReportQuery(
        to=query.to,
        sender=query.sender,
        received_since=query.received_since,
        received_until=query.received_until,
    )
    return None if asked == ReportQuery() else replace(asked, source=query.source)


async def _look(
    store: ReportStore, wanted: ReportQuery | None, before: int | None, limit: int
) -> FoundReports:
    """The next messages, each by one of its reports or more, newest first."""
    if wanted is not None:
        return await store.find(replace(wanted, before=before, limit=limit))
    newest = await store.newest_of_messages(before, limit)
    return FoundReports(newest, newest[-1].id if len(newest) == limit else None)


def _is_newest(
    report: StoredReport, reports: Sequence[StoredReport], wanted: ReportQuery | None
) -> bool:
    """Whether a message is listed here: at the newest of its reports that are wanted, once."""
    if wanted is None:
        return True
    return report.id == max(each.id for each in reports if matches(each, wanted))


async def _reports_with(store: ReportStore, newest: StoredReport) -> list[StoredReport]:
    message_id = newest.read().message_id
    return await store.reports_of(message_id, newest.source) if message_id else [newest]


def _is_wanted(reports: Sequence[StoredReport], query: MessageQuery) -> bool:
    if query.source is not None and reports[0].source != query.source:
        return False
    if query.final is None and not query.status_groups:
        return True
    state = state_of(each.read() for each in reports)
    if query.final is not None and state.final != query.final:
        return False
    return not query.status_groups or group_of(state.report.status) in query.status_groups
