"""The views that a database has for programs of others: their names and columns are a contract.

Every database has them, with these columns in this order (its migrations make them). A column may
be added at the end of a view. A column that is here stays, and means the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Kind = Literal["integer", "number", "text", "instant", "boolean"]
"""Each database has its own type for it. SQLite: INTEGER, REAL, TEXT; an instant is a text in UTC
such as 2026-11-21T10:00:00.000Z, a boolean is 0 or 1. PostgreSQL: bigint or integer, numeric or
double precision, text, timestamptz, boolean."""


class Column(Struct, frozen=True):
    name: str
    kind: Kind
    meaning: str


class View(Struct, frozen=True):
    """`example` is a query that either database understands."""

    name: str
    rows: str
    columns: Sequence[Column]
    example: str


def _instant(name: str, meaning: str) -> tuple[Column, Column]:
    """An instant in both of its forms."""
    return (
        Column(f"{name}_at", "instant", meaning),
        Column(f"{name}_us", "integer", f"{name}_at in microseconds since 1970 UTC"),
    )


_STATUS = (
    Column("status_group_id", "integer", "groupId of the status"),
    Column("status_group", "text", "for example DELIVERED"),
    Column("status_id", "integer", "id of the status"),
    Column("status", "text", "name of the status, for example DELIVERED_TO_HANDSET"),
)
_ERROR = (
    Column("error_id", "integer", "id of the error; 0: none"),
    Column("error", "text", "name of the error, for example EC_ABSENT_SUBSCRIBER"),
)
_OF_SMS = (
    Column("bulk_id", "text", "bulkId"),
    Column("recipient", "text", "to"),
    Column("sender", "text", "from (v3: sender)"),
    Column("mcc_mnc", "text", "mccMnc: the operator"),
)
_TIMES = (
    Column("sent_at", "instant", "sentAt"),
    Column("done_at", "instant", "doneAt"),
    Column("sent_to_done_seconds", "number", "from sentAt to doneAt"),
)
_SOURCE = Column("source", "text", "name of the source that the report came from")
_FINAL = Column("final", "boolean", "whether the message will not change any more")
_PARTS = Column("parts", "integer", "smsCount (v3: messageCount)")
_CURRENCY = Column("currency", "text", "for example EUR")
_COST = Column("cost", "number", "price_per_part times parts; null unless final")
_DISPATCH = (
    Column("dispatch_id", "text", "as `dlr dispatches` shows it"),
    Column("dispatch_number", "integer", "the number in dispatch_id: the fast way to join views"),
)
_ENDPOINT = Column("endpoint", "text", "name of the endpoint")
_STATE = Column("state", "text", "waiting, leased, acknowledged, exhausted or cancelled")
_REPLAY = Column("replay_id", "integer", "the replay that made the dispatch; null: none")

VIEWS: Sequence[View] = (
    View(
        "dlr_reports",
        "one row for each stored report",
        (
            Column("report_id", "integer", "as `dlr reports` shows it"),
            *_instant("received", "when the report came in"),
            _SOURCE,
            Column("format", "text", "json or xml"),
            Column("generation", "text", "v2 or v3; null: cannot be told"),
            _FINAL,
            Column("duplicates", "integer", "how often the same report came again"),
            Column("message_id", "text", "messageId"),
            *_OF_SMS,
            Column("callback_data", "text", "callbackData"),
            *_TIMES,
            *_STATUS,
            *_ERROR,
            Column("error_permanent", "boolean", "permanent, as the report says"),
            _PARTS,
            Column("price_per_part", "number", "pricePerMessage"),
            _CURRENCY,
            _COST,
        ),
        "SELECT status, count(*) AS reports FROM dlr_reports"
        " WHERE received_us >= 1767225600000000 GROUP BY status ORDER BY reports DESC",
    ),
    View(
        "dlr_messages",
        "one row for each message of a source, with the report that says where it stands. It reads"
        " all stored reports",
        (
            _SOURCE,
            Column("message_id", "text", "messageId"),
            Column("reports", "integer", "stored reports of the message"),
            *_instant("first_received", "when its first report came in"),
            *_instant("last_received", "when its last report came in"),
            Column("report_id", "integer", "the report that the other columns are from"),
            *_OF_SMS,
            _FINAL,
            *_TIMES,
            *_STATUS,
            *_ERROR,
            _PARTS,
            _CURRENCY,
            _COST,
        ),
        "SELECT status, count(*) AS messages FROM dlr_messages"
        " WHERE source = 'default' GROUP BY status ORDER BY messages DESC",
    ),
    View(
        "dlr_dispatches",
        "one row for each dispatch",
        (
            *_DISPATCH,
            _ENDPOINT,
            _STATE,
            Column("attempts", "integer", "attempts made"),
            Column("reports", "integer", "reports that it carries; 0: another event"),
            *_instant("created", "when it was made"),
            *_instant("due", "when the next attempt is due; null: none is"),
            _REPLAY,
        ),
        "SELECT endpoint, state, count(*) AS dispatches FROM dlr_dispatches"
        " WHERE created_us >= 1767225600000000 GROUP BY endpoint, state",
    ),
    View(
        "dlr_dispatched_reports",
        "one row for each report in each dispatch: joins dlr_reports and dlr_dispatches",
        (
            Column("report_id", "integer", "as in dlr_reports"),
            *_DISPATCH,
            _ENDPOINT,
            _STATE,
            _REPLAY,
        ),
        "SELECT endpoint, state, count(*) AS reports FROM dlr_dispatched_reports"
        " JOIN dlr_reports USING (report_id) WHERE NOT final GROUP BY endpoint, state",
    ),
    View(
        "dlr_attempts",
        "one row for each attempt",
        (
            Column("attempt_id", "integer", "ascends in the order of recording"),
            *_DISPATCH,
            _ENDPOINT,
            Column("number", "integer", "1 is the first attempt of the dispatch"),
            *_instant("started", "when it began"),
            Column("duration_seconds", "number", "until the answer, or until it failed"),
            Column("http_status", "integer", "null: there was no answer"),
            Column("outcome", "text", "what it meant, for example acknowledged or timeout"),
            Column("error", "text", "why it failed; null: it did not"),
        ),
        "SELECT endpoint, outcome, count(*) AS attempts, max(duration_seconds) AS longest"
        " FROM dlr_attempts GROUP BY endpoint, outcome",
    ),
    View(
        "dlr_quarantine",
        "one row for each quarantine entry",
        (
            Column("entry_id", "integer", "as `dlr quarantine` shows it"),
            *_instant("received", "when it came in"),
            _SOURCE,
            Column("content_type", "text", "as it was sent"),
            Column("size_bytes", "integer", "of what is kept"),
            Column("place", "text", "where in the body"),
            Column("reason", "text", "why it could not be read"),
            Column("repeats", "integer", "how often the same came again"),
        ),
        "SELECT source, reason, max(received_at) AS last FROM dlr_quarantine"
        " GROUP BY source, reason",
    ),
    View(
        "dlr_endpoints",
        "one row for each endpoint that has been used",
        (
            _ENDPOINT,
            Column("paused", "boolean", "whether nothing is pushed to it"),
            Column("removed", "boolean", "whether it was removed"),
            *(
                Column(state, "integer", f"dispatches in the state {state}")
                for state in ("waiting", "leased", "acknowledged", "exhausted", "cancelled")
            ),
        ),
        "SELECT endpoint, waiting, exhausted FROM dlr_endpoints WHERE NOT removed",
    ),
    View(
        "dlr_totals_by_hour",
        "reports of each hour, by source, status and error. They stay when retention removes the"
        " reports, and are complete up to about a second ago",
        (
            *_instant("hour", "when the hour begins"),
            _SOURCE,
            _FINAL,
            *_STATUS,
            *_ERROR,
            Column("reports", "integer", "reports received in the hour"),
        ),
        "SELECT hour_at, status_group, sum(reports) AS reports FROM dlr_totals_by_hour"
        " WHERE final GROUP BY hour_at, status_group ORDER BY hour_at",
    ),
    View(
        "dlr_costs_by_hour",
        "what the final reports of each hour cost, by source and currency",
        (
            *_instant("hour", "when the hour begins"),
            _SOURCE,
            _CURRENCY,
            Column("reports", "integer", "final reports with a price"),
            Column("cost", "number", "pricePerMessage times smsCount, added up"),
        ),
        "SELECT source, currency, sum(cost) AS cost FROM dlr_costs_by_hour"
        " GROUP BY source, currency",
    ),
)
