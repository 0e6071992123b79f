"""`dlr erase`: one recipient's data, in the store and in the queue, in one transaction."""

from __future__ import annotations

import sqlite3

from dispatcher.queue.sqlite.erasure import count_dispatches, erase_from_dispatches, find_dispatches
from dispatcher.sandbox.store.sqlite.erasure import count_messages, erase_messages
from receiver.store.sqlite.database import Database
from receiver.store.sqlite.erasure import Recipient, count_traces, erase_traces, find_traces


async def erase(database: Database, recipient: Recipient, *, dry_run: bool) -> dict[str, int]:
    """Erase the recipient's data; returns the rows touched in each table. Raises StillLeased.

    Reports that come in meanwhile are found by the next erasure. What is erased is overwritten, in
    the file and in its write-ahead log; the log only if no other process is reading just then.
    """
    traces = await find_traces(database, recipient)
    dispatches = await find_dispatches(database, recipient, traces.reports)

    def count(connection: sqlite3.Connection) -> dict[str, int]:
        return (
            count_traces(connection, traces)
            | count_dispatches(connection, dispatches, traces.reports)
            | count_messages(connection, recipient)
        )

    def work(connection: sqlite3.Connection) -> dict[str, int]:
        connection.execute("PRAGMA secure_delete = ON")
        queue = erase_from_dispatches(connection, recipient, dispatches, traces.reports)
        messages = erase_messages(connection, recipient)
        return erase_traces(connection, traces) | queue | messages

    if dry_run:
        return await database.question(count)
    touched = await database.write(work)
    await database.checkpoint()
    return touched
