"""What a reset takes away, what is too old to be kept, and one recipient's data; each function is a
part of a transaction.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from dispatcher.sandbox.store.sqlite import clicks, inbox
from dispatcher.settings.settings import OWN_URLS, SANDBOX
from receiver.store.instants import micros
from receiver.store.recipient import Recipient
from receiver.store.sqlite.rows import LISTED, ids_of, listed

_CANCEL = """
    UPDATE dispatch SET state = 'cancelled', due_at = NULL
    WHERE state = 'waiting' AND id IN (
        SELECT dispatch FROM dispatch_report JOIN report ON report.id = report
        GROUP BY dispatch HAVING min(source) = :source AND max(source) = :source
    )
"""

# Nothing else has no report: received SMS and clicks.
_CANCEL_EVENTS = """
    UPDATE dispatch SET state = 'cancelled', due_at = NULL
    WHERE state = 'waiting' AND endpoint = ? AND reports = 0
"""

_TABLES = ("sandbox_message", "sandbox_bulk", "sandbox_pull", "sandbox_inbox", "sandbox_link")


def reset(connection: sqlite3.Connection) -> None:
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table}")
    # From here on the same messages have the same outcomes again.
    connection.execute("DELETE FROM sqlite_sequence WHERE name LIKE 'sandbox%'")
    connection.execute("UPDATE sandbox SET rules = '[]'")
    connection.execute(_CANCEL, {"source": SANDBOX})
    connection.execute(_CANCEL_EVENTS, (OWN_URLS,))


def purge(connection: sqlite3.Connection, before: datetime, most: int) -> int:
    inbox.purge(connection, before)
    ended = ids_of(
        connection,
        "SELECT id FROM sandbox_message"
        " WHERE due_at IS NULL AND state <> 'waiting' AND done_at < ? ORDER BY id LIMIT ?",
        (micros(before), most),
    )
    clicks.forget_links(connection, listed(ended))
    connection.execute(f"DELETE FROM sandbox_message WHERE id IN {LISTED}", (listed(ended),))
    connection.execute(
        "DELETE FROM sandbox_bulk WHERE NOT EXISTS"
        " (SELECT 1 FROM sandbox_message WHERE bulk = sandbox_bulk.id)"
    )
    return len(ended)


_OF_RECIPIENT = "FROM sandbox_message WHERE comparable(sms ->> 'to') = ?1 OR message_id = ?2"


def count_messages(connection: sqlite3.Connection, recipient: Recipient) -> dict[str, int]:
    """The rows that `erase_messages` would remove, where there are any."""
    values = _values(recipient)
    statement = f"SELECT count(*) {_OF_RECIPIENT}"
    counts = {
        "sandbox_message": connection.execute(statement, values).fetchone()[0],
        "sandbox_inbox": inbox.count(connection, values),
    }
    return {table: count for table, count in counts.items() if count}


def erase_messages(connection: sqlite3.Connection, recipient: Recipient) -> dict[str, int]:
    """Remove what was sent to one recipient and what came from there: what waits of it is not sent
    any more."""
    removed = count_messages(connection, recipient)
    values = _values(recipient)
    messages = listed(ids_of(connection, f"SELECT id {_OF_RECIPIENT}", values))
    connection.execute(f"DELETE FROM sandbox_pull WHERE message IN {LISTED}", (messages,))
    clicks.forget_links(connection, messages)
    connection.execute(f"DELETE FROM sandbox_message WHERE id IN {LISTED}", (messages,))
    inbox.erase(connection, values)
    return removed


def _values(recipient: Recipient) -> tuple[str | None, str | None]:
    if recipient.source not in (None, SANDBOX):
        return None, None
    return None if recipient.to is None else recipient.text, recipient.message_id
