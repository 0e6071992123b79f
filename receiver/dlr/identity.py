"""What makes two reports the same one (design, decision 4). Identities are derived only here.

The provider repeats a bucket that was not answered in time, and may repeat a report in another
bucket or another format; it gives no id of its own to a report. So the report is known by what it
says: which message, which status, which error, done when. Price, count and callback data are not
asked, because they follow from those.

The source that posted it is the other half, and stands beside these numbers: what two sources
report alike is two reports, and a messageId of two sources is two messages
(`StoredReport.message`).

Both numbers are signed and of 64 bits: they fit an integer column and an index of them is small.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from receiver.dlr import plain
from receiver.dlr.instants import utc_microseconds
from receiver.dlr.item import write_item
from receiver.dlr.model import ErrorFields, Report, StatusFields

_encode = msgspec.json.Encoder(order="sorted").encode  # tells 3 from "3" and None from ""


def message_key(report: Report) -> int:
    """A number for the message: equal for all reports of one messageId.

    A report without a messageId is a message of its own.
    """
    return key_of_message(report.message_id) if report.message_id else identity(report)


def key_of_message(message_id: str) -> int:
    """The `message_key` of all reports with this messageId."""
    return _digest(message_id.encode(errors="surrogatepass"))


def identity(report: Report) -> int:
    """A number for the report: equal for the same report in any format, generation and bucket."""
    if not report.message_id:
        return _digest(_encode(_canonical(report)))
    done_at = None if report.done_at is None else utc_microseconds(report.done_at)
    return identity_of(report.message_id, report.status, report.error, done_at)


def identity_of(
    message_id: str, status: StatusFields | None, error: ErrorFields | None, done_at: int | None
) -> int:
    """The identity of a report with a messageId. `done_at` is in microseconds since 1970 UTC."""
    return _digest(_encode((message_id, *_key_of(status), *_key_of(error), done_at)))


def _key_of(
    what: StatusFields | ErrorFields | None,
) -> tuple[int | str | None, int | str | None]:
    """Group and id, by name where the number did not come: minimal bodies carry names only."""
    if what is None:
        return None, None
    group: int | str | None = what.group_id
    if group is None:
        group = what.group_name and what.group_name.upper()
    return group, what.name and what.name.upper() if what.id is None else what.id


def _canonical(report: Report) -> Any:
    """The whole item such that JSON and XML of the same report agree: v3 names, scalars as text."""
    item = write_item(report, "v3")
    if report.sent_at:
        item["sentAt"] = utc_microseconds(report.sent_at)
    if report.done_at:
        item["doneAt"] = utc_microseconds(report.done_at)
    return _plain(item)


def _plain(value: Any) -> Any:
    """`value` as it would come back from XML: no null, an empty object or list is an empty text,
    a list of one is its element, lists in lists are one list."""
    if isinstance(value, dict):
        children = {name: _plain(child) for name, child in value.items() if child is not None}
        return {name: child for name, child in children.items() if child != []} or ""
    if isinstance(value, list):
        flat = [_plain(child) for child in plain.flatten(value)]
        return flat[0] if len(flat) == 1 else flat
    return plain.scalar(value)


def _digest(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big", signed=True)
