"""What follows when a dispatch changes, beside its states (dispatch.py): all of it, in one table.

Each consequence belongs to the transaction of the change and comes whatever has changed the
dispatch: an attempt, a worker that died, a hand, the end of a replay, a removed endpoint, an
erasure, retention. So the database carries them out, and nobody who changes a dispatch thinks of
them. Each is a trigger of the same name: in SQLite all of them are in
queue/sqlite/migrations/0010_sources_are_tenants.sql, in PostgreSQL in
queue/postgres/migrations/0001_dispatches.sql. A test holds each to the table.

No consequence depends on another one of the same change: each adds and subtracts for itself. One
changes a dispatch in its turn (`returned_unwanted_is_cancelled`), and that change has all the
consequences of a change.

What is not here is done by whoever makes the change, in words of its own. Forming a dispatch stores
its bytes and its reports and says which messages are under way. The end of a replay cancels its
waiting dispatches and lets go what it holds. Removing an endpoint cancels what waits for it, lets
go what it holds by itself and frees what replays hold for it. An erasure forms a waiting dispatch
anew and cancels the old one. Retention alone deletes dispatches, and only ended ones.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Event = Literal["formed", "moved", "tried", "deleted", "held", "let go"]
"""What happens: a dispatch is stored, goes from one state to another, has one attempt more, is
deleted; a report is held for an earlier one of its message, is held no more."""


class Consequence(Struct, frozen=True):
    """When `event` happens, and `when` holds, then `then`. `when` None: always."""

    event: Event
    when: str | None
    then: str


CONSEQUENCES: dict[str, Consequence] = {
    # How many dispatches each endpoint has in each state (dispatch_count).
    "formed_is_counted": Consequence(
        "formed", None, "its endpoint has one dispatch more in its state"
    ),
    "moved_is_counted": Consequence(
        "moved", None, "its endpoint has one less in the old state and one more in the new one"
    ),
    "deleted_is_uncounted": Consequence(
        "deleted", None, "its endpoint has one dispatch less in its state"
    ),
    # How far each replay has come (replay_count, replay). What retention deletes stays counted.
    "formed_is_counted_for_its_replay": Consequence(
        "formed", "it is a replay's", "the replay has it, and its reports, in its state"
    ),
    "moved_is_counted_for_its_replay": Consequence(
        "moved", "it is a replay's", "the replay has it, and its reports, in the new state"
    ),
    "tried_is_counted_for_its_replay": Consequence(
        "tried",
        "it is a replay's",
        "the replay has one attempt more, and after the first one tried dispatch more",
    ),
    "held_is_counted_for_its_replay": Consequence(
        "held", "it is held for a replay", "the replay has one held report more"
    ),
    "let_go_is_uncounted_for_its_replay": Consequence(
        "let go", "it was held for a replay", "the replay has one held report less"
    ),
    # What waits at an endpoint that keeps the order (message_under_way, held_report).
    "ended_frees_its_messages": Consequence(
        "moved",
        "to acknowledged, exhausted or cancelled",
        "none of its messages is under way any more, and all reports held for these are freed",
    ),
    # A lease that comes back to where nobody wants it: from a failed attempt, or from a worker
    # that died or stops. Nobody would ever send it, or it must not be sent once more.
    "returned_unwanted_is_cancelled": Consequence(
        "moved",
        "from leased to waiting, and its endpoint is removed or its replay stopped or cancelled",
        "it is cancelled and is not due any more",
    ),
    # Which reports an endpoint took is known only of dispatches that are still there
    # (taken_forgotten): only of newer reports it can be said that nobody took them.
    "deleted_forgets_what_was_taken": Consequence(
        "deleted",
        "its last report is newer than those of all that were deleted before",
        "up to this report it is forgotten which ones were taken",
    ),
}
