"""How far each endpoint is with one report: a few look-ups, however much is stored."""

from __future__ import annotations

import sqlite3

from dispatcher.queue.base import Readings
from dispatcher.queue.names import DispatchNames
from dispatcher.queue.rows import readings_by_endpoint
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
    held = {name: bool(freed) for name, freed in connection.execute(_HELD, (report.id,))}
    under_way = dict(connection.execute(_UNDER_WAY, report.message)) if held else {}
    newest = connection.execute(_NEWEST, (NEWEST_ATTEMPTS,))
    by_endpoint = readings_by_endpoint(names, readers.fetchall(), held, under_way, newest)
    forgotten: int = connection.execute("SELECT report FROM taken_forgotten").fetchone()[0]
    return Readings(by_endpoint, forgotten)
