"""The filters of reports, messages and totals. A new one on /api/reports is a row here, a field of
ReportQuery, and its comparison in the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from receiver.answers import BadQuery
from receiver.api.parameters import (
    CURSOR,
    EXACT,
    IDS_OR_NAMES,
    INSTANT,
    LIMIT,
    LIMIT_DEFAULT,
    TEXT,
    TRUTH,
    Filter,
    Kind,
    Parameters,
    choice,
    id_or_name,
    listed,
    read_query,
)
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.store.base import ReportQuery, TotalsQuery

BUCKETS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
BUCKETS_MOST = 800
"""Buckets of one answer: a month of hours, or two years of days."""

_USUAL_RANGE = {"hour": timedelta(days=1), "day": timedelta(days=31)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000 = 253_402_300_800


def _groups(text: str, name: str) -> tuple[int, ...]:
    return tuple(_group(id_or_name(word), name) for word in text.split(","))


def _group(word: int | str, name: str) -> int:
    if isinstance(word, int):
        return word
    if word not in GROUP_NUMBERS:
        raise BadQuery(f"{name}: expected {listed(GROUP_NUMBERS)}, got {word!r}")
    return GROUP_NUMBERS[word]


# --- rows --------------------------------------------------------------------------------------

_STATUS_GROUP = Filter(
    "statusGroup",
    "status_groups",
    Kind(
        _groups,
        {"type": "string", "examples": [*GROUP_NUMBERS, "PENDING,DELIVERED"]},
        IDS_OR_NAMES.words,
    ),
    "Only these groups, ids or names: DELIVERED,EXPIRED.",
    "--status-group",
)
_FINAL = Filter(
    "final",
    "final",
    TRUTH,
    "Only final, or only intermediate ones.",
    "--final/--intermediate",
    "Final: nothing more is to be expected.",
)
_SOURCE = Filter(
    "source", "source", TEXT, "Only from this source.", "--source", "The name of a [[source]]."
)

REPORT_FILTERS = (
    Filter("messageId", "message_id", EXACT, "Only of this message.", "--message-id"),
    Filter("bulkId", "bulk_id", EXACT, "Only of this bulk.", "--bulk-id"),
    Filter("to", "to", EXACT, "Only to this number.", "--to"),
    Filter("toPrefix", "to_prefix", TEXT, "Only to numbers that begin so: 4179.", "--to-prefix"),
    Filter(
        "sender", "sender", EXACT, "Only from this sender.", "--sender", "In either generation."
    ),
    Filter("from", "sender", EXACT, "Another name of `sender`; give one of them."),
    _STATUS_GROUP,
    Filter(
        "status",
        "statuses",
        IDS_OR_NAMES,
        "Only these statuses, ids or names: 5,EXPIRED_EXPIRED.",
        "--status",
    ),
    Filter(
        "error",
        "errors",
        IDS_OR_NAMES,
        "Only these errors, ids or names: EC_ABSENT_SUBSCRIBER,27.",
        "--error",
    ),
    Filter(
        "permanent",
        "permanent",
        TRUTH,
        "Only permanent, or only other errors.",
        "--permanent/--temporary",
    ),
    _FINAL,
    _SOURCE,
    Filter(
        "callbackData", "callback_data", EXACT, "Only with this callbackData.", "--callback-data"
    ),
    Filter(
        "callbackDataContains",
        "callback_data_contains",
        TEXT,
        "Only with this in the callbackData.",
        "--callback-data-contains",
        "Anywhere in it.",
    ),
    Filter(
        "receivedSince",
        "received_since",
        INSTANT,
        "Received then or later: 2026-11-21T10:00:00Z.",
        "--received-since",
    ),
    Filter("receivedUntil", "received_until", INSTANT, "Received before.", "--received-until"),
    Filter("doneSince", "done_since", INSTANT, "doneAt then or later.", "--done-since"),
    Filter("doneUntil", "done_until", INSTANT, "doneAt before.", "--done-until"),
)

MESSAGE_FILTERS = (
    _FINAL,
    Filter(
        "source",
        "source",
        TEXT,
        "Only those with a report from this source.",
        "--source",
        "The name of a [[source]].",
    ),
    _STATUS_GROUP,
)

TOTALS_FILTERS = (
    Filter(
        "since",
        "since",
        INSTANT,
        "The beginning; with it, all of its hour or day. Default: a day, or 31 days ago.",
        "--since",
    ),
    Filter("until", "until", INSTANT, "The end. Default: now.", "--until"),
    Filter(
        "bucket", "bucket", choice(BUCKETS, default="hour"), "", "--bucket", "Hours or days (UTC)."
    ),
    _SOURCE,
    _FINAL,
)

RECEIVED = Filter("received", "received", TRUTH, "Adds each item as it came.")

REPORT_PARAMETERS = (LIMIT, CURSOR, RECEIVED, *REPORT_FILTERS)
MESSAGE_PARAMETERS = (LIMIT, CURSOR, *MESSAGE_FILTERS)

# --- queries -----------------------------------------------------------------------------------


def report_query(query: Parameters) -> ReportQuery:
    """The filters of GET /api/reports. Raises BadQuery."""
    wanted = read_query(query, REPORT_PARAMETERS)
    wanted.pop(RECEIVED.field, None)
    return ReportQuery(**wanted)


class MessageQuery(Struct, frozen=True):
    """Which messages are wanted, by their state now; `source` by any of their reports."""

    limit: int = LIMIT_DEFAULT
    before: int | None = None
    final: bool | None = None
    source: str | None = None
    status_groups: tuple[int, ...] = ()


def message_query(query: Parameters) -> MessageQuery:
    """The filters of GET /api/messages. Raises BadQuery."""
    return MessageQuery(**read_query(query, MESSAGE_PARAMETERS))


def totals_query(query: Parameters, now: datetime) -> TotalsQuery:
    """The parameters of GET /api/totals. Raises BadQuery.

    Whole buckets are counted: the beginning is that of a bucket, and so is the end.
    """
    wanted = read_query(query, TOTALS_FILTERS)
    bucket = wanted.get("bucket", "hour")
    span = BUCKETS[bucket] // timedelta(seconds=1)
    until = wanted.get("until", now)
    end = -(-((until - _EPOCH) // timedelta(microseconds=1)) // (span * 1_000_000)) * span
    since = wanted.get("since")
    if since is None:
        start = end - _USUAL_RANGE[bucket] // timedelta(seconds=1)
    else:
        start = (since - _EPOCH) // timedelta(seconds=1) // span * span
    if end >= _YEAR_10000:
        raise BadQuery("until: expected an instant before the last day of 9999")
    if start >= end:
        raise BadQuery("until: expected an instant after since")
    if (end - start) // span > BUCKETS_MOST:
        raise BadQuery(f"since: expected at most {BUCKETS_MOST} buckets, give a narrower range")
    return TotalsQuery(span, start, end, wanted.get("source"), wanted.get("final"))
