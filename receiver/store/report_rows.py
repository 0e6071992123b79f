"""The row of a report, whichever database has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from receiver.store.base import StoredReport
from receiver.store.callback import NotifyTo
from receiver.store.instants import instant

COLUMNS = (
    "id, received_at, source, format, generation, final, status_group, duplicates,"
    " message_key, identity, item, notify_url, notify_format"
)


def stored_report(row: Sequence[Any]) -> StoredReport:
    """The report in these columns. SQLite has the item as a text, and truth as a number."""
    number, at, source, form, generation, final, group, repeats, key, told, item, url, wanted = row
    return StoredReport(
        id=number,
        received_at=instant(at),
        source=source,
        format=form,
        generation=generation,
        final=bool(final),
        status_group=group,
        duplicates=repeats,
        message_key=key,
        identity=told,
        item=item if isinstance(item, bytes) else item.encode(),
        notify_to=None if url is None else NotifyTo(url, wanted),
    )
