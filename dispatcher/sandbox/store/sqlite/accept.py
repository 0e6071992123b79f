"""Takes requests and has steps taken; each function is a part of a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from dispatcher.sandbox.messages.acceptance import Arrival, Known
from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.store.base import Admit
from dispatcher.sandbox.store.sqlite import bulks, clicks
from dispatcher.sandbox.store.sqlite.clock import MICROSECOND, see
from dispatcher.sandbox.store.sqlite.rows import insert
from receiver.store.sqlite.rows import LISTED, last_id, listed


def accept(
    connection: sqlite3.Connection, arrivals: Sequence[Arrival], now: datetime, admit: Admit
) -> list[Sequence[Message]]:
    see(connection, now)
    return [_accept(connection, arrival, admit) for arrival in arrivals]


def _accept(connection: sqlite3.Connection, arrival: Arrival, admit: Admit) -> Sequence[Message]:
    known = Known(
        last_id(connection, "sandbox_message") + 1,
        _taken(connection, arrival),
        bulks.paused(connection, arrival.bulk_id),
    )
    admission = admit(arrival, known)
    if admission.reopened is not None:
        bulks.write(connection, arrival.bulk_id, admission.reopened)
    insert(connection, _opened(connection, arrival.bulk_id, admission.gap), admission.messages)
    clicks.insert_links(connection, admission.messages)
    return admission.messages


def _taken(connection: sqlite3.Connection, arrival: Arrival) -> frozenset[str]:
    given = [sms.message_id for sms in arrival.send.messages if sms.message_id is not None]
    if not given:
        return frozenset()
    rows = connection.execute(
        "SELECT message_id FROM sandbox_message"
        f" WHERE state <> 'refused' AND message_id IN {LISTED}",
        (listed(given),),
    )
    return frozenset(message_id for (message_id,) in rows)


def _opened(connection: sqlite3.Connection, bulk_id: str, gap: timedelta) -> int:
    """The number of the bulk, which is open from here on."""
    number: int = connection.execute(
        "INSERT INTO sandbox_bulk (bulk_id, gap, state) VALUES (?, ?, 'open') ON CONFLICT (bulk_id)"
        " DO UPDATE SET gap = excluded.gap, state = 'open' RETURNING id",
        (bulk_id, gap // MICROSECOND),
    ).fetchone()[0]
    return number
