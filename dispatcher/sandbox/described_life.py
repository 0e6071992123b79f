"""What becomes of messages, as GET /api/openapi.json shows it: pulling, logs, bulks, conversions,
and the routes for test suites. The parameters are made of the tables that read them.
"""

from __future__ import annotations

from typing import Final, get_args

from dispatcher.sandbox.bulks import BulkStatus
from dispatcher.sandbox.bulks_api import MOVED, SET
from dispatcher.sandbox.described import body_of, provider_operation
from dispatcher.sandbox.lifecycle import MessageState
from dispatcher.sandbox.logs_api import LOGS_V1, LOGS_V3
from dispatcher.sandbox.pull_api import REPORTS
from dispatcher.sandbox.wire.shapes import Shape
from dispatcher.settings.sandbox import Distribution, Told
from receiver.api.openapi import (
    COUNT,
    CURSOR,
    INSTANT,
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
    json_body,
    nullable,
    one_of,
    operation,
    ref,
)
from receiver.dlr.statuses import SMS_STATUSES
from receiver.routes import Schema

# --- the provider's ----------------------------------------------------------------------------


def _parameters(shape: Shape) -> list[Schema]:
    return [in_query(each.name, each.rule.schema(), each.rule.words()) for each in shape.fields]


def _reports(version: int) -> Schema:
    return provider_operation(
        f"getSmsV{version}Reports",
        "Reports that nobody is pushed to, each handed out once",
        an_object({"results": a_list(ref("ReportV2" if version == 1 else "ReportV3"))}),
        error="ApiException" if version == 1 else "ApiError",
        parameters=_parameters(REPORTS),
    )


_CURSOR = an_object(
    {"limit": COUNT, "nextCursor": TEXT},
    optional=["nextCursor"],
    description="with useCursor; without nextCursor it was the last page",
)
_LOG_V1: Schema = {
    "type": "object",
    "description": "a report of v2, with the text and without callbackData",
}
_LOG_V3: Schema = {
    "type": "object",
    "description": "a report of v3 with the content and without callbackData; the recipient is"
    " `destination`",
}


def _logs(version: int, answered: Schema, shape: Shape) -> Schema:
    made = provider_operation(
        f"getSmsV{version}Logs",
        "The messages of the last 48 hours, newest first; 120 requests a minute",
        answered,
        error="ApiException" if version == 1 else "ApiError",
        parameters=_parameters(shape),
    )
    error = ref("ApiException" if version == 1 else "ApiError")
    limited = {**as_json("more than 120 requests in a minute", error)}
    return {**made, "responses": {**made["responses"], "429": limited}}


_BULK_ID = {**in_query("bulkId", TEXT, "of the request that sent it"), "required": True}


def _bulks(path: str, name: str, shape: Shape) -> dict[str, dict[str, Schema]]:
    """With a slash behind and without."""
    found = {}
    for slash, suffix in (("", ""), ("/", "WithSlash")):
        get = provider_operation(
            f"get{name}{suffix}",
            "A bulk that was sent",
            ref(f"{name}Response"),
            error="ApiException",
            parameters=[_BULK_ID],
        )
        put = provider_operation(
            f"put{name}{suffix}",
            "Changes what waits of a bulk",
            ref(f"{name}Response"),
            error="ApiException",
            parameters=[_BULK_ID],
            body=body_of(shape.schema()),
        )
        unknown = as_json("there is no such bulk", ref("ApiException"))
        for made in (get, put):
            made["responses"]["404"] = unknown
        found[path + slash] = {"get": get, "put": put}
    return found


def _conversion() -> Schema:
    made = provider_operation(
        "postCtV1LogEnd",
        "The recipient of a message has done what it was sent for",
        an_object({"processKey": TEXT}),
        error="ApiException",
        parameters=[in_path("messageId", TEXT, "of the message")],
    )
    unknown = as_json("there is no such message", ref("ApiException"))
    return {**made, "responses": {**made["responses"], "404": unknown}}


# --- for test suites ---------------------------------------------------------------------------

_MESSAGE: dict[str, Schema] = {
    "messageId": TEXT,
    "bulkId": TEXT,
    "api": one_of(["v1", "v2", "v3"]),
    "to": TEXT,
    "from": nullable(TEXT),
    "text": TEXT,
    "sent": {**TEXT, "description": "the text that goes over the air"},
    "hex": TEXT,
    "dataCoding": COUNT,
    "esmClass": COUNT,
    "parts": COUNT,
    "flash": TRUTH,
    "state": one_of(get_args(MessageState)),
    "status": ref("Status"),
    "error": ref("ReportError"),
    "acceptedAt": INSTANT,
    "leavesAt": nullable(INSTANT),
    "doneAt": nullable(INSTANT),
    "dueAt": nullable(INSTANT),
    "intermediateReport": TRUTH,
    "notifyUrl": nullable({**TEXT, "description": "without user, password and query"}),
    "notifyContentType": TEXT,
    "callbackData": nullable(TEXT),
    "entityId": nullable(TEXT),
    "applicationId": nullable(TEXT),
    "campaignReferenceId": nullable(TEXT),
}
_OF_TEXT = ("text", "sent")
_OF_BINARY = ("hex", "dataCoding", "esmClass")

_RULE: dict[str, Schema] = {
    "to": {**TEXT, "examples": ["4179*"]},
    "sender": TEXT,
    "text": {**TEXT, "description": "a regular expression"},
    "callbackData": {**TEXT, "description": "a regular expression"},
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "status": one_of(dict.fromkeys(SMS_STATUSES.values())),
    "error": {**TEXT, "examples": ["EC_ABSENT_SUBSCRIBER"]},
    "after": {**TEXT, "examples": ["10s"]},
    "distribution": one_of(get_args(Distribution)),
    "told": one_of(get_args(Told)),
    "price": NUMBER,
}

_MESSAGES = operation(
    "getSandboxMessages",
    "What was sent to the sandbox, in its order",
    (200, as_json("a page of it", ref("SandboxMessagePage"))),
    parameters=[
        LIMIT,
        CURSOR,
        *(in_query(name, TEXT, "exactly this") for name in ("messageId", "bulkId", "to")),
    ],
)
_OUTCOMES = operation(
    "postSandboxOutcomes",
    "Adds a rule of outcomes that goes before all others, until a reset",
    (201, as_json("it holds from now on", an_object({"added": {"const": True}}))),
    (400, an_error("it cannot be used; all faults at once")),
    body=json_body(ref("SandboxRule"), expired={"to": "4179*", "status": "EXPIRED_EXPIRED"}),
)
_ADVANCE = operation(
    "postSandboxAdvance",
    "Moves the clock forward; all that is due on the way happens, in order and at its instant",
    (200, as_json("all of it has happened", ref("SandboxAdvanced"))),
    (400, an_error("not a duration, or longer than a year")),
    parameters=[
        {**in_query("by", {**TEXT, "examples": ["1h"]}, "how far"), "required": True},
    ],
)
_RESET = operation(
    "postSandboxReset",
    "Forgets what was sent, and cancels the pushes that wait; reports and clock stay",
    (200, as_json("done", an_object({"now": INSTANT}))),
)

PLAYED: Final = Described(
    {
        "/sms/1/reports": {"get": _reports(1)},
        "/sms/3/reports": {"get": _reports(3)},
        "/sms/1/logs": {"get": _logs(1, ref("SmsLogsResponse"), LOGS_V1)},
        "/sms/3/logs": {"get": _logs(3, ref("LogResponse"), LOGS_V3)},
        **_bulks("/sms/1/bulks", "Bulk", MOVED),
        **_bulks("/sms/1/bulks/status", "BulkStatus", SET),
        "/ct/1/log/end/{messageId}": {"post": _conversion()},
        "/sandbox/messages": {"get": _MESSAGES},
        "/sandbox/outcomes": {"post": _OUTCOMES},
        "/sandbox/advance": {"post": _ADVANCE},
        "/sandbox/reset": {"post": _RESET},
    },
    {
        "SmsLogsResponse": an_object({"results": a_list(_LOG_V1)}),
        "LogResponse": an_object(
            {"results": a_list(_LOG_V3), "cursor": _CURSOR}, optional=["cursor"]
        ),
        "BulkResponse": an_object({"bulkId": TEXT, "sendAt": TEXT}),
        "BulkStatusResponse": an_object({"bulkId": TEXT, "status": one_of(get_args(BulkStatus))}),
        "SandboxMessage": an_object(
            _MESSAGE,
            optional=(*_OF_TEXT, *_OF_BINARY),
            description="with text and sent, or with hex, dataCoding and esmClass",
        ),
        "SandboxMessagePage": a_page("messages", ref("SandboxMessage")),
        "SandboxRule": an_object(_RULE, optional=_RULE, additionalProperties=False),
        "SandboxAdvanced": an_object(
            {"now": INSTANT, "steps": COUNT, "reports": COUNT, "attempts": COUNT},
            description="the instant, and what has happened on the way",
        ),
    },
)
