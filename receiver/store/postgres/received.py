"""Items as they came, cut out of the stored bodies when somebody asks.

As in SQLite (store/sqlite/received.py), but each report tells the body that it came in. With
several receivers, reports of different bodies may have neighbouring ids.
"""

from __future__ import annotations

from collections.abc import Sequence

from receiver.dlr.formats import items_by_identity
from receiver.store.base import StoredReport
from receiver.store.postgres.database import Connection
from receiver.store.postgres.rows import numbers

_BODIES_OF = "SELECT id, body FROM report WHERE id = ANY(%s::bigint[]) AND body IS NOT NULL"
_BODIES = "SELECT id, body FROM received_body WHERE id = ANY(%s::bigint[])"


def as_received(connection: Connection, reports: Sequence[StoredReport]) -> dict[int, bytes]:
    """The bytes of these reports' items, by id; without those that were not kept."""
    ids = numbers(each.id for each in reports)
    body_of: dict[int, int] = dict(connection.execute(_BODIES_OF, (ids,)).fetchall())
    bodies = numbers(set(body_of.values()))
    kept: dict[int, bytes] = dict(connection.execute(_BODIES, (bodies,)).fetchall())
    items: dict[int, dict[int, bytes]] = {}
    found: dict[int, bytes] = {}
    for report in reports:
        body = body_of.get(report.id)
        if body is None:
            if report.format == "json":
                found[report.id] = report.item
            continue
        if body not in items:
            raw = kept.get(body)
            items[body] = items_by_identity(raw, report.format) if raw else {}
        if (item := items[body].get(report.identity)) is not None:
            found[report.id] = item
    return found
