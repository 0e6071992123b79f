"""The clock of the sandbox, and counters; each function is a part of a transaction."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from dispatcher.sandbox.store.base import ClockState, Counters
from receiver.store.instants import instant, micros
from receiver.store.sqlite.rows import last_id

MICROSECOND = timedelta(microseconds=1)


def see(connection: sqlite3.Connection, now: datetime) -> None:
    """Remember an instant that something here has now."""
    connection.execute("UPDATE sandbox SET seen_at = max(seen_at, ?)", (micros(now),))


def move(connection: sqlite3.Connection, ahead: timedelta, now: datetime) -> None:
    see(connection, now)
    connection.execute("UPDATE sandbox SET ahead = ?", (ahead // MICROSECOND,))


def state(connection: sqlite3.Connection) -> ClockState:
    ahead, seen_at = connection.execute("SELECT ahead, seen_at FROM sandbox").fetchone()
    return ClockState(ahead * MICROSECOND, instant(seen_at))


def counters(connection: sqlite3.Connection) -> Counters:
    return Counters(last_id(connection, "report"), last_id(connection, "attempt"))
