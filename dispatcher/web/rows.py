"""A report as a row of a list. Pure."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from msgspec import Struct

from receiver.dlr.model import Report
from receiver.dlr.sms_errors import NO_ERROR
from receiver.dlr.statuses import GROUP_NAMES
from receiver.store.base import StoredReport


class ReportRow(Struct, frozen=True):
    """`group` None: the report has no status. `error` None: there is none."""

    id: int
    received_at: datetime
    source: str
    final: bool
    duplicates: int
    group: str | None
    status: str | None
    to: str | None
    sender: str | None
    error: str | None
    callback_data: str | None
    message_id: str | None


def message_path(message_id: str, source: str | None = None) -> str:
    """The page of a message. A browser takes dots between slashes out of a path, and an empty part
    may be lost on the way, so such ids go into the query."""
    of_source = "" if source is None else f"source={quote(source, safe='')}"
    if {".", "..", ""} & set(message_id.split("/")):
        return f"/messages?messageId={quote(message_id, safe='')}&{of_source}".rstrip("&")
    return f"/messages/{quote(message_id)}?{of_source}".rstrip("?")


def row_of(stored: StoredReport) -> ReportRow:
    report = stored.read()
    status, error = report.status, report.error
    return ReportRow(
        id=stored.id,
        received_at=stored.received_at,
        source=stored.source,
        final=stored.final,
        duplicates=stored.duplicates,
        group=group_name(stored.status_group, report),
        status=None if status is None else status.name,
        to=report.to,
        sender=report.sender,
        error=None if error is None or error.name == NO_ERROR else error.name or _of_id(error.id),
        callback_data=report.callback_data,
        message_id=report.message_id,
    )


def group_name(number: int | None, report: Report) -> str | None:
    """The name of a status group: that of the provider's list, or what came."""
    if number is None:
        return None
    said = report.status.group_name if report.status is not None else None
    return GROUP_NAMES.get(number) or said or f"group {number}"


def _of_id(error_id: int | None) -> str | None:
    return None if error_id in (None, 0) else f"error {error_id}"
