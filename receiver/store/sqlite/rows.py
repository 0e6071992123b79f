"""A report as a row of the table `report`, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from receiver.store.base import StoredReport
from receiver.store.callback import NotifyTo
from receiver.store.sqlite.database import instant

COLUMNS = (
    "id, received_at, source, format, generation, final, status_group, duplicates,"
    " message_key, identity, item, notify_url, notify_format"
)


def stored_report(row: Sequence[Any]) -> StoredReport:
    number, received_at, source, form, generation, final, group, duplicates, *rest = row
    key, told, item, url, wanted = rest
    return StoredReport(
        id=number,
        received_at=instant(received_at),
        source=source,
        format=form,
        generation=generation,
        final=bool(final),
        status_group=group,
        duplicates=duplicates,
        message_key=key,
        identity=told,
        item=item.encode(),
        notify_to=None if url is None else NotifyTo(url, wanted),
    )
