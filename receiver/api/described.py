"""The receiver's routes and what goes over them, as GET /api/openapi.json shows them."""

from __future__ import annotations

from typing import Any

from receiver.api.filters import BUCKETS
from receiver.api.openapi import (
    COUNT,
    CURSOR,
    ID,
    INSTANT,
    INTEGER,
    LIMIT,
    NUMBER,
    TEXT,
    TRUTH,
    Described,
    a_list,
    a_page,
    an_error,
    an_object,
    as_json,
    in_path,
    in_query,
    nullable,
    one_of,
    operation,
    ref,
)
from receiver.api.totals import PERCENTS
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.routes import Schema

# --- the provider's: no field is required, and others may come ----------------------------------


def _of_provider(properties: dict[str, Schema], **more: Any) -> Schema:
    return an_object(properties, optional=properties, additionalProperties=True, **more)


_PROVIDER_INSTANT: Schema = {
    "type": "string",
    "description": "in the provider's form",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"\.[0-9]{3}([0-9]{3})?[+-][0-9]{4}$",
    "examples": ["2019-11-09T16:00:00.000+0100"],
}

_COMMON: dict[str, Schema] = {
    "bulkId": TEXT,
    "messageId": TEXT,
    "to": TEXT,
    "sentAt": _PROVIDER_INSTANT,
    "doneAt": _PROVIDER_INSTANT,
    "mccMnc": TEXT,
    "callbackData": TEXT,
    "price": ref("Price"),
    "status": ref("Status"),
    "error": ref("ReportError"),
    "campaignReferenceId": TEXT,
}

_EXAMPLE_STATUS = {
    "groupId": 3,
    "groupName": "DELIVERED",
    "id": 5,
    "name": "DELIVERED_TO_HANDSET",
    "description": "Message delivered to handset",
}

_EXAMPLE_V2 = {
    "bulkId": "BULK-1",
    "messageId": "2033247207850523791",
    "to": "41793026727",
    "from": "InfoSMS",
    "sentAt": "2026-11-21T10:00:00.000+0000",
    "doneAt": "2026-11-21T10:00:04.000+0000",
    "smsCount": 1,
    "mccMnc": "22801",
    "callbackData": "order 4711",
    "price": {"pricePerMessage": 0.01, "currency": "EUR"},
    "status": _EXAMPLE_STATUS,
    "error": {"groupId": 0, "groupName": "Ok", "id": 0, "name": "NO_ERROR", "permanent": False},
}

_OF_PROVIDER: dict[str, Schema] = {
    "Price": _of_provider({"pricePerMessage": NUMBER, "currency": TEXT}),
    "Status": _of_provider(
        {
            "groupId": INTEGER,
            "groupName": TEXT,
            "id": INTEGER,
            "name": TEXT,
            "description": TEXT,
            "action": TEXT,
        }
    ),
    "ReportError": _of_provider(
        {
            "groupId": INTEGER,
            "groupName": TEXT,
            "id": INTEGER,
            "name": TEXT,
            "description": TEXT,
            "permanent": TRUTH,
        }
    ),
    "ReportV2": _of_provider(
        {**_COMMON, "from": TEXT, "smsCount": INTEGER, "entityId": TEXT, "applicationId": TEXT},
        description="a report as v1 and v2 write it",
        examples=[_EXAMPLE_V2],
    ),
    "ReportV3": _of_provider(
        {
            **_COMMON,
            "sender": TEXT,
            "messageCount": INTEGER,
            "platform": _of_provider({"entityId": TEXT, "applicationId": TEXT}),
        },
        description="a report as v3 writes it",
    ),
}

_ITEM: Schema = {"anyOf": [ref("ReportV2"), ref("ReportV3")]}

# --- ours --------------------------------------------------------------------------------------

_REPORT: dict[str, Schema] = {
    "id": ID,
    "receivedAt": INSTANT,
    "source": TEXT,
    "format": one_of(["json", "xml"]),
    "generation": {"enum": ["v2", "v3", None], "description": "null: nothing told it"},
    "final": TRUTH,
    "duplicates": COUNT,
    "report": _ITEM,
}

_COUNTS_VIEW: dict[str, Schema] = {
    "reports": COUNT,
    "final": COUNT,
    "statusGroups": {"type": "object", "additionalProperties": COUNT},
    "errors": a_list(
        an_object(
            {
                "groupId": nullable(INTEGER),
                "id": nullable(INTEGER),
                "name": nullable(TEXT),
                "reports": COUNT,
            }
        )
    ),
    "prices": a_list(an_object({"currency": TEXT, "reports": COUNT, "sum": NUMBER})),
    "sentToDone": an_object(
        {"reports": COUNT, **{f"p{percent}": nullable(NUMBER) for percent in PERCENTS}},
        description="percentiles of the seconds from sentAt to doneAt",
    ),
}

_SCHEMAS: dict[str, Schema] = {
    **_OF_PROVIDER,
    "Report": an_object(
        {
            **_REPORT,
            "received": {
                "type": ["string", "null"],
                "description": "the item as it came, only with `received=true`; null when it was"
                " not kept",
            },
        },
        optional=["received"],
    ),
    "ReportPage": a_page("reports", ref("Report")),
    "Message": an_object(
        {
            "messageId": nullable(TEXT),
            "final": TRUTH,
            "status": nullable(ref("Status")),
            "error": nullable(ref("ReportError")),
            "reports": a_list(ref("Report")),
            # What a dispatch is, whoever dispatches has to say.
            "dispatches": a_list(ref("DispatchWithHistory")),
        }
    ),
    "MessagePage": a_page("messages", ref("Message")),
    "QuarantineEntry": an_object(
        {
            "id": ID,
            "receivedAt": INSTANT,
            "source": TEXT,
            "contentType": nullable(TEXT),
            "size": COUNT,
            "reason": TEXT,
            "place": TEXT,
            "repeats": COUNT,
        }
    ),
    "QuarantinePage": a_page("items", ref("QuarantineEntry")),
    "Counts": an_object(
        {"stored": COUNT, "duplicates": COUNT, "quarantined": COUNT},
        examples=[{"stored": 1, "duplicates": 0, "quarantined": 0}],
    ),
    "Totals": an_object(
        {
            "since": INSTANT,
            "until": INSTANT,
            "bucket": one_of(BUCKETS),
            "behind": {**COUNT, "description": "reports that are not added up yet"},
            "total": an_object(_COUNTS_VIEW),
            "buckets": a_list(an_object({"start": INSTANT, **_COUNTS_VIEW})),
        }
    ),
    "JsonCallback": _of_provider(
        {"results": {"type": ["array", "null"], "items": _ITEM}},
        examples=[{"results": [_EXAMPLE_V2]}],
        required=["results"],
    ),
    "XmlCallback": an_object(
        {
            "results": {
                "type": "array",
                "items": {**ref("ReportV3"), "xml": {"name": "result"}},
                "xml": {"wrapped": True},
            }
        },
        description="the root is `DeliveryReports` (v3) or `reportResponse` (v2), or any other",
        xml={"name": "DeliveryReports"},
    ),
}

# --- routes ------------------------------------------------------------------------------------

_SOME = "ids or names, several with commas"
_SINCE = "from then on; RFC 3339 or the provider's form"
_UNTIL = "before then; RFC 3339 or the provider's form"
_AN_INSTANT: Schema = {"type": "string", "examples": ["2026-11-21T10:00:00Z"]}
_GROUPS: Schema = {"type": "string", "examples": [*GROUP_NUMBERS, "PENDING,DELIVERED"]}

_FINAL = in_query("final", TRUTH, "whether nothing more is to be expected")
_SOURCE = in_query("source", TEXT, "the [[source]] it came from")
_STATUS_GROUP = in_query("statusGroup", _GROUPS, _SOME)
_RECEIVED = in_query("received", TRUTH, "adds each item as it came")

_REPORT_FILTERS = [
    in_query("messageId", TEXT, "exactly this"),
    in_query("bulkId", TEXT, "exactly this"),
    in_query("to", TEXT, "exactly this number"),
    in_query("toPrefix", TEXT, "numbers that begin so"),
    in_query("sender", TEXT, "exactly this, in either generation"),
    in_query("from", TEXT, "another name of `sender`; give one of them"),
    _STATUS_GROUP,
    in_query("status", TEXT, _SOME),
    in_query("error", TEXT, _SOME),
    in_query("permanent", TRUTH, "of the error"),
    _FINAL,
    _SOURCE,
    in_query("callbackData", TEXT, "exactly this"),
    in_query("callbackDataContains", TEXT, "this anywhere in it"),
    in_query("receivedSince", _AN_INSTANT, _SINCE),
    in_query("receivedUntil", _AN_INSTANT, _UNTIL),
    in_query("doneSince", _AN_INSTANT, _SINCE),
    in_query("doneUntil", _AN_INSTANT, _UNTIL),
]

_NOT_THERE = an_error("there is no such thing")

_CALLBACK_BODY: Schema = {
    "required": True,
    "description": "read liberally: no field is required, unknown ones are kept. Any charset;"
    " gzip and deflate by `Content-Encoding`",
    "content": {
        "application/json": {"schema": ref("JsonCallback")},
        "application/xml": {"schema": ref("XmlCallback")},
        "text/xml": {"schema": ref("XmlCallback")},
    },
}


def _callback(name: str) -> Schema:
    return operation(
        name,
        "A callback of the SMS platform. 200 when its reports are on disk",
        (200, as_json("what became of its reports", ref("Counts"))),
        (400, an_error("the body cannot be read; it is kept in quarantine")),
        (401, an_error("not let in", **{"WWW-Authenticate": "the same for every reason"})),
        (404, an_error("there is no such [[source]]")),
        (408, an_error("the body took too long")),
        (413, an_error("too large, or too many reports; with the latter it is kept in quarantine")),
        (415, an_error("neither JSON nor XML, or an unknown charset or coding")),
        body=_CALLBACK_BODY,
    )


_QUARANTINE_ID = in_path("id", ID, "of the entry")
_MESSAGE_ID = in_path("messageId", {"type": "string", "minLength": 1}, "the provider's")

DESCRIBED = Described(
    {
        "/notify": {"post": _callback("notifyDefault")},
        "/notify/{source}": {"post": _callback("notify")},
        "/api/reports": {
            "get": operation(
                "listReports",
                "Reports, newest first. A page can be short, even empty, and still have a `next`",
                (200, as_json("a page", ref("ReportPage"))),
                parameters=[LIMIT, CURSOR, _RECEIVED, *_REPORT_FILTERS],
            )
        },
        "/api/reports/{id}": {
            "get": operation(
                "showReport",
                "One report",
                (200, as_json("the report", ref("Report"))),
                (404, _NOT_THERE),
                parameters=[in_path("id", ID, "of the report, ours"), _RECEIVED],
            )
        },
        "/api/messages": {
            "get": operation(
                "listMessages",
                "Messages, the last heard of first. A page can be short and still have a `next`",
                (200, as_json("a page", ref("MessagePage"))),
                parameters=[LIMIT, CURSOR, _FINAL, _SOURCE, _STATUS_GROUP],
            )
        },
        "/api/messages/{messageId}": {
            "get": operation(
                "showMessage",
                "Where a message stands, its reports and its dispatches",
                (200, as_json("the message", ref("Message"))),
                (404, _NOT_THERE),
                parameters=[_MESSAGE_ID],
            )
        },
        "/api/totals": {
            "get": operation(
                "showTotals",
                "Counts, sums of prices and percentiles of times, by hour or day (UTC)",
                (200, as_json("the totals", ref("Totals"))),
                parameters=[
                    in_query("since", _AN_INSTANT, _SINCE),
                    in_query("until", _AN_INSTANT, _UNTIL),
                    in_query("bucket", {**one_of(BUCKETS), "default": "hour"}, "hour or day"),
                    _SOURCE,
                    _FINAL,
                ],
            )
        },
        "/api/quarantine": {
            "get": operation(
                "listQuarantine",
                "What could not be read, newest first",
                (200, as_json("a page", ref("QuarantinePage"))),
                parameters=[LIMIT, CURSOR],
            )
        },
        "/api/quarantine/{id}": {
            "get": operation(
                "showQuarantined",
                "One entry",
                (200, as_json("the entry", ref("QuarantineEntry"))),
                (404, _NOT_THERE),
                parameters=[_QUARANTINE_ID],
            )
        },
        "/api/quarantine/{id}/body": {
            "get": operation(
                "downloadQuarantined",
                "The bytes of an entry, as they came",
                (
                    200,
                    {
                        "description": "the bytes",
                        "content": {"application/octet-stream": {}},
                        "headers": {"Content-Disposition": {"schema": TEXT}},
                    },
                ),
                (404, _NOT_THERE),
                parameters=[_QUARANTINE_ID],
            )
        },
        "/api/quarantine/{id}/retry": {
            "post": operation(
                "retryQuarantined",
                "Reads an entry again with today's program",
                (200, as_json("what became of it", ref("Counts"))),
                (404, _NOT_THERE),
                parameters=[_QUARANTINE_ID],
            )
        },
        "/healthz": {
            "get": operation(
                "isAlive",
                "The process is alive",
                (200, as_json("it is", an_object({"alive": {"const": True}}))),
            )
        },
        "/readyz": {
            "get": operation(
                "isReady",
                "The process can do its work",
                (200, as_json("it can", an_object({"ready": {"const": True}}))),
                (503, an_error("why it cannot", **{"Retry-After": "seconds"})),
            )
        },
        "/metrics": {
            "get": operation(
                "showMetrics",
                "For Prometheus",
                (200, {"description": "metrics", "content": {"text/plain": {"schema": TEXT}}}),
            )
        },
    },
    _SCHEMAS,
)
