"""What clients are told of the provider's routes beyond what their tables and the Structs of their
answers say: credentials, refusals, both formats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dispatcher.sandbox.errors import ApiError, ApiException, generation
from dispatcher.sandbox.wire.examples import EXAMPLES
from dispatcher.sandbox.wire.tables import Table
from receiver.answers import ErrorAnswer
from receiver.routes import Parameter, Reply, RequestBody, Route, Schema, SecurityRequirement, Shape


def _header(words: str) -> Schema:
    return {"type": "apiKey", "in": "header", "name": "Authorization", "description": words}


CREDENTIALS: Final = SecurityRequirement(
    {
        "sandbox-basic": {"type": "http", "scheme": "basic"},
        "sandbox-bearer": {"type": "http", "scheme": "bearer"},
        "sandbox-app": _header("`App` and an API key"),
        "sandbox-ibsso": _header("`IBSSO` and a token"),
    }
)

LOGIN: Final = [Parameter(name, str, "Instead of a header") for name in ("username", "password")]
"""Of a route that takes credentials in its query too."""

_REFUSALS: Final = {
    400: "The request cannot be read or is invalid; all faults are listed",
    401: "The credentials are missing, malformed or unknown",
    403: "The credentials lack the scope, or a page of another site made the request",
    408: "The body did not arrive in time",
    413: "The body is too large",
    415: "Neither JSON nor XML, or an unknown charset or content coding",
    421: (
        "There is no [[sandbox.credential]], and `Host` is not a name of this server (see"
        " server.hosts)"
    ),
    500: "An internal error; see the log of dlr",
    503: "The store cannot be written; nothing was accepted",
}

_OF_BODIES: Final = (408, 413, 415)

_OF_THE_SERVER: Final = (400, 403, 421, 503)
"""Also told by what listens, which knows no provider: no HTTP at all, too many connections, or a
page of another site."""


def provider_route(
    method: str,
    path: str,
    name: str,
    summary: str,
    answered: Shape,
    *,
    parameters: Sequence[Parameter] = (),
    body: Schema | None = None,
    refusals: Mapping[int, str] = {},
    login: bool = False,
    head: bool = True,
) -> Route:
    """A route of the provider's API: 200 with `answered`, and errors in the shape of its
    generation; `refusals` are those of its own. `login`: credentials may be in the query."""
    error: type = ApiError if generation(path) == "v3" else ApiException
    usual = {
        status: _in_both(words, (error, ErrorAnswer) if status in _OF_THE_SERVER else error)
        for status, words in _REFUSALS.items()
        if body is not None or status not in _OF_BODIES
    }
    own = {status: _in_both(words, error) for status, words in refusals.items()}
    return Route(
        method,
        path,
        name,
        summary,
        {200: _in_both("accepted", answered), **usual, **own},
        parameters=[*parameters, *LOGIN] if login else parameters,
        body=None if body is None else _body(path, body),
        credentials=SecurityRequirement(CREDENTIALS.schemes, needed=not login),
        head=head,
        caller="app",
    )


def _body(path: str, body: Schema) -> RequestBody:
    examples = {"a request": EXAMPLES[path]} if path in EXAMPLES else {}
    return RequestBody(body, {"application/xml": body}, examples=examples)


def _in_both(words: str, shape: Shape) -> Reply:
    """An answer in JSON or XML."""
    return Reply(words, shape, {"application/xml": {}})


def parameters_of(table: Table) -> list[Parameter]:
    """The parameters of a query string that the table reads."""
    return [
        Parameter(each.name, each.rule.schema(), each.rule.words(), required=each.required)
        for each in table.fields
    ]
