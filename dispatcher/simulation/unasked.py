"""What a simulation's database does without: indexes that none of its questions uses, and
consequences that nobody there looks at.

They are most of what an attempt costs in SQLite. What is not named here stays, so that a
consequence which is new holds in simulations from its first day. That nothing changes but the time
is held by a test, which compares timelines with and without.
"""

from __future__ import annotations

import sqlite3

from dispatcher.endpoints.endpoint import Endpoint

INDEXES = (
    "attempt_of_dispatch",  # an attempt is recorded once, and who reads all of them needs no index
    "dispatch_formed",  # lists
    "dispatch_lease",  # foresight.py knows
    "dispatch_of_endpoint",
    "dispatch_of_endpoint_and_state",
    "dispatch_of_state",
    "dispatch_replay_open",  # replays
    "dispatch_replay_untried",
    "dispatch_waiting",  # metrics
    "report_received",  # searches
)

CONSEQUENCES = (
    "formed_is_counted",  # lists and metrics
    "moved_is_counted",
    "formed_is_counted_for_its_replay",  # no replays
    "moved_is_counted_for_its_replay",
    "tried_is_counted_for_its_replay",
    "returned_unwanted_is_cancelled",  # no endpoint is removed
)
"""By their names in retrying/consequences.py."""

OF_ORDER = "ended_frees_its_messages"
"""What else nobody looks at where the order is not kept."""


def drop_unasked(connection: sqlite3.Connection, endpoint: Endpoint) -> None:
    """Drop them from the database of a simulation of this endpoint."""
    for index in INDEXES:
        connection.execute(f"DROP INDEX IF EXISTS {index}")
    for consequence in (*CONSEQUENCES, *(() if endpoint.ordered else (OF_ORDER,))):
        connection.execute(f"DROP TRIGGER IF EXISTS {consequence}")
