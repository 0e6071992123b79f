"""Takes the steps that are due. What a step changes and the reports that tell it are written in one
transaction: a process that is killed between two steps tells each of them once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct, structs

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming.routing import goes_to
from dispatcher.sandbox.life import Account, Step, report_of, steps_of
from dispatcher.sandbox.model import Delivery
from dispatcher.sandbox.store import Message, messages, see
from dispatcher.settings.settings import SANDBOX
from receiver.callbacks.intake import entry_of
from receiver.store.base import StoredReport
from receiver.store.callback import Callback, Entry, NotifyTo, Verdict
from receiver.store.sqlite.database import micros
from receiver.store.sqlite.store import add, newest

AT_ONCE = 500
"""Steps in one transaction: 20 ms or so, in which callbacks wait."""

_TAKE = "UPDATE sandbox_message SET done = ?, due_at = ?, state = ? WHERE id = ?"
_STAND = (
    "UPDATE sandbox_message SET status_group = ?, status_id = ?, error = ?, done_at = ?"
    " WHERE id = ?"
)


class Taken(Struct, frozen=True):
    """What was done: steps, and reports that were stored."""

    steps: int
    reports: int


def step(
    connection: sqlite3.Connection, now: datetime, account: Account, endpoints: Sequence[Endpoint]
) -> Taken:
    """Take the steps that are due at `now`, at most AT_ONCE and one of each message.

    `endpoints` are those in force: what none of them takes waits to be pulled.
    """
    due = messages(
        connection,
        "WHERE due_at <= ? ORDER BY due_at, sandbox_message.id LIMIT ?",
        (micros(now), AT_ONCE),
    )
    if not due:
        return Taken(0, 0)
    see(connection, now)
    taken = [(message, *_next(message)) for message in due]
    connection.executemany(
        _TAKE,
        [
            (message.done + 1, None if due_at is None else micros(due_at), step.state, message.id)
            for message, step, due_at in taken
        ],
    )
    connection.executemany(
        _STAND,
        [
            (*step.status, step.error, micros(step.done_at), message.id)
            for message, step, _ in taken
            if not step.late
        ],
    )
    told = [(message, _entry(message, step, account)) for message, step, _ in taken if step.told]
    return Taken(len(taken), _tell(connection, told, now, endpoints))


def _next(message: Message) -> tuple[Step, datetime | None]:
    """The step that is due, and when the one after it is."""
    step, *rest = steps_of(message.life)[message.done :]
    return step, rest[0].at if rest else None


def _entry(message: Message, step: Step, account: Account) -> Entry:
    """The report that tells a step, as the store takes it."""
    report = report_of(message.named, message.sms, message.life, step, account)
    entry = entry_of(report)
    # The store would count the same report as repeated and push it once. A platform that repeats
    # itself is what is asked for: so the copy gets an identity of its own.
    identity = entry.identity ^ int(step.copy)
    return structs.replace(entry, identity=identity, notify_to=_notify_to(message.sms.delivery))


def _notify_to(delivery: Delivery) -> NotifyTo | None:
    return None if delivery.url is None else NotifyTo(delivery.url, delivery.format)


def _tell(
    connection: sqlite3.Connection,
    told: Sequence[tuple[Message, Entry]],
    now: datetime,
    endpoints: Sequence[Endpoint],
) -> int:
    """Store the reports, and let those that nobody is pushed to wait. Returns how many are new."""
    number = newest(connection)
    counts = add(connection, [_callback(entry, now) for _, entry in told])
    waiting = []
    for (message, entry), count in zip(told, counts, strict=True):
        number += count.stored
        if count.stored and not _is_pushed(entry, now, endpoints):
            waiting.append((number, message.id, micros(now)))
    connection.executemany("INSERT INTO sandbox_pull VALUES (?, ?, ?)", waiting)
    return sum(count.stored for count in counts)


def _callback(entry: Entry, now: datetime) -> Callback:
    return Callback(SANDBOX, "json", None, now, Verdict(entries=[entry]))


def _is_pushed(entry: Entry, now: datetime, endpoints: Iterable[Endpoint]) -> bool:
    """Whether it came with a URL, or an endpoint takes it (the account's subscription)."""
    if entry.notify_to is not None:
        return True
    stored = StoredReport(
        id=0,
        received_at=now,
        source=SANDBOX,
        format="json",
        generation=entry.generation,
        final=entry.final,
        status_group=entry.status_group,
        duplicates=0,
        message_key=entry.message_key,
        identity=entry.identity,
        item=entry.item,
    )
    return any(goes_to(stored, endpoint.rules) for endpoint in endpoints)
