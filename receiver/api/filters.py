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
BY = ("operator", "country", "sender", "source", "error")

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
    "Only these groups, ids or names: DELIVERED,EXPIRED.",
    field="status_groups",
)
_FINAL = Filter(
    "final",
    TRUTH,
    "Only final, or only intermediate ones.",
    "Final: nothing more is to be expected.",
    option="--final/--intermediate",
)
_SOURCE = Filter("source", TEXT, "Only from this source.", _A_SOURCE)
_TO = Filter("to", NUMBER, "Only to this number.")
_SENDER = Filter(
    "sender",
    EXACT,
    "Only from this sender.",
    "In either generation. A number in any of its forms.",
)

RECEIVED_IN = (
    Filter(
        "receivedSince",
        INSTANT,
        "Received then or later.",
        option="--since",
        old_option="--received-since",
    ),
    Filter(
        "receivedUntil",
        INSTANT,
        "Received before then.",
        option="--until",
        old_option="--received-until",
    ),
)

REPORT_FILTERS = (
    Filter(
        "text",
        TEXT,
        "Only with this in the messageId, the recipient's number or the callbackData.",
        "Capitals or small letters.",
    ),
    Filter("messageId", EXACT, "Only of this message."),
    Filter("bulkId", EXACT, "Only of this bulk."),
    _TO,
    Filter("toPrefix", NUMBER, "Only to numbers starting with this: 4179."),
    _SENDER,
    Filter(
        "from", EXACT, "Another name of `sender`; give one of them.", field="sender", option=None
    ),
    _STATUS_GROUP,
    Filter(
        "status",
        IDS_OR_NAMES,
        "Only these statuses, ids or names: 5,EXPIRED_EXPIRED.",
        field="statuses",
    ),
    Filter(
        "error",
        IDS_OR_NAMES,
        "Only these errors, ids or names: EC_ABSENT_SUBSCRIBER,27.",
        field="errors",
    ),
    Filter(
        "permanent",
        TRUTH,
        "Only permanent, or only other errors.",
        option="--permanent/--temporary",
    ),
    _FINAL,
    _SOURCE,
    Filter("callbackData", EXACT, "Only with this callbackData."),
    Filter("callbackDataContains", TEXT, "Only with this in the callbackData.", "Anywhere in it."),
    *RECEIVED_IN,
    Filter("doneSince", INSTANT, "doneAt then or later."),
    Filter("doneUntil", INSTANT, "doneAt before then."),
)

PLACE_STATES = ("waiting", "leased", "acknowledged", "exhausted", "cancelled", "unrouted")

PLACE_FILTERS = (
    Filter("endpoint", TEXT, "Only what was taken for this endpoint."),
    Filter(
        "state",
        choice(PLACE_STATES),
        "Only where the newest dispatch (to an endpoint) is in this state; unrouted: no endpoint"
        " took it.",
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
    "source", TEXT, "Of this source.", "Needed when several sources have such a message."
)

TOTALS_FILTERS = (
    Filter(
        "since",
        INSTANT,
        "The beginning; with it, all of its minute, hour or day. Default: 3 hours ago for minutes,"
        " a day for hours, 31 days for days.",
    ),
    Filter("until", INSTANT, "The end. Default: now."),
    Filter(
        "bucket",
        choice(BUCKETS, default="hour"),
        "",
        "Minutes (of the last two days), hours or days (UTC).",
    ),
    Filter("by", choice(BY), "Rows by these too."),
    _SOURCE,
    _FINAL,
)

RECEIVED = Filter("received", TRUTH, "Adds each item as it came.")

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
        raise BadQuery(str(Misfit("endpoint", "unrouted reports are those of no endpoint")))
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
        raise BadQuery("by: expected bucket hour or day with it, minutes are not told apart")
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
        raise BadQuery("until: expected an instant before the last day of 9999")
    if start >= end:
        raise BadQuery("until: expected an instant after since")
    if (end - start) // span > BUCKETS_MOST:
        raise BadQuery(f"since: expected at most {BUCKETS_MOST} buckets, give a narrower range")
    return TotalsQuery(span, start, end, wanted.get("source"), wanted.get("final"))
