"""The dispatcher's routes and what goes over them, as GET /api/openapi.json shows them."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from dispatcher.api.endpoint_schema import SettingsSchema
from dispatcher.api.endpoints import CAMEL
from dispatcher.endpoints.from_outside import FILES
from dispatcher.endpoints.registry import Origin
from dispatcher.replay.replay import ReplayState
from dispatcher.replay.request import Body, Selection
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.retrying.outcome import Outcome
from dispatcher.settings.security import SecuritySettings
from dispatcher.settings.settings import EndpointSettings
from receiver.api.openapi import (
    COUNT,
    CURSOR,
    ID,
    INSTANT,
    LIMIT,
    NUMBER,
    TEXT,
    TRUTH,
    Described,
    a_cursor,
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
from receiver.routes import Schema

# --- dispatches --------------------------------------------------------------------------------

_STATE = one_of(get_args(DispatchState))
_DISPATCH_ID: Schema = {"type": "string", "minLength": 1, "examples": ["1f2e3d4c-7"]}

_ATTEMPT: dict[str, Schema] = {
    "number": {"type": "integer", "minimum": 1},
    "startedAt": INSTANT,
    "durationMs": NUMBER,
    "status": {"type": ["integer", "null"], "description": "of HTTP; null: there was no answer"},
    "outcome": one_of(each.value for each in Outcome),
    "error": nullable(TEXT),
}

_DISPATCH: dict[str, Schema] = {
    "id": _DISPATCH_ID,
    "endpoint": TEXT,
    "url": {**TEXT, "description": "without user, password and query"},
    "state": _STATE,
    "attempts": COUNT,
    "createdAt": INSTANT,
    "dueAt": nullable(INSTANT),
    "messageIds": a_list(TEXT),
    "reports": COUNT,
}

_DISPATCHES: dict[str, Schema] = {
    "Dispatch": an_object(_DISPATCH),
    "DispatchPage": a_page("dispatches", ref("Dispatch")),
    "Attempt": an_object(
        {**_ATTEMPT, "answer": {**TEXT, "description": "at most its first KB"}},
    ),
    "DispatchWithHistory": an_object({**_DISPATCH, "history": a_list(ref("Attempt"))}),
    "AttemptEvent": an_object(
        {
            "dispatch": _DISPATCH_ID,
            "endpoint": TEXT,
            **_ATTEMPT,
            "reports": COUNT,
            "state": _STATE,
            "dueAt": nullable(INSTANT),
        },
        description="`state` and `dueAt` are of the dispatch when it is told",
    ),
}

# --- endpoints ---------------------------------------------------------------------------------

_taken = SettingsSchema(CAMEL.__getitem__, {"type": "string", "writeOnly": True})
_shown = SettingsSchema(CAMEL.__getitem__, {"const": "set"})
_NEW = _taken.taken(EndpointSettings, without=FILES)
_NAME = in_path("name", _NEW["properties"]["name"], "its name")


def _change() -> Schema:
    """A merge patch: as an endpoint that is added, but nothing is required."""
    words = "a merge patch (RFC 7396): null is the default"
    return {**_NEW, "required": [], "description": words}


def _endpoint() -> Schema:
    settings = _shown.shown(EndpointSettings)
    security = {
        "type": "object",
        "properties": {"type": _shown.shown(SecuritySettings)["type"]},
        "required": ["type"],
        "additionalProperties": {"const": "set"},
        "description": "of secrets only what is set",
    }
    properties: dict[str, Schema] = {
        **settings,
        "url": {**TEXT, "description": "without user, password and query"},
        "security": security,
        "origin": one_of(get_args(Origin)),
        "changed": a_list(TEXT),
        "paused": TRUTH,
        "faults": a_list(TEXT),
        "dispatches": an_object(dict.fromkeys(get_args(DispatchState), COUNT)),
    }
    return an_object(
        properties,
        optional=settings.keys() - {"name"},
        description="without settings where what is stored of them can no longer be read: then"
        " `faults` says why, and nothing is pushed there",
    )


_ENDPOINTS: dict[str, Schema] = {
    "Endpoint": _endpoint(),
    "EndpointPage": a_page("endpoints", ref("Endpoint")),
    "NewEndpoint": _NEW,
    "EndpointChange": _change(),
    "RemovedEndpoint": an_object({"removed": TEXT, "cancelled": COUNT}),
}

# --- replays -----------------------------------------------------------------------------------


def _of_struct(kind: type, **more: Any) -> Schema:
    """The schema of a struct that goes over the wire as it is."""
    (_, found) = msgspec.json.schema_components([kind])
    schema: Schema = found[kind.__name__]
    return {name: each for name, each in schema.items() if name != "title"} | more


_LEFT_OUT: dict[str, Schema] = {
    "neverDispatched": {**COUNT, "description": "match, but never went anywhere"},
    "endpointsGone": {"type": "object", "additionalProperties": COUNT},
}

_REPLAYS: dict[str, Schema] = {
    "ReplayRequest": _of_struct(
        Body,
        description="at least one filter; at most one of `to` and `toEndpoint`, and of `rate` and"
        " `pace`; `speed` goes with `pace`",
    ),
    "ReplaySelection": _of_struct(Selection),
    "Replay": an_object(
        {
            "id": ID,
            "key": nullable(TEXT),
            "state": one_of(get_args(ReplayState)),
            "createdAt": INSTANT,
            "startedAt": nullable(INSTANT),
            "lastFedAt": nullable(INSTANT),
            "endedAt": nullable(INSTANT),
            "selection": ref("ReplaySelection"),
            "toEndpoint": nullable(TEXT),
            "to": nullable(TEXT),
            "rate": nullable(TEXT),
            "pace": nullable(one_of(["original"])),
            "speed": nullable(NUMBER),
            "stopOnErrors": nullable(NUMBER),
            "total": COUNT,
            "fed": COUNT,
            "acknowledged": COUNT,
            "waiting": COUNT,
            "exhausted": COUNT,
            "cancelled": COUNT,
            "dropped": COUNT,
            "attempts": COUNT,
            "failedAttempts": COUNT,
            "eta": nullable(INSTANT),
            **_LEFT_OUT,
        },
        optional=_LEFT_OUT,
        description="counts are of reports. What is left out is told when it is made",
    ),
    "ReplayPage": a_page("replays", ref("Replay")),
    "DryRun": an_object(
        {
            "dryRun": {"const": True},
            "total": COUNT,
            **_LEFT_OUT,
            "first": a_list(
                an_object(
                    {
                        "report": ID,
                        "endpoint": TEXT,
                        "receivedAt": INSTANT,
                        "source": TEXT,
                        "messageId": nullable(TEXT),
                        "status": nullable(TEXT),
                    }
                )
            ),
        }
    ),
}

# --- routes ------------------------------------------------------------------------------------

_NOT_THERE = an_error("there is no such thing")
_TOO_LARGE = an_error("the body is larger than server.body_limit")
_NOT_FROM_HERE = an_error("its state does not allow that")
_BAD_SETTINGS = an_error("settings that cannot be used; `details.faults` has all of them")

_DISPATCH_IN_PATH = in_path("id", _DISPATCH_ID, "of the dispatch")
_REPLAY_IN_PATH = in_path("id", ID, "of the replay")

_LAST_EVENT: Schema = {
    "type": "string",
    "pattern": r"^[ra][0-9]{1,18}(\.[ra][0-9]{1,18})*$",
    "examples": ["r120.a77"],
}

_EVENTS: Schema = {
    "description": "`event: report` with the data of Report, `event: attempt` with those of"
    " AttemptEvent; a comment every quarter of a minute in which nothing happens",
    "content": {
        "text/event-stream": {
            "schema": TEXT,
            "examples": {
                "attempt": {"value": 'id: r120.a77\nevent: attempt\ndata: {"dispatch":"…"}\n\n'}
            },
        }
    },
}


def _to_endpoint(name: str, summary: str) -> Schema:
    return operation(
        name,
        summary,
        (200, as_json("the endpoint as it is now", ref("Endpoint"))),
        (404, _NOT_THERE),
        parameters=[_NAME],
    )


DESCRIBED = Described(
    {
        "/api/dispatches": {
            "get": operation(
                "listDispatches",
                "Dispatches, newest first",
                (200, as_json("a page", ref("DispatchPage"))),
                parameters=[
                    LIMIT,
                    a_cursor(_DISPATCH_ID),
                    in_query("endpoint", TEXT, "where they go"),
                    in_query("state", _STATE, "how they stand"),
                ],
            )
        },
        "/api/dispatches/{id}": {
            "get": operation(
                "showDispatch",
                "One dispatch with its attempts",
                (200, as_json("the dispatch", ref("DispatchWithHistory"))),
                (404, _NOT_THERE),
                parameters=[_DISPATCH_IN_PATH],
            )
        },
        "/api/dispatches/{id}/cancel": {
            "post": operation(
                "cancelDispatch",
                "From waiting to cancelled",
                (200, as_json("the dispatch as it is now", ref("DispatchWithHistory"))),
                (404, _NOT_THERE),
                (409, _NOT_FROM_HERE),
                parameters=[_DISPATCH_IN_PATH],
            )
        },
        "/api/unrouted": {
            "get": operation(
                "listUnrouted",
                "Reports that go nowhere, newest first. A page can be short and still have a"
                " `next`",
                (200, as_json("a page", ref("UnroutedPage"))),
                parameters=[LIMIT, CURSOR],
            )
        },
        "/api/endpoints": {
            "get": operation(
                "listEndpoints",
                "The endpoints, and how many dispatches each has in each state",
                (200, as_json("a page", ref("EndpointPage"))),
                parameters=[LIMIT, a_cursor(TEXT)],
            ),
            "post": operation(
                "addEndpoint",
                "Adds an endpoint. The addresses that its URLs lead to are checked",
                (201, as_json("the endpoint", ref("Endpoint"))),
                (400, _BAD_SETTINGS),
                (409, an_error("there is one of this name already")),
                (413, _TOO_LARGE),
                body=json_body(
                    ref("NewEndpoint"),
                    webhook={"name": "acme", "url": "https://acme.example/dlr", "window": 5},
                ),
            ),
        },
        "/api/endpoints/{name}": {
            "get": _to_endpoint("showEndpoint", "One endpoint with every setting"),
            "patch": operation(
                "changeEndpoint",
                "Changes some settings",
                (200, as_json("the endpoint as it is now", ref("Endpoint"))),
                (400, _BAD_SETTINGS),
                (404, _NOT_THERE),
                (413, _TOO_LARGE),
                parameters=[_NAME],
                body=json_body(ref("EndpointChange"), narrower={"window": 5, "rateLimit": None}),
            ),
            "delete": operation(
                "removeEndpoint",
                "Takes it out; what waits for it is cancelled",
                (200, as_json("what was done", ref("RemovedEndpoint"))),
                (404, _NOT_THERE),
                parameters=[_NAME],
            ),
        },
        "/api/endpoints/{name}/pause": {
            "post": _to_endpoint("pauseEndpoint", "Holds its dispatches")
        },
        "/api/endpoints/{name}/resume": {
            "post": _to_endpoint("resumeEndpoint", "Lets its dispatches go on")
        },
        "/api/endpoints/{name}/reset": {
            "post": _to_endpoint("resetEndpoint", "Gives it back to the settings file")
        },
        "/api/replays": {
            "get": operation(
                "listReplays",
                "Replays, newest first",
                (200, as_json("a page", ref("ReplayPage"))),
                parameters=[LIMIT, CURSOR],
            ),
            "post": operation(
                "makeReplay",
                "Dispatches stored reports again",
                (
                    200,
                    as_json(
                        "there is one with this `key`; or, with `dryRun`, what it would be",
                        {"anyOf": [ref("Replay"), ref("DryRun")]},
                    ),
                ),
                (201, as_json("the replay", ref("Replay"))),
                (413, _TOO_LARGE),
                body=json_body(
                    ref("ReplayRequest"),
                    exhausted={"state": "exhausted", "since": "2026-11-21T14:00:00+01:00"},
                    elsewhere={"ids": [1], "to": "https://acme.example/dlr", "rate": "50/s"},
                ),
            ),
        },
        "/api/replays/{id}": {
            "get": operation(
                "showReplay",
                "How far a replay is",
                (200, as_json("the replay", ref("Replay"))),
                (404, _NOT_THERE),
                parameters=[_REPLAY_IN_PATH],
            )
        },
        "/api/replays/{id}/cancel": {
            "post": operation(
                "cancelReplay",
                "Nothing more of it is sent",
                (200, as_json("the replay as it is now", ref("Replay"))),
                (404, _NOT_THERE),
                (409, _NOT_FROM_HERE),
                parameters=[_REPLAY_IN_PATH],
            )
        },
        "/api/events": {
            "get": operation(
                "followEvents",
                "Reports and attempts as they happen, as server-sent events",
                (200, _EVENTS),
                parameters=[
                    in_query("types", TEXT, "`report`, `attempt`, or both with a comma"),
                    in_query("source", TEXT, "reports of this [[source]] only"),
                    in_query("endpoint", TEXT, "attempts to this endpoint only"),
                    {
                        "name": "Last-Event-ID",
                        "in": "header",
                        "schema": _LAST_EVENT,
                        "description": "the id of the last event that was seen: goes on behind it",
                    },
                ],
            )
        },
    },
    {
        **_DISPATCHES,
        **_ENDPOINTS,
        **_REPLAYS,
        "UnroutedPage": an_object(
            {
                **a_page("reports", ref("Report"))["properties"],
                "readTo": {**ID, "description": "those behind it are not judged yet"},
                "forgottenTo": {**ID, "description": "those up to it are not judged any more"},
            }
        ),
    },
)
