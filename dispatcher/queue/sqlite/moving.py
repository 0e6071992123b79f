"""What the dispatcher has in a SQLite file that is moved (receiver/store/moving.py)."""

from __future__ import annotations

from receiver.store.moving import Table

_REPLAY_COUNTS = """
    (SELECT replay, state, dispatches, reports, 0 AS attempts FROM replay_count
    UNION ALL SELECT id, 'tried', tried, 0, attempts FROM replay WHERE tried > 0 OR attempts > 0)
"""

TABLES = [
    Table(
        "dispatch",
        ("id",),
        {"authorization_header": "authorization"},
        sequence="dispatch_id",
    ),
    Table("dispatch_body", ("dispatch",)),
    Table("dispatch_report", ("report", "dispatch")),
    Table("dispatch_members", ("dispatch",)),
    Table("event_message", ("dispatch",)),
    Table("attempt", ("id",), sequence="attempt_id"),
    Table("message_under_way", ("endpoint", "source", "message_key")),
    Table("held_report", ("endpoint", "report", "replay")),
    Table("replay", ("id",), sequence="replay_id_seq"),
    Table("replay_piece", ("replay", "position")),
    Table("attempt_tally", ("span", "endpoint", "outcome", "status_class", "bin", "start")),
    Table("lateness_tally", ("span", "endpoint", "bin", "start")),
    Table("queue_name", (), {"one": "1"}),
    Table("endpoint"),
    Table("endpoint_version"),
    Table("taken_forgotten"),
    Table("unrecorded_attempt"),
    Table("dispatch_count"),
    Table("replay_count", rows=_REPLAY_COUNTS),
    Table("activity_followed"),
    Table("common_time"),
]
"""The tables in the order in which they are copied; those with few rows come last."""
