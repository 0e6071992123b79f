"""Takes the steps that are due; each function is a part of a transaction. The reports that tell a
step are added to the store of reports in the same transaction: a process that is killed between two
steps tells each of them once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.messages.reports import StepTaken
from dispatcher.sandbox.store.base import ChangeMessage, StepCounts, TakeStep
from dispatcher.sandbox.store.sqlite.clock import see
from dispatcher.sandbox.store.sqlite.queries import sent
from dispatcher.sandbox.store.sqlite.rows import in_json, select
from dispatcher.settings.settings import SANDBOX
from receiver.store.callback import Callback, Entry, Verdict
from receiver.store.instants import instant_or_none, micros, micros_or_null
from receiver.store.sqlite.adding import add
from receiver.store.sqlite.rows import last_id

_WRITE = """
    UPDATE sandbox_message SET done = ?, due_at = ?, state = ?, status_group = ?, status_id = ?,
        error = ?, done_at = ?
    WHERE id = ?
"""


_CHANGE = """
    UPDATE sandbox_message SET start_at = ?, leaves_at = ?, done = ?, due_at = ?, fate = ?
    WHERE id = ?
"""


def change(
    connection: sqlite3.Connection, message_id: str, now: datetime, decide: ChangeMessage
) -> Message | None:
    found = sent(connection, message_id)
    if found is None:
        return None
    changed = decide(found)
    see(connection, now)
    connection.execute(
        _CHANGE,
        (
            micros(changed.start_at),
            micros(changed.leaves_at),
            changed.done,
            micros_or_null(changed.due_at),
            None if changed.fate is None else in_json(changed.fate),
            changed.id,
        ),
    )
    return sent(connection, message_id)


def next_due(connection: sqlite3.Connection) -> datetime | None:
    statement = "SELECT min(due_at) FROM sandbox_message WHERE due_at IS NOT NULL"
    at: int | None = connection.execute(statement).fetchone()[0]
    return instant_or_none(at)


def take_due(
    connection: sqlite3.Connection, now: datetime, most: int, take: TakeStep
) -> StepCounts:
    due = select(
        connection,
        "WHERE due_at <= ? ORDER BY due_at, sandbox_message.id LIMIT ?",
        (micros(now), most),
    )
    if not due:
        return StepCounts(0, 0)
    see(connection, now)
    taken = [take(message) for message in due]
    connection.executemany(
        _WRITE,
        [
            (
                message.done,
                micros_or_null(message.due_at),
                message.state,
                *message.status,
                message.error,
                micros_or_null(message.done_at),
                message.id,
            )
            for message in (each.message for each in taken)
        ],
    )
    return StepCounts(len(taken), _tell(connection, taken, now))


def _tell(connection: sqlite3.Connection, taken: Sequence[StepTaken], now: datetime) -> int:
    """Store the reports, and let those that nobody is pushed to wait. Returns how many are new."""
    told = [(each, each.report) for each in taken if each.report is not None]
    number = last_id(connection, "report")
    counts, _ = add(connection, [_callback(report, now) for _, report in told])
    waiting = []
    for (each, _), count in zip(told, counts, strict=True):
        number += count.stored
        if count.stored and not each.pushed:
            waiting.append((number, each.message.id, micros(now)))
    connection.executemany("INSERT INTO sandbox_pull VALUES (?, ?, ?)", waiting)
    return sum(count.stored for count in counts)


def _callback(report: Entry, now: datetime) -> Callback:
    return Callback(SANDBOX, "json", None, now, Verdict(entries=[report]))
