"""Counts whose rows are changes: each transaction adds its own, and none waits for another one.

The count is the sum of its rows. So that these stay few, whoever has added many makes one of them
(`Compaction`).
"""

from __future__ import annotations

from receiver.store.postgres.database import Connection, Database

COUNTS = """
    SELECT endpoint, state, sum(count)::bigint FROM dispatch_count
    GROUP BY endpoint, state HAVING sum(count) > 0
"""

EVERY = 256
"""After so many transactions that have changed counts, a process makes one row of each count. Each
of them adds two rows or a few more."""

MOST = 50_000
"""Rows that are made one at a time."""

# Rows that another process is just making one of are left to it. A reader sees the rows of before
# or the row of after, and never both.
_DISPATCHES = """
    WITH added AS MATERIALIZED (
        SELECT ctid FROM dispatch_count LIMIT %s FOR UPDATE SKIP LOCKED
    ),
    gone AS (DELETE FROM dispatch_count WHERE ctid IN (SELECT ctid FROM added) RETURNING *)
    INSERT INTO dispatch_count (endpoint, state, count)
    SELECT endpoint, state, sum(count) FROM gone GROUP BY endpoint, state HAVING sum(count) <> 0
"""
_REPLAYS = """
    WITH added AS MATERIALIZED (
        SELECT ctid FROM replay_count LIMIT %s FOR UPDATE SKIP LOCKED
    ),
    gone AS (DELETE FROM replay_count WHERE ctid IN (SELECT ctid FROM added) RETURNING *)
    INSERT INTO replay_count (replay, state, dispatches, reports, attempts)
    SELECT replay, state, sum(dispatches), sum(reports), sum(attempts)
    FROM gone GROUP BY replay, state
"""


class Compaction:
    """Of one process: knows how many transactions have changed counts since it did it last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changes = 0

    async def changed(self) -> None:
        """A transaction has changed counts."""
        self._changes += 1
        if self._changes >= EVERY:
            self._changes = 0
            await self._database.write_unflushed(compact)


def compact(connection: Connection) -> None:
    """Make one row of all rows of each count, as far as they are few enough for a transaction."""
    connection.execute(_DISPATCHES, (MOST,))
    connection.execute(_REPLAYS, (MOST,))
