"""GET /api/openapi.json: the HTTP API in OpenAPI 3.1, made of the routes that the process has.

What is said of a route stands over its handler (receiver/routes.py), and what goes over the wire
is a msgspec Struct: the same that is encoded. Docstrings of Structs and the `Meta` of their fields
are the words for clients. `dlr dispatch` takes no callbacks, and so describes none. Which secrets
a callback needs is told by the settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from inspect import cleandoc
from typing import Any

import msgspec
from aiohttp import web

from receiver.answers import ErrorAnswer, answer
from receiver.api.tokens import READING, is_protected
from receiver.routes import (
    Parameter,
    Reply,
    RequestBody,
    Route,
    Schema,
    Shape,
    called,
    routes_of,
)
from receiver.settings.settings import ReceiverSettings, SourceSettings


class Schemas:
    """The schemas that a document refers to by name, found as it is written.

    A Struct has the name of its class (routes.called). `named` are those that have no class; one of
    them is in the document when something refers to it.
    """

    def __init__(self, named: Mapping[str, Shape]) -> None:
        self.found: dict[str, Schema] = {}
        self._named = named

    def of(self, shape: Shape) -> Schema:
        """The schema of what goes over the wire."""
        if isinstance(shape, dict):
            return shape
        if isinstance(shape, tuple):
            return {"anyOf": [self.of(each) for each in shape]}
        (made,), parts = msgspec.json.schema_components(
            [shape], ref_template="#/components/schemas/{name}"
        )
        for name, part in parts.items():
            told = _in_our_form(part)
            assert self.found.setdefault(called(name), told) == told, f"two types called {name}"
        schema: Schema = _in_our_form(made)
        return schema

    def complete(self, document: Any) -> dict[str, Schema]:
        """All that `document`, and what it refers to, refers to by name."""
        sought = _references([document, self.found])
        while missing := [name for name in sought if name not in self.found]:
            for name in missing:
                self.found[name] = self.of(self._named[name])
            sought = _references(self.found)
        return self.found


def _references(part: Any) -> set[str]:
    written = msgspec.json.encode(part).decode()
    return set(re.findall(r'"#/components/schemas/([^"]+)"', written))


def _in_our_form(part: Any) -> Any:
    """What msgspec says of a type, as our answers are and clients read it."""
    if isinstance(part, list):
        return [_in_our_form(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {name: _in_our_form(each) for name, each in part.items()}
    if isinstance(made.get("title"), str):
        del made["title"]
    if isinstance(made.get("$ref"), str):
        made["$ref"] = called(made["$ref"])
    if isinstance(made.get("description"), str):
        made["description"] = " ".join(cleandoc(made["description"]).split())
    return _nullable(_scalar(made))


def _scalar(schema: Schema) -> Schema:
    """Decimals are written as numbers; what a `Literal` of texts names are texts."""
    if schema.get("format") == "decimal":
        schema = {**schema, "type": "number"}
        del schema["format"]
    match schema.get("enum"):
        case [str(), *_]:
            schema = {"type": "string", **schema}
    return schema


def _nullable(schema: Schema) -> Schema:
    """`type: [string, null]`, where null needs no alternative of its own."""
    match schema.get("anyOf"):
        case [{"type": str(plain)} as other, {"type": "null"}] if not {"enum", "$ref"} & {*other}:
            rest = {name: each for name, each in schema.items() if name != "anyOf"}
            return {**other, **rest, "type": [plain, "null"]}
    return schema


# --- operations ----------------------------------------------------------------------------------


_ANYWHERE = {
    "400": "BadRequest",
    "417": "ExpectationFailed",
    "431": "HeaderTooLarge",
    "500": "Defect",
    "503": "Unavailable",
}
"""What any request can get, by status."""

_COMMON: Mapping[str, Reply | str] = {
    "BadRequest": "A parameter, the body or the whole request is invalid",
    "ExpectationFailed": "`Expect` has a value other than `100-continue`",
    "HeaderTooLarge": "The request line or a header is too large",
    "Defect": "An internal error; see the log of dlr",
    "Unavailable": Reply(
        "The process is stopping, has too many connections, or cannot read or write its store."
        " Nothing was changed",
        ErrorAnswer,
        headers={"Retry-After": "seconds"},
    ),
    "Unauthorized": Reply(
        "The token is missing or unknown",
        ErrorAnswer,
        headers={"WWW-Authenticate": "`Bearer` and a realm"},
    ),
    "Forbidden": "The token has the scope `read` and the request needs `operate`; or a page of"
    " another site made the request",
    "NotJson": "The Content-Type is not application/json",
    "Misdirected": (
        "The API has no tokens, and `Host` is not a name of this server (see server.hosts)"
    ),
}


def _operation(said: Route, schemas: Schemas) -> Schema:
    own = {str(status): _reply(each, schemas) for status, each in said.replies.items()}
    common = {status: _shared(each) for status, each in _ANYWHERE.items() if status not in own}
    made: Schema = {
        "operationId": said.name,
        "summary": said.summary,
        "responses": {**own, **common},
    }
    if said.parameters:
        made["parameters"] = [_parameter(each, schemas) for each in said.parameters]
    if said.body is not None:
        made["requestBody"] = _body(said.body, schemas)
    for each in said.also:
        schemas.of(each)
    return made


def _shared(name: str) -> Schema:
    return {"$ref": f"#/components/responses/{name}"}


def _parameter(said: Parameter, schemas: Schemas) -> Schema:
    made: Schema = {
        "name": said.name,
        "in": said.place,
        "schema": schemas.of(said.shape),
        "description": said.words,
    }
    return {**made, "required": True} if said.required else made


def _reply(said: Reply | str, schemas: Schemas) -> Schema:
    if isinstance(said, str):
        said = Reply(said, ErrorAnswer)
    made: Schema = {"description": said.words, "content": _content(said, schemas)}
    if said.headers:
        made["headers"] = {
            name: {"description": words, "schema": {"type": "string"}}
            for name, words in said.headers.items()
        }
    return made


def _body(said: RequestBody, schemas: Schemas) -> Schema:
    made: Schema = {"required": True, "content": _content(said, schemas)}
    if said.words:
        made["description"] = said.words
    if said.examples:
        examples = {name: {"value": value} for name, value in said.examples.items()}
        made["content"]["application/json"]["examples"] = examples
    return made


def _content(said: Reply | RequestBody, schemas: Schemas) -> Schema:
    shapes = {} if said.json is None else {"application/json": said.json}
    return {
        media: {} if shape is None else {"schema": schemas.of(shape)}
        for media, shape in {**shapes, **said.others}.items()
    }


# --- the document ------------------------------------------------------------------------------

_ABOUT = (
    "Receives the delivery reports of an SMS platform, stores them and pushes them to your"
    " customers' endpoints. All errors have the same shape. An unknown path is answered 404,"
    " and a method that a path does not have is answered 405 with `Allow`. HEAD works wherever"
    " GET does."
)


class OpenApi:
    """The route. The document is made once, of the routes that the application then has.

    `named` are the schemas that have no type (`Schemas`).
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        named: Mapping[str, Shape],
    ) -> None:
        self._settings = settings
        self._named = named
        self._document: Schema | None = None

    @Route(
        "GET",
        "/api/openapi.json",
        "showOpenApi",
        "This document",
        {200: Reply("OpenAPI 3.1", {"type": "object"})},
    )
    async def show(self, request: web.Request) -> web.Response:
        servers = [{"url": str(request.url.origin())}]  # as whoever asks has called it
        return answer({**self.of(request.app), "servers": servers})

    def of(self, app: web.Application) -> Schema:
        """The document, but for its servers."""
        if self._document is None:
            self._document = document(app, self._settings, self._named)
        return self._document


def _plain(path: str) -> str:
    """A pattern is shown without its expression."""
    return re.sub(r":[^}]*}", "}", path)


def document(
    app: web.Application, settings: ReceiverSettings, named: Mapping[str, Shape]
) -> Schema:
    """The description of the routes that `app` has."""
    schemas = Schemas(named)
    said = [each for each in routes_of(app) if each.caller not in ("page", "visitor")]
    paths: dict[str, dict[str, Schema]] = {}
    for each in said:
        operation = _secured(each, _guarded(each, _operation(each, schemas), settings), settings)
        paths.setdefault(_plain(each.path), {})[each.method.lower()] = operation
    responses = {name: _reply(each, schemas) for name, each in _COMMON.items()}
    return {
        "openapi": "3.1.1",
        "info": {"title": "dlr", "version": version("dlr-relay"), "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas.complete([paths, responses]),
            "responses": responses,
            "securitySchemes": _schemes(said, settings),
        },
    }


def _schemes(said: Iterable[Route], settings: ReceiverSettings) -> dict[str, Schema]:
    """Every kind of credentials that is asked for."""
    schemes = _callback_schemes(settings.source)
    if settings.api.token:
        schemes["token"] = {"type": "http", "scheme": "bearer", "description": "an [[api.token]]"}
    for each in said:
        if each.credentials is not None:
            schemes |= each.credentials.schemes
    return schemes


def _guarded(said: Route, operation: Schema, settings: ReceiverSettings) -> Schema:
    """`operation` with what it answers to pages of other sites (api/browser.py)."""
    if said.caller not in ("operator", "tester"):
        return operation
    refusals = {} if settings.api.token else {"421": _shared("Misdirected")}
    if said.method not in READING:
        refusals["403"] = _shared("Forbidden")
        if said.body is not None:
            refusals["415"] = _shared("NotJson")
    return {**operation, "responses": {**operation["responses"], **refusals}}


def _secured(said: Route, operation: Schema, settings: ReceiverSettings) -> Schema:
    """`operation` with what it asks for. A callback that names its source needs what that source
    demands; an open one demands nothing."""
    if said.credentials is not None:
        any_of: list[Schema] = [{name: []} for name in said.credentials.schemes]
        return {**operation, "security": any_of if said.credentials.needed else [*any_of, {}]}
    if said.path.startswith("/notify"):
        return _callback(said, operation, settings)
    if not is_protected(said.path, settings.api) or not settings.api.token:
        return {**operation, "security": []}
    refusals = {"401": _shared("Unauthorized")}
    responses = {**operation["responses"], **refusals}
    return {**operation, "security": [{"token": []}], "responses": responses}


def _callback(said: Route, operation: Schema, settings: ReceiverSettings) -> Schema:
    named = "{source}" in said.path
    sources = [each for each in settings.source if named or each.name == "default"]
    made = {**operation, "security": [_demand(each) for each in sources]}
    if not named:
        return made
    source = {
        "name": "source",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": [each.name for each in sources]},
        "description": "The name of a source in the settings",
    }
    return {**made, "parameters": [source]}


def _demand(source: SourceSettings) -> Schema:
    return {name: [] for name in _callback_schemes([source])}


def _callback_schemes(sources: Sequence[SourceSettings]) -> dict[str, Schema]:
    """What the sources demand, by `source-kind`. The demand `allow` is no secret, and not here."""
    return {f"{each.name}-{kind}": scheme for each in sources for kind, scheme in _demanded(each)}


def _demanded(source: SourceSettings) -> Iterator[tuple[str, Schema]]:
    if source.basic is not None:
        yield "basic", {"type": "http", "scheme": "basic"}
    if source.header is not None:
        words = f"After the scheme {source.header.scheme}" if source.header.scheme else "As it is"
        yield "header", _key("header", source.header.name, words)
    if source.query is not None:
        yield "query", _key("query", source.query.parameter, "a token")
    if source.hmac is not None:
        words = f"{source.hmac.algorithm} of the raw body, in {source.hmac.encoding}"
        yield "hmac", _key("header", source.hmac.header, words)
    if source.certificate is not None:
        yield (
            "certificate",
            {"type": "mutualTLS", "description": "Checked by the proxy in front of dlr"},
        )


def _key(place: str, name: str, words: str) -> Schema:
    return {"type": "apiKey", "in": place, "name": name, "description": words}
