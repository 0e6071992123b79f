"""A message as a row of the table `sandbox_message`, and back; conditions of queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.messages.outcomes import Fate
from dispatcher.sandbox.messages.send import Asked, Sms
from receiver.store.instants import instant, instant_or_none, micros, micros_or_null
from receiver.store.sqlite.rows import listed

_sms = msgspec.json.Decoder(Sms).decode
_fate = msgspec.json.Decoder(Fate).decode
_asked = msgspec.json.Decoder(Asked).decode

_COLUMNS = (
    "sandbox_message.id, message_id, bulk_id, api, sandbox_message.state, accepted_at, start_at,"
    " leaves_at, cancelled_at, done, due_at, done_at, status_group, status_id, error, process_key,"
    " sms, fate, asked, clicks, converted_at"
)
_FROM = "sandbox_message JOIN sandbox_bulk ON sandbox_bulk.id = bulk"


def select(connection: sqlite3.Connection, rest: str, values: Sequence[Any]) -> list[Message]:
    """The messages that `rest` of a statement chooses."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM {_FROM} {rest}", values)
    return [_message(row) for row in rows.fetchall()]


def _message(row: Sequence[Any]) -> Message:
    number, message_id, bulk_id, api, state, accepted, start, leaves, cancelled, *rest = row
    done, due, done_at, group, status, error, process_key, sms, fate, *later = rest
    asked, clicks, converted = later
    return Message(
        id=number,
        message_id=message_id,
        bulk_id=bulk_id,
        api=api,
        state=state,
        accepted_at=instant(accepted),
        start_at=instant(start),
        leaves_at=instant(leaves),
        cancelled_at=instant_or_none(cancelled),
        done=done,
        due_at=instant_or_none(due),
        done_at=instant_or_none(done_at),
        status=(group, status),
        error=error,
        process_key=process_key,
        sms=_sms(sms),
        fate=None if fate is None else _fate(fate),
        asked=None if asked is None else _asked(asked),
        clicks=clicks,
        converted_at=instant_or_none(converted),
    )


_INSERT = """
    INSERT INTO sandbox_message (id, message_id, bulk, api, process_key, sms, state, accepted_at,
        start_at, leaves_at, done, due_at, done_at, status_group, status_id, error, fate, asked)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def insert(connection: sqlite3.Connection, bulk: int, messages: Sequence[Message]) -> None:
    """Store new messages of the bulk of this number."""
    connection.executemany(_INSERT, [_row(message, bulk) for message in messages])


def _row(message: Message, bulk: int) -> tuple[Any, ...]:
    return (
        message.id,
        message.message_id,
        bulk,
        message.api,
        message.process_key,
        in_json(message.sms),
        message.state,
        micros(message.accepted_at),
        micros(message.start_at),
        micros(message.leaves_at),
        message.done,
        micros_or_null(message.due_at),
        micros_or_null(message.done_at),
        *message.status,
        message.error,
        None if message.fate is None else in_json(message.fate),
        None if message.asked is None else in_json(message.asked),
    )


def in_json(value: Struct) -> str:
    return msgspec.json.encode(value).decode()


def where(query: Struct, conditions: Mapping[str, str]) -> tuple[str, list[Any]]:
    """` AND …` of the conditions whose field is given in the query, with their values."""
    given = {name: getattr(query, name) for name in conditions}
    given = {name: value for name, value in given.items() if value is not None}
    return "".join(f" AND {conditions[name]}" for name in given), [*map(_in_sql, given.values())]


def _in_sql(value: Any) -> Any:
    if isinstance(value, datetime):
        return micros(value)
    return value if isinstance(value, str | int) else listed(value)
