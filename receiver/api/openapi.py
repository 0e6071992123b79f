"""GET /api/openapi.json: the HTTP API in OpenAPI 3.1, and the words in which its parts are written.

A package describes its routes as plain dicts (`Described`): receiver/api/described.py those of
the receiver, dispatcher/api/described.py those of the dispatcher. Bounds and words that the code
has are taken from it. A process shows what its own router has: `dlr dispatch` takes no callbacks,
and so describes none. Which secrets a callback needs is told by the settings.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from aiohttp import web
from msgspec import Struct

from receiver.answers import answer
from receiver.api.parameters import LIMIT_DEFAULT, LIMIT_MAX
from receiver.api.tokens import READING, is_protected
from receiver.settings.settings import ReceiverSettings, SourceSettings

Schema = dict[str, Any]
Operations = dict[str, Schema]
"""By the method in small letters."""


class Described(Struct, frozen=True):
    """Routes, and the schemas that they share. Paths are those of the router, without patterns.

    `schemes` has the credentials that the routes name in a `security` of their own.
    """

    paths: Mapping[str, Operations]
    schemas: Mapping[str, Schema]
    schemes: Mapping[str, Schema] = {}


# --- schemas -----------------------------------------------------------------------------------

TEXT: Schema = {"type": "string"}
TRUTH: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
ID: Schema = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
INTEGER: Schema = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
NUMBER: Schema = {"type": "number"}
INSTANT: Schema = {
    "type": "string",
    "format": "date-time",
    "examples": ["2026-11-21T10:00:00.000Z"],
}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(words: Iterable[str]) -> Schema:
    return {"type": "string", "enum": list(words)}


def a_list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def nullable(schema: Schema) -> Schema:
    """`schema` or null."""
    if "enum" in schema or not isinstance(schema.get("type"), str):
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def an_object(
    properties: Mapping[str, Schema], *, optional: Collection[str] = (), **more: Any
) -> Schema:
    """An object that has all of these properties but the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, **more}


def a_page(name: str, items: Schema) -> Schema:
    """A page of a list under `name`."""
    words = "the cursor of the next page, null after the last"
    following = {"type": ["string", "null"], "description": words}
    return an_object({name: a_list(items), "next": following})


# --- parameters --------------------------------------------------------------------------------


def in_path(name: str, schema: Schema, words: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": words}


def in_query(name: str, schema: Schema, words: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": words}


LIMIT = in_query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
    "the most that a page has",
)


def a_cursor(schema: Schema) -> Schema:
    return in_query("cursor", schema, "`next` of the page before")


CURSOR = a_cursor({"type": "string", "pattern": "^[0-9]{1,18}$"})


# --- answers -----------------------------------------------------------------------------------


def as_json(words: str, schema: Schema) -> Schema:
    """An answer of JSON."""
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def an_error(words: str, **headers: str) -> Schema:
    """An answer in the one shape of errors."""
    shown = {name: {"description": said, "schema": TEXT} for name, said in headers.items()}
    error = as_json(words, ref("Error"))
    return {**error, "headers": shown} if shown else error


RESPONSES: Mapping[str, Schema] = {
    "BadRequest": an_error("a parameter, the body or the whole request cannot be read"),
    "ExpectationFailed": an_error("an `Expect` other than `100-continue`"),
    "HeaderTooLarge": an_error("the request line or a header is too large"),
    "Defect": an_error("a defect of this program; its log tells more"),
    "Unavailable": an_error(
        "stopping, too many connections, or the store cannot be read or written now; nothing was"
        " changed",
        **{"Retry-After": "seconds"},
    ),
    "Unauthorized": an_error(
        "no token, or an unknown one", **{"WWW-Authenticate": "`Bearer` and a realm"}
    ),
    "Forbidden": an_error("the token has the scope `read`, and this takes `operate`"),
}

_ANYWHERE = {
    "400": "BadRequest",
    "417": "ExpectationFailed",
    "431": "HeaderTooLarge",
    "500": "Defect",
    "503": "Unavailable",
}
"""What any request can get, by status."""


def _shared(name: str) -> Schema:
    return {"$ref": f"#/components/responses/{name}"}


def operation(
    name: str,
    summary: str,
    *answers: tuple[int, Schema],
    parameters: Sequence[Schema] = (),
    body: Schema | None = None,
) -> Schema:
    """One method of a path. `name` is its own among all; what any request can get is added."""
    own = {str(status): answered for status, answered in answers}
    shared = {status: _shared(each) for status, each in _ANYWHERE.items() if status not in own}
    made: Schema = {"operationId": name, "summary": summary, "responses": {**own, **shared}}
    if parameters:
        made["parameters"] = list(parameters)
    if body is not None:
        made["requestBody"] = body
    return made


def json_body(schema: Schema, **examples: Any) -> Schema:
    """A body that must be there."""
    shown = {name: {"value": value} for name, value in examples.items()}
    return {
        "required": True,
        "content": {"application/json": {"schema": schema, "examples": shown}},
    }


# --- the document ------------------------------------------------------------------------------

_ABOUT = (
    "Takes delivery reports of an SMS platform, keeps them, and pushes them on.\n\n"
    "Errors have one shape. A path that is not here is 404, a method that a path does not have is"
    " 405 with `Allow`; HEAD is answered wherever GET is."
)


class OpenApi:
    """The route. The document is made once, of the routes that the application then has."""

    def __init__(self, parts: Sequence[Described], settings: ReceiverSettings) -> None:
        self._parts = parts
        self._settings = settings
        self._document: Schema | None = None

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/openapi.json", self.show)

    async def show(self, request: web.Request) -> web.Response:
        if self._document is None:
            self._document = document(self._parts, set(routes(request.app)), self._settings)
        return answer(self._document)


def routes(app: web.Application) -> Iterator[tuple[str, str]]:
    """Method in small letters and path of each route. A pattern is shown without its expression."""
    for route in app.router.routes():
        if route.resource is not None and route.method != "HEAD":
            yield route.method.lower(), re.sub(r":[^}]*}", "}", route.resource.canonical)


def document(
    parts: Sequence[Described], there: Collection[tuple[str, str]], settings: ReceiverSettings
) -> Schema:
    """The description of the routes that are `there`."""
    schemes = {name: each for part in parts for name, each in part.schemes.items()}
    schemes |= _callback_schemes(settings.source)
    if settings.api.token:
        schemes["token"] = {"type": "http", "scheme": "bearer", "description": "an [[api.token]]"}
    paths: dict[str, Operations] = {}
    for path, method, described in _operations(parts):
        if (method, path) in there:
            paths.setdefault(path, {})[method] = _secured(path, method, described, settings)
    return {
        "openapi": "3.1.1",
        "info": {"title": "dlr", "version": version("dlr-relay"), "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": {name: each for part in parts for name, each in part.schemas.items()},
            "responses": dict(RESPONSES),
            "securitySchemes": schemes,
        },
    }


def _operations(parts: Sequence[Described]) -> Iterator[tuple[str, str, Schema]]:
    for part in parts:
        for path, operations in part.paths.items():
            for method, described in operations.items():
                yield path, method, described


def _secured(path: str, method: str, described: Schema, settings: ReceiverSettings) -> Schema:
    """`described` with what it asks for. A callback that names its source needs what that source
    demands; an open one demands nothing."""
    if "security" in described:
        return described
    if path.startswith("/notify"):
        named = "{source}" in path
        sources = [each for each in settings.source if named or each.name == "default"]
        made = {**described, "security": [_demand(each) for each in sources]}
        return _with_sources(made, [each.name for each in sources]) if named else made
    if not is_protected(path) or not settings.api.token:
        return {**described, "security": []}
    refusals = {"401": _shared("Unauthorized")}
    if method.upper() not in READING:
        refusals["403"] = _shared("Forbidden")
    responses = {**described["responses"], **refusals}
    return {**described, "security": [{"token": []}], "responses": responses}


def _with_sources(described: Schema, names: list[str]) -> Schema:
    parameter = in_path("source", one_of(names), "the name of a [[source]]")
    return {**described, "parameters": [parameter]}


def _demand(source: SourceSettings) -> Schema:
    return {name: [] for name in _callback_schemes([source])}


def _callback_schemes(sources: Sequence[SourceSettings]) -> dict[str, Schema]:
    """What the sources demand, by `source-kind`. The demand `allow` is no secret, and not here."""
    return {f"{each.name}-{kind}": scheme for each in sources for kind, scheme in _schemes(each)}


def _schemes(source: SourceSettings) -> Iterator[tuple[str, Schema]]:
    if source.basic is not None:
        yield "basic", {"type": "http", "scheme": "basic"}
    if source.header is not None:
        words = f"after the scheme {source.header.scheme}" if source.header.scheme else "as it is"
        yield "header", _key("header", source.header.name, words)
    if source.query is not None:
        yield "query", _key("query", source.query.parameter, "a token")
    if source.hmac is not None:
        words = f"{source.hmac.algorithm} of the raw body, in {source.hmac.encoding}"
        yield "hmac", _key("header", source.hmac.header, words)
    if source.certificate is not None:
        yield "certificate", {"type": "mutualTLS", "description": "checked by the proxy in front"}


def _key(place: str, name: str, words: str) -> Schema:
    return {"type": "apiKey", "in": place, "name": name, "description": words}
