"""The provider's send API as GET /api/openapi.json shows it: made of the tables that read it.

`provider_operation` and what is above it serve the other routes of the provider too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dispatcher.sandbox.send_api import POSTED, PREVIEW, QUERIED, Endpoint
from dispatcher.sandbox.wire import preview
from dispatcher.sandbox.wire.shapes import Shape
from receiver.api.openapi import (
    COUNT,
    TEXT,
    Described,
    a_list,
    an_object,
    in_query,
    operation,
    ref,
)
from receiver.routes import Schema

# --- credentials and errors ----------------------------------------------------------------------


def _header(words: str) -> Schema:
    return {"type": "apiKey", "in": "header", "name": "Authorization", "description": words}


SCHEMES: Final[dict[str, Schema]] = {
    "sandbox-basic": {"type": "http", "scheme": "basic"},
    "sandbox-bearer": {"type": "http", "scheme": "bearer"},
    "sandbox-app": _header("`App` and an API key"),
    "sandbox-ibsso": _header("`IBSSO` and a token"),
}

_SECURITY: Final[list[dict[str, list[str]]]] = [{name: []} for name in SCHEMES]

_VIOLATION = an_object({"property": TEXT, "violation": TEXT})

SCHEMAS: Final[dict[str, Schema]] = {
    "ApiException": an_object(
        {
            "requestError": an_object(
                {
                    "serviceException": an_object(
                        {
                            "messageId": TEXT,
                            "text": TEXT,
                            "validationErrors": {
                                "type": "object",
                                "additionalProperties": a_list(TEXT),
                            },
                        },
                        optional=["validationErrors"],
                    )
                }
            )
        },
        description="an error of v1 and v2",
    ),
    "ApiError": an_object(
        {
            "errorCode": TEXT,
            "description": TEXT,
            "action": TEXT,
            "violations": a_list(_VIOLATION),
            "resources": a_list(an_object({"name": TEXT, "url": TEXT})),
        },
        description="an error of v3",
    ),
}

_REFUSALS: Final = {
    400: "cannot be read, or does not fit; all faults at once",
    401: "credentials are missing, malformed or unknown",
    403: "the credentials lack the scope",
    408: "the body took too long",
    413: "the body is too large",
    415: "neither JSON nor XML, or an unknown charset or coding",
    500: "a defect of this program; its log tells more",
    503: "the store cannot be written; nothing was accepted",
}

_OF_BODIES: Final = (408, 413, 415)

_OF_THE_SERVER: Final = (400, 503)
"""Also told by what listens, which knows no provider: no HTTP at all, or too many connections."""


def in_both_formats(words: str, schema: Schema) -> Schema:
    """An answer in JSON or XML."""
    content = {"application/json": {"schema": schema}, "application/xml": {"schema": {}}}
    return {"description": words, "content": content}


def provider_operation(
    name: str,
    summary: str,
    answered: Schema,
    *,
    error: str,
    parameters: Sequence[Schema] = (),
    body: Schema | None = None,
    security: Sequence[dict[str, list[str]]] = _SECURITY,
) -> Schema:
    """A route of the provider's API: 200 with `answered`, and refusals of the shape `error`,
    ApiException or ApiError."""
    shapes = {status: {"anyOf": [ref(error), ref("Error")]} for status in _OF_THE_SERVER}
    refusals = [
        (status, in_both_formats(words, shapes.get(status, ref(error))))
        for status, words in _REFUSALS.items()
        if body is not None or status not in _OF_BODIES
    ]
    accepted = (200, in_both_formats("accepted", answered))
    made = operation(name, summary, accepted, *refusals, parameters=parameters, body=body)
    return {**made, "security": list(security)}


def body_of(schema: Schema) -> Schema:
    """A body in JSON or XML."""
    kinds = ("application/json", "application/xml")
    return {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}


# --- sending -------------------------------------------------------------------------------------

_REPLIES: Final[dict[str, Schema]] = {
    "SmsResponse": an_object(
        {
            "bulkId": TEXT,
            "trackingProcessKey": TEXT,
            "messages": a_list(
                an_object(
                    {"to": TEXT, "status": ref("Status"), "smsCount": COUNT, "messageId": TEXT},
                    optional=["smsCount"],
                )
            ),
        },
        optional=["bulkId", "trackingProcessKey"],
        description="in XML `smsResponse`",
    ),
    "SmsResponseEnvelope": an_object(
        {
            "bulkId": TEXT,
            "messages": a_list(
                an_object(
                    {
                        "messageId": TEXT,
                        "status": ref("Status"),
                        "destination": TEXT,
                        "details": an_object({"messageCount": COUNT}),
                    },
                    optional=["details"],
                )
            ),
        }
    ),
    "PreviewResponse": an_object(
        {
            "originalText": TEXT,
            "previews": a_list(
                an_object(
                    {
                        "textPreview": TEXT,
                        "messageCount": COUNT,
                        "charactersRemaining": COUNT,
                        "configuration": an_object(
                            {
                                "language": an_object({"languageCode": TEXT}),
                                "transliteration": TEXT,
                            },
                            optional=["language", "transliteration"],
                        ),
                    }
                )
            ),
        }
    ),
}


def _name(path: str) -> str:
    """`/sms/1/text/single` is `SmsV1TextSingle`."""
    _, first, version, *rest = path.replace(".", "/").split("/")
    return "".join([first.title(), f"V{version}", *(word.title() for word in rest)])


def _answered(endpoint: Endpoint) -> tuple[Schema, str]:
    if endpoint.api == "v3":
        return ref("SmsResponseEnvelope"), "ApiError"
    return ref("SmsResponse"), "ApiException"


def _posted(endpoint: Endpoint) -> Schema:
    answered, error = _answered(endpoint)
    body = body_of(ref(_name(endpoint.path)))
    return provider_operation(
        f"post{_name(endpoint.path)}", "Sends SMS", answered, error=error, body=body
    )


def _queried(endpoint: Endpoint) -> Schema:
    answered, error = _answered(endpoint)
    return provider_operation(
        f"get{_name(endpoint.path)}",
        "Sends SMS by the parameters of a query; username and password may be among them",
        answered,
        error=error,
        parameters=[*_parameters(endpoint.shape), *_LOGIN],
        security=[*_SECURITY, {}],
    )


def _parameters(shape: Shape) -> list[Schema]:
    return [
        {**in_query(each.name, each.rule.schema(), each.rule.words()), "required": each.required}
        for each in shape.fields
    ]


_LOGIN = [in_query(name, TEXT, "instead of a header") for name in ("username", "password")]

_PREVIEW: Schema = provider_operation(
    f"post{_name(PREVIEW)}",
    "How a text will look, and how many messages it will be",
    ref("PreviewResponse"),
    error="ApiException",
    body=body_of(ref(_name(PREVIEW))),
)

_REQUESTS: dict[str, Any] = {
    **{_name(endpoint.path): endpoint.shape.schema() for endpoint in POSTED},
    _name(PREVIEW): preview.REQUEST.schema(),
}

SENDING: Final = Described(
    {
        **{endpoint.path: {"post": _posted(endpoint)} for endpoint in POSTED},
        **{endpoint.path: {"get": _queried(endpoint)} for endpoint in QUERIED},
        PREVIEW: {"post": _PREVIEW},
    },
    {**SCHEMAS, **_REPLIES, **_REQUESTS},
    SCHEMES,
)

DESCRIBED: Final[Sequence[Described]] = [SENDING]
"""Everything that `dlr sandbox` adds."""
