"""What is asked about messages, and what is handed out of reports. Each function is a part of a
transaction.
"""

from __future__ import annotations

import sqlite3

from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.store.base import AcceptedQuery, LogQuery, PullQuery
from dispatcher.sandbox.store.sqlite.rows import select, where
from receiver.store.base import StoredReport
from receiver.store.instants import micros
from receiver.store.sqlite.rows import COLUMNS, LISTED, listed, stored_report

_TO = "comparable(sms ->> 'to') = comparable(?)"
_MESSAGES = {"message_id": "message_id = ?", "bulk_id": "bulk_id = ?", "to": _TO}


def messages(connection: sqlite3.Connection, query: AcceptedQuery) -> list[Message]:
    more, values = where(query, _MESSAGES)
    rest = f"WHERE sandbox_message.id > ?{more} ORDER BY sandbox_message.id LIMIT ?"
    return select(connection, rest, (query.after, *values, query.limit))


def sent(connection: sqlite3.Connection, message_id: str) -> Message | None:
    rest = (
        "WHERE message_id = ? AND sandbox_message.state <> 'refused'"
        " ORDER BY sandbox_message.id LIMIT 1"
    )
    return next(iter(select(connection, rest, (message_id,))), None)


_LOGS = {
    "sender": "comparable(sms ->> 'sender') = comparable(?)",
    "to": _TO,
    "bulk_ids": f"bulk_id IN {LISTED}",
    "message_ids": f"message_id IN {LISTED}",
    "status_group": "status_group = ?",
    "since": "leaves_at >= ?",
    "until": "leaves_at < ?",
    "entity_id": "sms ->> 'entity_id' = ?",
    "application_id": "sms ->> 'application_id' = ?",
    "campaign_reference_ids": f"sms ->> 'campaign_reference_id' IN {LISTED}",
    "before": "sandbox_message.id < ?",
}


def logs(connection: sqlite3.Connection, query: LogQuery) -> list[Message]:
    more, values = where(query, _LOGS)
    rest = f"WHERE leaves_at > ?{more} ORDER BY sandbox_message.id DESC LIMIT ?"
    return select(connection, rest, (micros(query.left_after), *values, query.limit))


_PULLED = {
    "bulk_id": "bulk_id = ?",
    "message_id": "message_id = ?",
    "entity_id": "sms ->> 'entity_id' = ?",
    "application_id": "sms ->> 'application_id' = ?",
    "campaign_reference_id": "sms ->> 'campaign_reference_id' = ?",
}


def pull(connection: sqlite3.Connection, query: PullQuery) -> list[StoredReport]:
    expired = "DELETE FROM sandbox_pull WHERE made_at <= ?"
    connection.execute(expired, (micros(query.made_after),))
    more, values = where(query, _PULLED)
    rows = connection.execute(
        "SELECT report FROM sandbox_pull JOIN sandbox_message ON sandbox_message.id = message"
        " JOIN sandbox_bulk ON sandbox_bulk.id = bulk"
        f" WHERE TRUE{more} ORDER BY report LIMIT ?",
        (*values, query.limit),
    )
    chosen = listed(report for (report,) in rows)
    connection.execute(f"DELETE FROM sandbox_pull WHERE report IN {LISTED}", (chosen,))
    found = connection.execute(
        f"SELECT {COLUMNS} FROM report WHERE id IN {LISTED} ORDER BY id", (chosen,)
    )
    return [stored_report(row) for row in found]
