"""Short links, clicks and conversions; each function is a part of a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.store.base import Push
from dispatcher.sandbox.store.sqlite.clock import see
from dispatcher.sandbox.store.sqlite.inbox import InsertEvent
from dispatcher.sandbox.store.sqlite.rows import select
from dispatcher.settings.settings import OWN_URLS
from receiver.store.instants import micros
from receiver.store.sqlite.rows import LISTED

_CLICKED = """
    UPDATE sandbox_message SET clicks = clicks + 1,
        converted_at = coalesce(converted_at, iif(?, ?, NULL))
    WHERE id = ?
"""


def insert_links(connection: sqlite3.Connection, messages: Sequence[Message]) -> None:
    # Codes are random. If two were the same, the first would go on leading where it does.
    connection.executemany(
        "INSERT OR IGNORE INTO sandbox_link VALUES (?, ?)",
        [
            (link.code, message.id)
            for message in messages
            if message.sms.links is not None and message.state != "refused"
            for link in message.sms.links.links
        ],
    )


def linked(connection: sqlite3.Connection, code: str) -> Message | None:
    its = "WHERE sandbox_message.id = (SELECT message FROM sandbox_link WHERE code = ?)"
    return next(iter(select(connection, its, (code,))), None)


def click(
    connection: sqlite3.Connection,
    message: int,
    now: datetime,
    push: Push | None,
    insert_event: InsertEvent,
    *,
    converts: bool,
) -> None:
    see(connection, now)
    at = micros(now)
    if connection.execute(_CLICKED, (converts, at, message)).rowcount and push is not None:
        insert_event(connection, OWN_URLS, push.target, push.body, push.message_id, at)


def convert(connection: sqlite3.Connection, message: int, now: datetime) -> None:
    see(connection, now)
    connection.execute(
        "UPDATE sandbox_message SET converted_at = coalesce(converted_at, ?) WHERE id = ?",
        (micros(now), message),
    )


def forget_links(connection: sqlite3.Connection, messages: str) -> None:
    """Forget those of these messages, which are `listed`."""
    connection.execute(f"DELETE FROM sandbox_link WHERE message IN {LISTED}", (messages,))
