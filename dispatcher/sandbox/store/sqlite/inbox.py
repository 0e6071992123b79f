"""SMS that came in; each function is a part of a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime

import msgspec

from dispatcher.endpoints.endpoint import Target
from dispatcher.sandbox.messages.inbound import Inbound
from dispatcher.sandbox.store.base import InboxLogQuery, InboxQuery, Push
from dispatcher.sandbox.store.sqlite.clock import see
from dispatcher.sandbox.store.sqlite.rows import where
from dispatcher.settings.settings import OWN_URLS
from receiver.store.instants import micros
from receiver.store.sqlite.rows import LISTED, listed

InsertEvent = Callable[[sqlite3.Connection, str, Target, bytes, str, int], object]
"""Makes a dispatch, to an endpoint and a target, of these bytes, which tell of the message with
this messageId; due at an instant."""

_inbound = msgspec.json.Decoder(Inbound).decode


def receive(
    connection: sqlite3.Connection,
    inbound: Inbound,
    push: Push | None,
    now: datetime,
    insert_event: InsertEvent,
) -> None:
    see(connection, now)
    if push is not None:
        insert_event(connection, OWN_URLS, push.target, push.body, push.message_id, micros(now))
    text = msgspec.json.encode(inbound).decode()
    connection.execute(
        "INSERT INTO sandbox_inbox (received_at, waits, inbound) VALUES (?, ?, ?)",
        (micros(inbound.received_at), push is None, text),
    )


_PULLED = {
    "application_id": "inbound ->> 'application_id' = ?",
    "entity_id": "inbound ->> 'entity_id' = ?",
    "campaign_reference_id": "inbound ->> 'campaign_reference_id' = ?",
}


def pull(connection: sqlite3.Connection, query: InboxQuery) -> tuple[list[Inbound], int]:
    more, values = where(query, _PULLED)
    fit = f"FROM sandbox_inbox WHERE waits AND received_at > ?{more}"
    given = (micros(query.received_after), *values)
    rows = connection.execute(
        f"SELECT id, inbound {fit} ORDER BY received_at, id LIMIT ?", (*given, query.limit)
    ).fetchall()
    pulled = listed(number for number, _ in rows)
    connection.execute(f"UPDATE sandbox_inbox SET waits = 0 WHERE id IN {LISTED}", (pulled,))
    left: int = connection.execute(f"SELECT count(*) {fit}", given).fetchone()[0]
    return [_inbound(text) for _, text in rows], left


_LOGS = {
    "to": "inbound ->> 'to' = comparable(?)",
    "keyword": "lower(inbound ->> 'keyword') = lower(?)",
    "since": "received_at >= ?",
    "until": "received_at < ?",
}


def logs(connection: sqlite3.Connection, query: InboxLogQuery) -> list[Inbound]:
    more, values = where(query, _LOGS)
    rows = connection.execute(
        f"SELECT inbound FROM sandbox_inbox WHERE received_at > ?{more}"
        " ORDER BY received_at DESC, id DESC LIMIT ?",
        (micros(query.received_after), *values, query.limit),
    )
    return [_inbound(text) for (text,) in rows]


def waiting(connection: sqlite3.Connection, received_after: datetime) -> frozenset[str]:
    rows = connection.execute(
        "SELECT inbound ->> 'message_id' FROM sandbox_inbox WHERE waits AND received_at > ?",
        (micros(received_after),),
    )
    return frozenset(message_id for (message_id,) in rows)


def purge(connection: sqlite3.Connection, before: datetime) -> None:
    connection.execute("DELETE FROM sandbox_inbox WHERE received_at < ?", (micros(before),))


_OF_RECIPIENT = (
    "FROM sandbox_inbox WHERE ?1 IN (comparable(inbound ->> 'sender'), inbound ->> 'to')"
    " OR inbound ->> 'message_id' = ?2"
)


def count(connection: sqlite3.Connection, recipient: tuple[str | None, str | None]) -> int:
    """How many came from a number or to it, or have a messageId."""
    counted: int = connection.execute(f"SELECT count(*) {_OF_RECIPIENT}", recipient).fetchone()[0]
    return counted


def erase(connection: sqlite3.Connection, recipient: tuple[str | None, str | None]) -> None:
    connection.execute(f"DELETE {_OF_RECIPIENT}", recipient)
