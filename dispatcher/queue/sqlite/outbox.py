"""The reports that wait to be pushed, read from the SQLite file in which the receiver stores them.

Python hands its lock over at each row. Beside an event loop that is busy, getting it back costs
more than the row does. So all that is asked for comes in one row: what is told of each report as
JSON, and the items side by side.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from receiver.dlr.model import Format, Generation
from receiver.store.base import ReportItem, StoredReport
from receiver.store.callback import NotifyTo
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.rows import COLUMNS, LISTED, listed, stored_report

_AFTER = """
    SELECT json_group_array(json_array(id, source, generation, final, status_group, message_key,
            length(CAST(item AS BLOB)), notify_url, notify_format)),
        CAST(group_concat(item, '') AS BLOB)
    FROM (SELECT * FROM report WHERE id > ? ORDER BY id LIMIT ?)
"""


class SqliteOutbox:
    """Implements Outbox. Its questions go where nothing takes long, because pushes wait for them.
    Those of whoever else asks must not be in its way, however many there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reports_after(self, report_id: int, limit: int) -> list[ReportItem]:
        told, items = await self._database.look(lambda c: _after(c, report_id, limit))
        return _reports(told, items or b"")

    async def reports_by_id(self, report_ids: Sequence[int]) -> list[StoredReport]:
        statement = f"SELECT {COLUMNS} FROM report WHERE id IN {LISTED} ORDER BY id"
        rows = await self._database.look(
            lambda c: c.execute(statement, (listed(report_ids),)).fetchall()
        )
        return [stored_report(row) for row in rows]


class _Told(Struct, frozen=True, array_like=True, gc=False):
    """What `_AFTER` tells of a report. `size`: the bytes of its item."""

    id: int
    source: str
    generation: Generation | None
    final: int
    status_group: int | None
    message_key: int
    size: int
    notify_url: str | None
    notify_format: Format | None


_decoder = msgspec.json.Decoder(list[_Told])


def _after(connection: sqlite3.Connection, report_id: int, limit: int) -> Any:
    """The row. It has fewer reports if these have more bytes than a value in SQLite can have."""
    while True:
        try:
            return connection.execute(_AFTER, (report_id, limit)).fetchall()[0]
        except sqlite3.DataError:
            if limit <= 1:
                raise
            limit //= 2


def _reports(told: str, items: bytes) -> list[ReportItem]:
    reports, at = [], 0
    for each in _decoder.decode(told):
        end = at + each.size
        to = None
        if each.notify_url is not None and each.notify_format is not None:
            to = NotifyTo(each.notify_url, each.notify_format)
        reports.append(
            ReportItem(
                id=each.id,
                source=each.source,
                generation=each.generation,
                final=bool(each.final),
                status_group=each.status_group,
                message_key=each.message_key,
                item=items[at:end],
                notify_to=to,
            )
        )
        at = end
    return reports
