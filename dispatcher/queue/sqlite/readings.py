"""How far each endpoint is with one report: a few look-ups, however much is stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from dispatcher.queue.base import Reading, Readings
from dispatcher.queue.sqlite.names import DispatchNames
from receiver.store.base import StoredReport

NEWEST_ATTEMPTS = 1_000
"""So many attempts of all endpoints together tell which of these fail: a few milliseconds."""

_HELD = """
    SELECT name, min(freed) FROM endpoint CROSS JOIN held_report
        ON held_report.endpoint = name AND report = ? GROUP BY name
"""
_UNDER_WAY = """
    SELECT name, dispatch FROM endpoint CROSS JOIN message_under_way AS way
        ON way.endpoint = name AND source = ? AND message_key = ?
"""
_NEWEST = """
    SELECT endpoint, outcome = 'acknowledged' FROM attempt
    CROSS JOIN dispatch ON dispatch.id = attempt.dispatch
    WHERE attempt.id > (SELECT max(id) FROM attempt) - ? ORDER BY attempt.id DESC
"""


def readings_of(
    connection: sqlite3.Connection, names: DispatchNames, report: StoredReport
) -> Readings:
    readers = connection.execute("SELECT name, read_to, read_from FROM endpoint WHERE NOT removed")
    held = dict(connection.execute(_HELD, (report.id,)))
    under_way = dict(connection.execute(_UNDER_WAY, report.message)) if held else {}
    failures = _failures(connection)
    by_endpoint = {
        name: Reading(
            read_to=read_to,
            read_from=read_from,
            held=name in held,
            freed=bool(held.get(name)),
            waits_for=names.name(under_way[name]) if name in under_way else None,
            failures=failures.get(name, 0),
        )
        for name, read_to, read_from in readers.fetchall()
    }
    forgotten: int = connection.execute("SELECT report FROM taken_forgotten").fetchone()[0]
    return Readings(by_endpoint, forgotten)


def _failures(connection: sqlite3.Connection) -> Mapping[str, int]:
    """How many attempts of each endpoint have failed since the last one that was acknowledged."""
    failures: dict[str, int] = {}
    ended: set[str] = set()
    for endpoint, acknowledged in connection.execute(_NEWEST, (NEWEST_ATTEMPTS,)):
        if acknowledged:
            ended.add(endpoint)
        elif endpoint not in ended:
            failures[endpoint] = failures.get(endpoint, 0) + 1
    return failures
