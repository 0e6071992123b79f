"""How far each endpoint is with one report: a few look-ups, however much is stored."""

from __future__ import annotations

from dispatcher.queue.base import Readings
from dispatcher.queue.names import DispatchNames
from dispatcher.queue.rows import readings_by_endpoint
from receiver.store.base import StoredReport
from receiver.store.postgres.database import Connection, row_of

NEWEST_ATTEMPTS = 1_000
"""So many attempts of all endpoints together tell which of these fail: a few milliseconds."""

_READERS = "SELECT name, read_to, read_from FROM endpoint WHERE NOT removed ORDER BY name"
_HELD = """
    SELECT name, bool_and(freed) FROM endpoint
    JOIN held_report ON held_report.endpoint = name AND report = %s GROUP BY name
"""
_UNDER_WAY = """
    SELECT endpoint, dispatch FROM message_under_way WHERE (endpoint, source, message_key) IN
        (SELECT name, %s::text, %s::bigint FROM endpoint)
"""
_NEWEST = """
    SELECT endpoint, outcome = 'acknowledged'
    FROM (SELECT id, dispatch, outcome FROM attempt ORDER BY id DESC LIMIT %s) AS newest
    JOIN dispatch ON dispatch.id = newest.dispatch ORDER BY newest.id DESC
"""
_FORGOTTEN = "SELECT report FROM taken_forgotten"


def readings_of(connection: Connection, names: DispatchNames, report: StoredReport) -> Readings:
    readers = connection.execute(_READERS).fetchall()
    held: dict[str, bool] = dict(connection.execute(_HELD, (report.id,)).fetchall())
    under_way: dict[str, int] = (
        dict(connection.execute(_UNDER_WAY, report.message).fetchall()) if held else {}
    )
    newest = connection.execute(_NEWEST, (NEWEST_ATTEMPTS,)).fetchall()
    by_endpoint = readings_by_endpoint(
        names,
        ((name, read_to, read_from) for name, read_to, read_from in readers),
        held,
        under_way,
        ((endpoint, acknowledged) for endpoint, acknowledged in newest),
    )
    return Readings(by_endpoint, row_of(connection.execute(_FORGOTTEN))[0])
