"""What is asked for, out of a query string. The command line goes the same way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from receiver.answers import BadQuery
from receiver.api.parameters import (
    Parameters,
    cursor,
    id_or_name,
    ids_or_names,
    instant,
    limit,
    one_of,
    only,
    truth,
)
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.store.base import ReportQuery, TotalsQuery

REPORT_FILTERS = (
    "messageId",
    "bulkId",
    "to",
    "toPrefix",
    "sender",
    "from",
    "statusGroup",
    "status",
    "error",
    "permanent",
    "final",
    "source",
    "callbackData",
    "callbackDataContains",
    "receivedSince",
    "receivedUntil",
    "doneSince",
    "doneUntil",
)
MESSAGE_FILTERS = ("final", "source", "statusGroup")
TOTALS_FILTERS = ("since", "until", "bucket", "source", "final")

BUCKETS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
BUCKETS_MOST = 800
"""Buckets of one answer: a month of hours, or two years of days."""

_USUAL_RANGE = {"hour": timedelta(days=1), "day": timedelta(days=31)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000 = 253_402_300_800


def report_query(query: Parameters) -> ReportQuery:
    """The filters of GET /api/reports. Raises BadQuery."""
    only(query, "limit", "cursor", "received", *REPORT_FILTERS)
    if "sender" in query and "from" in query:
        raise BadQuery("from: it is another name of sender; give one of them")
    return ReportQuery(
        limit=limit(query),
        before=cursor(query),
        message_id=query.get("messageId"),
        source=query.get("source"),
        final=truth(query, "final"),
        status_groups=_groups(query),
        bulk_id=query.get("bulkId"),
        to=query.get("to"),
        to_prefix=query.get("toPrefix"),
        sender=query.get("sender", query.get("from")),
        statuses=ids_or_names(query, "status"),
        errors=ids_or_names(query, "error"),
        permanent=truth(query, "permanent"),
        callback_data=query.get("callbackData"),
        callback_data_contains=query.get("callbackDataContains"),
        received_since=instant(query, "receivedSince"),
        received_until=instant(query, "receivedUntil"),
        done_since=instant(query, "doneSince"),
        done_until=instant(query, "doneUntil"),
    )


class MessageQuery(Struct, frozen=True):
    """Which messages are wanted, by their state now; `source` by any of their reports."""

    limit: int = 100
    before: int | None = None
    final: bool | None = None
    source: str | None = None
    status_groups: tuple[int, ...] = ()


def message_query(query: Parameters) -> MessageQuery:
    """The filters of GET /api/messages. Raises BadQuery."""
    only(query, "limit", "cursor", *MESSAGE_FILTERS)
    return MessageQuery(
        limit=limit(query),
        before=cursor(query),
        final=truth(query, "final"),
        source=query.get("source"),
        status_groups=_groups(query),
    )


def totals_query(query: Parameters, now: datetime) -> TotalsQuery:
    """The parameters of GET /api/totals. Raises BadQuery.

    Whole buckets are counted: the beginning is that of a bucket, and so is the end.
    """
    only(query, *TOTALS_FILTERS)
    bucket = query.get("bucket", "hour")
    if bucket not in BUCKETS:
        raise BadQuery(f"bucket: expected {one_of(BUCKETS)}, got {bucket[:40]!r}")
    span = BUCKETS[bucket] // timedelta(seconds=1)
    until = instant(query, "until") or now
    end = -(-((until - _EPOCH) // timedelta(microseconds=1)) // (span * 1_000_000)) * span
    since = instant(query, "since")
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
    return TotalsQuery(span, start, end, query.get("source"), truth(query, "final"))


def _groups(query: Parameters) -> tuple[int, ...]:
    if "statusGroup" not in query:
        return ()
    return tuple(_group(id_or_name(word)) for word in query["statusGroup"].split(","))


def _group(word: int | str) -> int:
    if isinstance(word, int):
        return word
    if word not in GROUP_NUMBERS:
        raise BadQuery(f"statusGroup: expected {one_of(GROUP_NUMBERS)}, got {word!r}")
    return GROUP_NUMBERS[word]
