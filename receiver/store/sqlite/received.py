"""Items as they came, cut out of the stored bodies when somebody asks.

A body is kept whole, and only if it differs from what is stored of it. It is empty when a report
that came in it was erased: how the others were written is not known then. Cutting it into items at
intake would cost as much as reading it does; and JSON as the platform writes it does not differ.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from receiver.dlr.formats import items_by_identity
from receiver.store.base import StoredReport

_BODY = """
    SELECT first_report, last_report, body FROM received_body
    WHERE first_report <= ? ORDER BY first_report DESC LIMIT 1
"""


def as_received(
    connection: sqlite3.Connection, reports: Sequence[StoredReport]
) -> dict[int, bytes]:
    """The bytes of these reports' items, by id; without those that were not kept."""
    (kept_after,) = connection.execute("SELECT report FROM bodies_kept_after").fetchone()
    bodies: dict[int, dict[int, bytes]] = {}
    found: dict[int, bytes] = {}
    for report in reports:
        body = connection.execute(_BODY, (report.id,)).fetchone()
        if body is None or body[1] < report.id:
            if report.format == "json" and report.id > kept_after:
                found[report.id] = report.item
            continue
        first, _, raw = body
        if first not in bodies:
            bodies[first] = items_by_identity(raw, report.format) if raw else {}
        if (item := bodies[first].get(report.identity)) is not None:
            found[report.id] = item
    return found
