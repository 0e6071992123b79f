"""A route of the HTTP API: its method, path and handler, and what is said of it to clients.

`@Route(...)` over a handler says all of it. `add_routes` adds the handlers of an object to an
application, `add_route` one that is made from a table; receiver/api/openapi.py describes what it
finds there. So there is no description without a route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeVar

from msgspec import Struct

from receiver.answers import Handler, web

Schema = dict[str, Any]
"""A JSON Schema as OpenAPI 3.1 has it."""


def called(name: str) -> str:
    """The name of a Struct for clients: that of its class, without `Answer` at the end."""
    return name.removesuffix("Answer")


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


Shape = object
"""What goes over the wire: a msgspec Struct, or any other type that msgspec can describe; a tuple
of them, of which it is one; or a Schema where there is no type."""


def any_text(name: str) -> str:
    """A part of a path that others have chosen, such as a messageId: any text, with line breaks,
    braces and slashes (a client sends these percent-encoded)."""
    return f"{{{name}:(?s:.+)}}"


F = TypeVar("F", bound=Callable[..., Any])

Place = Literal["query", "path", "header"]


class Parameter(Struct, frozen=True):
    """What a client may say outside the body. `words` is for people."""

    name: str
    shape: Shape
    words: str
    place: Place = "query"
    required: bool = False


class RequestBody(Struct, frozen=True):
    """A request's body, which must be there. `json` is what it holds as application/json, `others`
    what it holds as other media types."""

    json: Shape | None = None
    others: Mapping[str, Shape | None] = {}
    words: str = ""
    examples: Mapping[str, Any] = {}


class Reply(Struct, frozen=True):
    """One answer. `json` is its body as application/json, `others` that as other media types
    (`None`: bytes). `headers` are the ones that belong to it, with what stands in them."""

    words: str
    json: Shape | None = None
    others: Mapping[str, Shape | None] = {}
    headers: Mapping[str, str] = {}


NOT_THERE = "Not found"
"""What is said of a 404."""

AMBIGUOUS = "Several sources have a message with this id, and the request does not name one of them"
"""What is said of a 409 with the code `ambiguous`."""


class SecurityRequirement(Struct, frozen=True):
    """Which credentials a route asks for: one of these, by name, each as OpenAPI's security scheme.
    `needed` False: it goes without them too."""

    schemes: Mapping[str, Schema]
    needed: bool = True


Caller = Literal["operator", "page", "visitor", "platform", "tester", "app", "recipient", "probe"]
"""For whom a route is, which decides what is asked of a request (api/browser.py): for the operator,
by a program or through a page; for whoever is about to sign in to the pages; for the SMS platform,
which posts callbacks; for a test suite that drives a sandbox; for the app that uses the sandbox's
send API; for whoever got an SMS of it and follows a link; for whoever asks whether the process is
well."""


class Route(Struct, frozen=True):
    """What is said of one method of a path.

    `name` is its own among all. `replies` are by status; a text stands for the one shape of errors
    (ErrorAnswer). What any request can get is not named. `also` are the types of what it
    tells inside a text. `credentials` None: those of its part of the API. `head` False: HEAD is not
    answered, because asking has an effect.
    """

    method: str
    path: str
    name: str
    summary: str
    replies: Mapping[int, Reply | str]
    parameters: Sequence[Parameter] = ()
    body: RequestBody | None = None
    also: Sequence[type] = ()
    credentials: SecurityRequirement | None = None
    head: bool = True
    caller: Caller = "operator"

    def __call__(self, handler: F) -> F:
        """As a decorator of a method: `add_routes` adds it."""
        handler.__dict__["route"] = self
        return handler


def routes_of(app: web.Application) -> Sequence[Route]:
    """All routes of an application that were added here."""
    return app.get(_keys()[0], ())


def routes_by_handler(app: web.Application) -> Mapping[Handler, Route]:
    """They again, also those that will be added: of several with one handler, one."""
    found: dict[Handler, Route] = app.setdefault(_keys()[1], {})
    return found


@cache
def _keys() -> tuple[web.AppKey[list[Route]], web.AppKey[dict[Handler, Route]]]:
    """Under which an application keeps its routes: as they were added, and by handler."""
    return web.AppKey("described", list[Route]), web.AppKey("route_of", dict[Handler, Route])


def add_routes(app: web.Application, *objects: object) -> None:
    """Add what these objects have of methods with a route, in the order in which they are
    written."""
    for each in objects:
        for name, method in vars(type(each)).items():
            if (described := getattr(method, "route", None)) is not None:
                add_route(app, described, getattr(each, name))


def add_route(app: web.Application, described: Route, handler: Handler) -> None:
    """Add one. GET answers HEAD too, unless it is said otherwise."""
    if described.method == "GET":
        app.router.add_get(described.path, handler, allow_head=described.head)
    else:
        app.router.add_route(described.method, described.path, handler)
    added, by_handler = _keys()
    app.setdefault(added, []).append(described)
    app.setdefault(by_handler, {})[handler] = described
