"""Takes requests into the database: which messages are refused, what becomes of the others, when
they leave. One transaction for all that wait together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from dispatcher.sandbox.bulks import reopen
from dispatcher.sandbox.leaving import gap_of, leaving
from dispatcher.sandbox.life import Life, Step, steps_of
from dispatcher.sandbox.model import Accepted, AcceptedSms, Refusal, Send, Sms
from dispatcher.sandbox.outcomes import Fate
from dispatcher.sandbox.statuses import PENDING_ACCEPTED
from dispatcher.sandbox.store import MICROSECOND, in_milliseconds, see
from receiver.dlr.sms_errors import NO_ERROR
from receiver.store.sqlite.database import micros

DUPLICATE: Final = Refusal(5, 23)
"""REJECTED_DUPLICATE_MESSAGE_ID: a message that was not refused has this id already."""

FateOf = Callable[[Sms, int], Fate]
"""What becomes of a message, by its number in the database."""

_INSERT = """
    INSERT INTO sandbox_message (id, message_id, bulk, api, process_key, sms, state, accepted_at,
        start_at, leaves_at, done, due_at, done_at, status_group, status_id, error, fate)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def accept(
    connection: sqlite3.Connection,
    sends: Sequence[Send],
    now: datetime,
    fate_of: FateOf,
    new_id: Callable[[], str],
) -> list[Accepted]:
    """Take these requests at `now`."""
    see(connection, now)
    at = in_milliseconds(now)
    return [_accept(connection, send, at, fate_of, new_id) for send in sends]


class Progress(Struct, frozen=True):
    """Where a message stands after some of its steps."""

    done: int
    last: Step
    due_at: datetime | None


def begun(life: Life) -> Progress:
    """The steps that an accepted message has behind it at once: those that are told to nobody."""
    steps = steps_of(life)
    done = 0
    while done < len(steps) and steps[done].at <= life.accepted_at and not steps[done].told:
        done += 1
    due_at = steps[done].at if done < len(steps) else None
    return Progress(done, steps[max(done - 1, 0)], due_at)


def _accept(
    connection: sqlite3.Connection,
    send: Send,
    now: datetime,
    fate_of: FateOf,
    new_id: Callable[[], str],
) -> Accepted:
    bulk_id = send.bulk_id or new_id()
    reopen(connection, bulk_id, now)
    gap = gap_of(send.speed)
    bulk = _bulk(connection, bulk_id, gap)
    refusals = _refusals(connection, send.messages)
    going = [s for s, refusal in zip(send.messages, refusals, strict=True) if refusal is None]
    leaves = leaving(((start_of(sms, now), sms.window) for sms in going), gap)
    number = _highest(connection)
    process_key = None if send.tracking is None else send.tracking.process_key
    rows, accepted = [], []
    for sms, refusal in zip(send.messages, refusals, strict=True):
        number += 1
        message_id = sms.message_id or new_id()
        if refusal is None:
            fared = _fared(sms, now, next(leaves), fate_of(sms, number))
            status = PENDING_ACCEPTED
        else:
            status = (refusal.group_id, refusal.status_id)
            at = micros(now)
            fared = ("refused", at, at, at, 0, None, at, *status, NO_ERROR, None)
        text = msgspec.json.encode(sms).decode()
        rows.append((number, message_id, bulk, send.api, process_key, text, *fared))
        accepted.append(AcceptedSms(message_id, sms.to, *status, sms.parts))
    connection.executemany(_INSERT, rows)
    return Accepted(bulk_id, accepted)


def start_of(sms: Sms, accepted_at: datetime) -> datetime:
    """When a message could leave if nothing else held it."""
    return accepted_at if sms.send_at is None else max(sms.send_at, accepted_at)


def _fared(sms: Sms, now: datetime, leaves_at: datetime, fate: Fate) -> tuple[Any, ...]:
    start = start_of(sms, now)
    life = Life(
        accepted_at=now,
        start_at=start,
        leaves_at=leaves_at,
        validity=sms.validity,
        delivery=sms.delivery,
        fate=fate,
    )
    stands = begun(life)
    return (
        stands.last.state,
        micros(now),
        micros(start),
        micros(leaves_at),
        stands.done,
        None if stands.due_at is None else micros(stands.due_at),
        micros(stands.last.done_at),
        *stands.last.status,
        stands.last.error,
        msgspec.json.encode(fate).decode(),
    )


def _refusals(connection: sqlite3.Connection, messages: Sequence[Sms]) -> Sequence[Refusal | None]:
    """Of each message why it is refused. Of two in one request that have one id, the second is."""
    given = [sms.message_id for sms in messages if sms.message_id is not None]
    if not given:
        return [sms.refusal for sms in messages]
    rows = connection.execute(
        "SELECT message_id FROM sandbox_message WHERE state <> 'refused'"
        " AND message_id IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(given).decode(),),
    )
    taken = {message_id for (message_id,) in rows}
    return list(_judged(messages, taken))


def _judged(messages: Sequence[Sms], taken: set[str | None]) -> Iterator[Refusal | None]:
    for sms in messages:
        if sms.refusal is None and sms.message_id in taken:
            yield DUPLICATE
            continue
        if sms.refusal is None and sms.message_id is not None:
            taken.add(sms.message_id)
        yield sms.refusal


def _bulk(connection: sqlite3.Connection, bulk_id: str, gap: timedelta) -> int:
    """The bulk's number. A bulkId that is used again names one bulk with all messages, open."""
    number: int = connection.execute(
        "INSERT INTO sandbox_bulk (bulk_id, gap, state) VALUES (?, ?, 'open') ON CONFLICT (bulk_id)"
        " DO UPDATE SET gap = excluded.gap, state = 'open' RETURNING id",
        (bulk_id, gap // MICROSECOND),
    ).fetchone()[0]
    return number


def _highest(connection: sqlite3.Connection) -> int:
    row = connection.execute(
        "SELECT seq FROM sqlite_sequence WHERE name = 'sandbox_message'"
    ).fetchone()
    return int(row[0]) if row else 0
