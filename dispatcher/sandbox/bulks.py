"""Bulks that wait: they can be seen, moved, held, let go on and cancelled.

     PENDING ──▶ PROCESSING ──▶ FINISHED        FAILED: not one of its messages was accepted
        │ ▲          │ ▲
        ▼ │          ▼ │
       PAUSED ◀──────────
        │            │
        └────────────┴───▶ CANCELED

The words are the provider's. That these are the ways between them is ours, for it documents none:
PENDING until the first message has left, FINISHED when the last one has (not when it has arrived).
A bulk that is let go on takes PENDING or PROCESSING, whichever it says of itself then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct, structs

from dispatcher.sandbox.errors import Fault, Refused
from dispatcher.sandbox.leaving import leaving
from dispatcher.sandbox.life import steps_of
from dispatcher.sandbox.store import MICROSECOND, Message, in_milliseconds, messages, see
from receiver.store.sqlite.database import instant, micros

Status = Literal["PENDING", "PAUSED", "PROCESSING", "CANCELED", "FINISHED", "FAILED"]

TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    "PENDING": frozenset({"PENDING", "PAUSED", "CANCELED"}),
    "PROCESSING": frozenset({"PROCESSING", "PAUSED", "CANCELED"}),
    "PAUSED": frozenset({"PAUSED", "PENDING", "PROCESSING", "CANCELED"}),
    "CANCELED": frozenset({"CANCELED"}),
    "FINISHED": frozenset({"FINISHED"}),
    "FAILED": frozenset({"FAILED"}),
}
"""From each status to those that can be asked for."""

_WAITS: Final[frozenset[Status]] = frozenset({"PENDING", "PROCESSING", "PAUSED"})

_COUNTS = """
    SELECT sandbox_bulk.id, sandbox_bulk.state, gap,
        coalesce(sum(sandbox_message.state = 'waiting'), 0),
        coalesce(sum(sandbox_message.state <> 'refused'), 0),
        coalesce(
            min(CASE WHEN sandbox_message.state = 'waiting' THEN start_at END), min(start_at)
        ),
        max(CASE WHEN sandbox_message.state NOT IN ('waiting', 'refused') THEN leaves_at END)
    FROM sandbox_bulk LEFT JOIN sandbox_message ON bulk = sandbox_bulk.id
    WHERE bulk_id = ? GROUP BY sandbox_bulk.id
"""


class Bulk(Struct, frozen=True):
    """A bulk, and how many of its accepted messages have not left yet. `send_at` is when the first
    of these may leave, or the first of all could. `last_left_at` None: none has."""

    id: int
    bulk_id: str
    state: str
    gap: int
    waiting: int
    accepted: int
    send_at: datetime
    last_left_at: datetime | None

    @property
    def status(self) -> Status:
        if self.state == "cancelled":
            return "CANCELED"
        if not self.waiting:
            return "FINISHED" if self.accepted else "FAILED"
        if self.state == "paused":
            return "PAUSED"
        return "PENDING" if self.waiting == self.accepted else "PROCESSING"


def bulk(connection: sqlite3.Connection, bulk_id: str) -> Bulk:
    """Raises Refused with 404."""
    row = connection.execute(_COUNTS, (bulk_id,)).fetchone()
    if row is None or row[5] is None:
        raise Refused(404, "Bulk not found")
    number, state, gap, waiting, accepted, start, left = row
    last = None if left is None else instant(left)
    return Bulk(number, bulk_id, state, gap, waiting, accepted, instant(start), last)


def move(connection: sqlite3.Connection, bulk_id: str, send_at: datetime, now: datetime) -> Bulk:
    """Have the messages that wait leave at another time. Raises Refused: 404, 400."""
    found = bulk(connection, bulk_id)
    if found.status not in _WAITS:
        raise Refused(400, faults=[Fault("bulkId", f"the bulk is {found.status}")])
    see(connection, now)
    at = in_milliseconds(now)
    _plan(connection, found, send_at, at)
    return bulk(connection, bulk_id)


def set_status(connection: sqlite3.Connection, bulk_id: str, status: Status, now: datetime) -> Bulk:
    """Hold a bulk, let it go on, or cancel what waits of it. Raises Refused: 404, 400."""
    found = bulk(connection, bulk_id)
    if status not in TRANSITIONS[found.status]:
        text = f"the bulk is {found.status} and cannot become {status}"
        raise Refused(400, faults=[Fault("status", text)])
    see(connection, now)
    at = in_milliseconds(now)
    if status == "CANCELED":
        _set_state(connection, found, "cancelled")
        _cancel(connection, found, at)
    elif status == "PAUSED":
        _set_state(connection, found, "paused")
        connection.execute(
            "UPDATE sandbox_message SET due_at = NULL WHERE bulk = ? AND state = 'waiting'",
            (found.id,),
        )
    elif found.state == "paused":
        _go_on(connection, found, at)
    return bulk(connection, bulk_id)


def reopen(connection: sqlite3.Connection, bulk_id: str, now: datetime) -> None:
    """Let a paused bulk go on, for messages are added to it."""
    paused = "SELECT 1 FROM sandbox_bulk WHERE bulk_id = ? AND state = 'paused'"
    if connection.execute(paused, (bulk_id,)).fetchone():
        _go_on(connection, bulk(connection, bulk_id), now)


def _go_on(connection: sqlite3.Connection, found: Bulk, now: datetime) -> None:
    _set_state(connection, found, "open")
    _plan(connection, structs.replace(found, state="open"), None, now)


def _set_state(connection: sqlite3.Connection, found: Bulk, state: str) -> None:
    connection.execute("UPDATE sandbox_bulk SET state = ? WHERE id = ?", (state, found.id))


def _plan(
    connection: sqlite3.Connection, found: Bulk, send_at: datetime | None, now: datetime
) -> None:
    """Work out anew when those that wait leave: from `send_at` on, or from when they could, but not
    in the past. While a bulk is paused they have no next step."""
    waiting = _waiting(connection, found)
    starts = [max(send_at or message.start_at, now) for message in waiting]
    windows = [message.sms.window for message in waiting]
    gap = found.gap * MICROSECOND
    leaves = leaving(zip(starts, windows, strict=True), gap, found.last_left_at)
    planned = [
        structs.replace(message, start_at=start, leaves_at=leaves_at)
        for message, start, leaves_at in zip(waiting, starts, leaves, strict=True)
    ]
    _write(connection, planned, paused=found.state == "paused")


def _cancel(connection: sqlite3.Connection, found: Bulk, now: datetime) -> None:
    cancelled = [
        structs.replace(message, cancelled_at=now) for message in _waiting(connection, found)
    ]
    _write(connection, cancelled, paused=False)


def _waiting(connection: sqlite3.Connection, found: Bulk) -> list[Message]:
    where = "WHERE bulk = ? AND sandbox_message.state = 'waiting' ORDER BY sandbox_message.id"
    return messages(connection, where, (found.id,))


def _write(connection: sqlite3.Connection, changed: Sequence[Message], *, paused: bool) -> None:
    connection.executemany(
        "UPDATE sandbox_message SET start_at = ?, leaves_at = ?, cancelled_at = ?, due_at = ?"
        " WHERE id = ?",
        [
            (
                micros(message.start_at),
                micros(message.leaves_at),
                None if message.cancelled_at is None else micros(message.cancelled_at),
                None if paused else micros(steps_of(message.life)[message.done].at),
                message.id,
            )
            for message in changed
        ],
    )
