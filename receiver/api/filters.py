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
    NUMBER,
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
from receiver.faults import Misfit, expected
from receiver.store.base import ReportQuery, TotalsQuery
from receiver.store.tally import MINUTE, MINUTES_KEPT

BUCKETS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
BUCKETS_MOST = 800
"""Buckets of one answer: 13 hours of minutes, a month of hours, or two years of days."""
BY = ("endpoint", "operator", "country", "sender", "source", "error")

_USUAL_RANGE = {"minute": timedelta(hours=3), "hour": timedelta(days=1), "day": timedelta(days=31)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_1, _YEAR_10000 = -62_135_596_800, 253_402_300_800


def _groups(text: str, name: str) -> tuple[int, ...]:
    return tuple(_group(id_or_name(word), name) for word in text.split(","))


def _group(word: int | str, name: str) -> int:
    if isinstance(word, int):
        return word
    if word not in GROUP_NUMBERS:
        raise BadQuery(str(Misfit(name, expected(listed(GROUP_NUMBERS), repr(word)))))
    return GROUP_NUMBERS[word]


GROUPS = Kind(
    _groups,
    {"type": "string", "examples": [*GROUP_NUMBERS, "PENDING,DELIVERED"]},
    IDS_OR_NAMES.words,
)

# --- rows --------------------------------------------------------------------------------------

_A_SOURCE = "The name of a [[source]]."

_STATUS_GROUP = Filter(
    "statusGroup",
    GROUPS,
    "Only these status groups, by id or name, for example DELIVERED,EXPIRED.",
    field="status_groups",
)
_FINAL = Filter(
    "final",
    TRUTH,
    "Only final, or only intermediate ones.",
    "A final report is the last one of its message.",
    option="--final/--intermediate",
)
_SOURCE = Filter("source", TEXT, "Only from this source.", _A_SOURCE)
_TO = Filter("to", NUMBER, "Only to this number.")
_SENDER = Filter(
    "sender",
    EXACT,
    "Only from this sender.",
    "In both generations. A number can be written in any form.",
)

RECEIVED_IN = (
    Filter(
        "receivedSince",
        INSTANT,
        "Received at this time or later.",
        option="--since",
        old_option="--received-since",
    ),
    Filter(
        "receivedUntil",
        INSTANT,
        "Received before this time.",
        option="--until",
        old_option="--received-until",
    ),
)

REPORT_FILTERS = (
    Filter(
        "text",
        TEXT,
        "Only with this text in the messageId, the recipient's number or the callbackData.",
        "Upper and lower case are the same.",
    ),
    Filter("messageId", EXACT, "Only of this message."),
    Filter("bulkId", EXACT, "Only of this bulk."),
    _TO,
    Filter("toPrefix", NUMBER, "Only to numbers starting with this prefix, for example 4179."),
    _SENDER,
    Filter(
        "from", EXACT, "Another name of `sender`; give one of them.", field="sender", option=None
    ),
    _STATUS_GROUP,
    Filter(
        "status",
        IDS_OR_NAMES,
        "Only these statuses, by id or name, for example 5,EXPIRED_EXPIRED.",
        field="statuses",
    ),
    Filter(
        "error",
        IDS_OR_NAMES,
        "Only these errors, by id or name, for example EC_ABSENT_SUBSCRIBER,27.",
        field="errors",
    ),
    Filter(
        "permanent",
        TRUTH,
        "Only permanent errors, or only temporary ones.",
        option="--permanent/--temporary",
    ),
    _FINAL,
    _SOURCE,
    Filter("callbackData", EXACT, "Only with this callbackData."),
    Filter(
        "callbackDataContains", TEXT, "Only with this text in the callbackData.", "Anywhere in it."
    ),
    *RECEIVED_IN,
    Filter("doneSince", INSTANT, "Only if doneAt is this time or later."),
    Filter("doneUntil", INSTANT, "Only if doneAt is before this time."),
)

PLACE_STATES = ("waiting", "leased", "acknowledged", "exhausted", "cancelled", "unrouted")

PLACE_FILTERS = (
    Filter("endpoint", TEXT, "Only reports that this endpoint took."),
    Filter(
        "state",
        choice(PLACE_STATES),
        "Only reports whose newest dispatch to an endpoint is in this state; unrouted: no"
        " endpoint took them.",
    ),
)

MESSAGE_FILTERS = (
    _TO,
    _SENDER,
    *RECEIVED_IN,
    _FINAL,
    _SOURCE,
    _STATUS_GROUP,
)

OF_SOURCE = Filter(
    "source", TEXT, "Of this source.", ("Required if several sources have a message with this id.")
)

TOTALS_FILTERS = (
    Filter(
        "since",
        INSTANT,
        "The start, rounded down to a whole minute, hour or day. Default: 3 hours ago for"
        " minutes, 1 day for hours, 31 days for days.",
    ),
    Filter("until", INSTANT, "The end. Default: now."),
    Filter(
        "bucket",
        choice(BUCKETS, default="hour"),
        "",
        "Minutes (of the last two days), hours or days (UTC).",
    ),
    Filter("by", choice(BY), "Also one row for each of these."),
    _SOURCE,
    _FINAL,
)

RECEIVED = Filter("received", TRUTH, "Add each item as it was received.")

REPORT_PARAMETERS = (LIMIT, CURSOR, RECEIVED, *REPORT_FILTERS, *PLACE_FILTERS)
MESSAGE_PARAMETERS = (LIMIT, CURSOR, *MESSAGE_FILTERS)
QUARANTINE_PARAMETERS = (LIMIT, CURSOR, *RECEIVED_IN)

# --- queries -----------------------------------------------------------------------------------


def report_query(query: Parameters) -> ReportQuery:
    """The filters of GET /api/reports. Raises BadQuery."""
    wanted = read_query(query, REPORT_PARAMETERS)
    for other in (RECEIVED, *PLACE_FILTERS):
        wanted.pop(other.field, None)
    return ReportQuery(**wanted)


class Place(Struct, frozen=True):
    """Which reports are wanted by what became of them. `state` is that of their newest dispatch to
    an endpoint, or `unrouted`."""

    endpoint: str | None = None
    state: str | None = None


def place_of(query: Parameters) -> Place | None:
    """The filters of GET /api/reports that ask for it; None when they do not. Raises BadQuery."""
    wanted = {each.field: each.read(query) for each in PLACE_FILTERS}
    place = Place(**wanted)
    if place.state == "unrouted" and place.endpoint is not None:
        raise BadQuery(
            str(
                Misfit(
                    "endpoint",
                    ("cannot be combined with state=unrouted, which means reports of no endpoint"),
                )
            )
        )
    return None if place == Place() else place


class MessageQuery(Struct, frozen=True):
    """Which messages are wanted: by their source and their state now, and those that have a report
    to this number, from this sender, received in this range, all three in one."""

    limit: int = LIMIT_DEFAULT
    before: int | None = None
    to: str | None = None
    sender: str | None = None
    received_since: datetime | None = None
    received_until: datetime | None = None
    final: bool | None = None
    source: str | None = None
    status_groups: tuple[int, ...] = ()


class QuarantineQuery(Struct, frozen=True):
    """Which quarantine entries are wanted. Of the range the beginning belongs to it, the end does
    not."""

    limit: int = LIMIT_DEFAULT
    before: int | None = None
    received_since: datetime | None = None
    received_until: datetime | None = None


def quarantine_query(query: Parameters) -> QuarantineQuery:
    """The filters of GET /api/quarantine. Raises BadQuery."""
    return QuarantineQuery(**read_query(query, QUARANTINE_PARAMETERS))


def message_query(query: Parameters) -> MessageQuery:
    """The filters of GET /api/messages. Raises BadQuery."""
    return MessageQuery(**read_query(query, MESSAGE_PARAMETERS))


class AskedTotals(Struct, frozen=True):
    """What is asked of GET /api/totals: buckets of time, and rows `by` something."""

    query: TotalsQuery
    by: str | None = None


def asked_totals(query: Parameters, now: datetime) -> AskedTotals:
    """The parameters of GET /api/totals. Raises BadQuery."""
    wanted, by = totals_query(query, now), read_query(query, TOTALS_FILTERS).get("by")
    if by is not None and wanted.span == MINUTE:
        raise BadQuery("by: use bucket hour or day; minutes are not broken down")
    return AskedTotals(wanted, by)


def totals_query(query: Parameters, now: datetime) -> TotalsQuery:
    """The time, the source and the finality of GET /api/totals. Raises BadQuery.

    Whole buckets are counted: the beginning is that of a bucket, and so is the end.
    """
    wanted = read_query(query, TOTALS_FILTERS)
    bucket = wanted.get("bucket", "hour")
    span = BUCKETS[bucket] // timedelta(seconds=1)
    until = wanted.get("until", now)
    end = -(-((until - _EPOCH) // timedelta(microseconds=1)) // (span * 1_000_000)) * span
    since = wanted.get("since")
    if since is None:
        start = max(_YEAR_1, end - _USUAL_RANGE[bucket] // timedelta(seconds=1))
    else:
        start = (since - _EPOCH) // timedelta(seconds=1) // span * span
    if span == MINUTE and start < (now - _EPOCH) // timedelta(seconds=1) - MINUTES_KEPT:
        raise BadQuery("since: minutes are kept for two days; ask for hours or days")
    if end >= _YEAR_10000:
        raise BadQuery("until: expected an instant before the last day of the year 9999")
    if start >= end:
        raise BadQuery("until: expected an instant after since")
    if (end - start) // span > BUCKETS_MOST:
        raise BadQuery(
            f"since: expected at most {BUCKETS_MOST} buckets; choose a shorter"
            " period or larger buckets"
        )
    return TotalsQuery(span, start, end, wanted.get("source"), wanted.get("final"))
