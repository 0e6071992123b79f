"""The routes under /api that concern endpoints: what there is, and changes at run time.

Settings have the keys of [[endpoint]] in the settings file, written in camelCase as everywhere in
the API. Secrets go in and never come out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from dispatcher.api.settings_types import SettingsTypes, told_type
from dispatcher.endpoints.from_outside import FILES
from dispatcher.endpoints.registry import (
    EndpointExists,
    Origin,
    Registered,
    Registry,
    UnknownEndpoint,
)
from dispatcher.queue.base import DispatchQueue
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.settings.security import SecuritySettings, TlsSettings
from dispatcher.settings.settings import EndpointSettings, OutcomeSettings
from receiver.answers import BadQuery, Count, Next, answer, fault
from receiver.api.parameters import (
    LIMIT,
    LIMIT_DEFAULT,
    TEXT,
    cursor,
    in_path,
    in_query,
    read_query,
)
from receiver.faults import without_credentials
from receiver.routes import Body, Reply, Route, Schema, add_routes
from receiver.settings.configuration import ConfigurationError
from receiver.settings.settings import Name
from receiver.settings.writing import as_table

# --- names -------------------------------------------------------------------------------------


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


CAMEL = {
    each.name: _camel(each.name)
    for kind in (EndpointSettings, OutcomeSettings, SecuritySettings, TlsSettings)
    for each in fields(kind)
}
"""A table and not a rule: `retry4xx` does not tell where its underscore was."""

_SNAKE = {camel: name for name, camel in CAMEL.items()}

_TABLES = frozenset({"outcome", "security", "tls"})
"""Those whose keys are settings. In the others the keys are the user's, and stay as they are."""

_LONG_NAMES = re.compile(
    r"\b(" + "|".join(sorted((n for n in CAMEL if "_" in n), key=len, reverse=True)) + r")\b"
)


def _in_camel_case(text: str) -> str:
    """The text of a fault with the settings' names as the API has them."""
    return _LONG_NAMES.sub(lambda found: CAMEL[found[1]], text)


# --- answers and bodies ------------------------------------------------------------------------

_types = SettingsTypes(CAMEL)

NewEndpoint = _types.said("NewEndpoint", EndpointSettings, without=FILES)
EndpointChange = _types.said("EndpointChange", EndpointSettings, without=FILES, required=False)
EndpointChange.__doc__ = "A merge patch (RFC 7396): null is the default."

DispatchesByState = msgspec.defstruct(
    "DispatchesByState", [(state, Count) for state in get_args(DispatchState)], frozen=True
)

_SECURITY: Schema = {
    "description": "of secrets only what is set",
    "properties": {
        "type": {"type": "string", "enum": list(get_args(get_type_hints(SecuritySettings)["type"]))}
    },
    "required": ["type"],
    "additionalProperties": {"const": "set"},
}


def _shown_fields() -> list[tuple[str, Any, Any]]:
    """Every setting; of those that hold secrets only what may be told."""
    told = {
        "url": Annotated[str, Meta(description="without user, password and query")],
        "security": Annotated[dict[str, str], Meta(extra_json_schema=_SECURITY)],
    }
    shown = [each for each in _types.shown(EndpointSettings) if each[0] != "name"]
    return [
        (name, told[name] | UnsetType if name in told else kind, UNSET) for name, kind, _ in shown
    ]


EndpointAnswer = msgspec.defstruct(
    "EndpointAnswer",
    [
        ("name", told_type(Name)),
        *_shown_fields(),
        ("origin", Origin),
        ("changed", Sequence[str]),
        ("paused", bool),
        ("faults", Sequence[str]),
        ("dispatches", DispatchesByState),
    ],
    rename=CAMEL.get,
    kw_only=True,
    frozen=True,
)
EndpointAnswer.__doc__ = """Without settings where what is stored of them can no longer be read:
then `faults` says why, and nothing is pushed there."""


def endpoint_answer(registered: Registered, counts: Mapping[DispatchState, int]) -> Struct:
    """An endpoint as the API and the command line show it, with every setting. Of what holds
    secrets it says only what is set."""
    return EndpointAnswer(
        name=registered.name,
        **({} if registered.settings is None else _shown_settings(registered.settings)),
        origin=registered.origin,
        changed=[CAMEL.get(name, name) for name in registered.changed],
        paused=registered.paused,
        faults=[_in_camel_case(text) for text in registered.faults],
        dispatches=DispatchesByState(*(counts.get(state, 0) for state in get_args(DispatchState))),
    )


def _shown_settings(settings: EndpointSettings) -> dict[str, Any]:
    shown = {each.name: _types.value(getattr(settings, each.name)) for each in fields(settings)}
    del shown["name"]
    return shown | {
        "url": without_credentials(settings.url),
        "security": {
            CAMEL[name]: value if name == "type" else "set"
            for name, value in {"type": "none", **as_table(settings.security)}.items()
        },
    }


class EndpointPage(Struct, frozen=True):
    endpoints: Sequence[EndpointAnswer]  # type: ignore[valid-type]
    next: Next


class RemovedEndpoint(Struct, frozen=True):
    removed: str
    cancelled: Count


# --- routes ------------------------------------------------------------------------------------

ENDPOINT_PARAMETERS = (LIMIT, cursor(TEXT))

_NOT_THERE = "there is no such thing"
_TOO_LARGE = "the body is larger than server.body_limit"
_BAD_SETTINGS = "settings that cannot be used; `details.faults` has all of them"
_IN_PATH = [in_path("name", told_type(Name), "its name")]
_NOW: Mapping[int, Reply | str] = {
    200: Reply("the endpoint as it is now", EndpointAnswer),
    404: _NOT_THERE,
}


class EndpointApi:
    """Reads and changes the registry over HTTP. A dispatcher notices what has changed by itself."""

    def __init__(self, registry: Registry, queue: DispatchQueue) -> None:
        self._registry = registry
        self._queue = queue

    def add_routes(self, app: web.Application) -> None:
        add_routes(app, self)

    @Route(
        "GET",
        "/api/endpoints",
        "listEndpoints",
        "The endpoints, and how many dispatches each has in each state",
        {200: Reply("a page", EndpointPage)},
        in_query(ENDPOINT_PARAMETERS),
    )
    async def list(self, request: web.Request) -> web.Response:
        asked = read_query(request.query, ENDPOINT_PARAMETERS)
        size = asked.get("limit", LIMIT_DEFAULT)
        found = list((await self._registry.all()).values())
        start = _start([each.name for each in found], asked.get("before"))
        page = found[start : start + size]
        counts = await self._queue.counts()
        shown = [endpoint_answer(each, counts.get(each.name, {})) for each in page]
        following = page[-1].name if start + size < len(found) else None
        return answer(EndpointPage(shown, following))

    @Route(
        "POST",
        "/api/endpoints",
        "addEndpoint",
        "Adds an endpoint. The addresses that its URLs lead to are checked",
        {
            201: Reply("the endpoint", EndpointAnswer),
            400: _BAD_SETTINGS,
            409: "there is one of this name already",
            413: _TOO_LARGE,
        },
        body=Body(
            NewEndpoint,
            examples={"webhook": {"name": "acme", "url": "https://acme.example/dlr", "window": 5}},
        ),
    )
    async def add(self, request: web.Request) -> web.Response:
        try:
            added = await self._registry.add(await _settings(request), from_outside=True)
        except EndpointExists as error:
            return fault(409, "endpoint_exists", str(error))
        except ConfigurationError as error:
            return _faults(error)
        return answer(endpoint_answer(added, {}), status=201)

    @Route(
        "GET",
        "/api/endpoints/{name}",
        "showEndpoint",
        "One endpoint with every setting",
        _NOW,
        _IN_PATH,
    )
    async def show(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            found = await self._registry.one(name)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        counts = await self._queue.counts()
        return answer(endpoint_answer(found, counts.get(name, {})))

    @Route(
        "PATCH",
        "/api/endpoints/{name}",
        "changeEndpoint",
        "Changes some settings",
        {**_NOW, 400: _BAD_SETTINGS, 413: _TOO_LARGE},
        _IN_PATH,
        Body(EndpointChange, examples={"narrower": {"window": 5, "rateLimit": None}}),
    )
    async def change(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            await self._registry.change(name, await _settings(request), from_outside=True)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        except ConfigurationError as error:
            return _faults(error)
        return await self.show(request)

    @Route(
        "DELETE",
        "/api/endpoints/{name}",
        "removeEndpoint",
        "Takes it out; what waits for it is cancelled",
        {200: Reply("what was done", RemovedEndpoint), 404: _NOT_THERE},
        _IN_PATH,
    )
    async def remove(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            cancelled = await self._registry.remove(name)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        return answer(RemovedEndpoint(name, cancelled))

    @Route(
        "POST",
        "/api/endpoints/{name}/pause",
        "pauseEndpoint",
        "Holds its dispatches",
        _NOW,
        _IN_PATH,
    )
    async def pause(self, request: web.Request) -> web.Response:
        return await self._hold(request, True)

    @Route(
        "POST",
        "/api/endpoints/{name}/resume",
        "resumeEndpoint",
        "Lets its dispatches go on",
        _NOW,
        _IN_PATH,
    )
    async def resume(self, request: web.Request) -> web.Response:
        return await self._hold(request, False)

    @Route(
        "POST",
        "/api/endpoints/{name}/reset",
        "resetEndpoint",
        "Gives it back to the settings file",
        _NOW,
        _IN_PATH,
    )
    async def reset(self, request: web.Request) -> web.Response:
        try:
            await self._registry.reset(request.match_info["name"])
        except UnknownEndpoint as error:
            text = f"{error} in the settings file, to which it could be given back"
            raise web.HTTPNotFound(text=text) from error
        return await self.show(request)

    async def _hold(self, request: web.Request, paused: bool) -> web.Response:
        try:
            await self._registry.pause(request.match_info["name"], paused)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        return await self.show(request)


def _start(names: list[str], cursor: str | None) -> int:
    """Where the page after the endpoint `cursor` begins."""
    if cursor is None:
        return 0
    if cursor not in names:
        raise BadQuery(f'cursor: expected the name of an endpoint, got "{cursor[:40]}"')
    return names.index(cursor) + 1


async def _settings(request: web.Request) -> dict[str, Any]:
    """The body's settings by their names in the settings file. Raises ConfigurationError."""
    try:
        body = msgspec.json.decode(await request.read(), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        text = 'expected a JSON object of settings such as {"window":5}'
        raise ConfigurationError([f"{text}: {error}"]) from error
    return {
        _SNAKE.get(name, name): _in_snake_case(value) if name in _TABLES else value
        for name, value in body.items()
    }


def _in_snake_case(table: Any) -> Any:
    if not isinstance(table, dict):
        return table
    return {_SNAKE.get(name, name): value for name, value in table.items()}


def _faults(error: ConfigurationError) -> web.Response:
    faults = [_in_camel_case(text) for text in error.faults]
    return fault(400, "bad_settings", "; ".join(faults), faults=faults)
