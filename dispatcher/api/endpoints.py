"""The routes under /api that concern endpoints: what there is, and changes at run time.

Settings have the keys of [[endpoint]] in the settings file, written in camelCase as everywhere in
the API. Secrets go in and never come out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any, get_args

import msgspec
from aiohttp import web

from dispatcher.endpoints.registry import EndpointExists, Registered, Registry, UnknownEndpoint
from dispatcher.queue.base import DispatchQueue
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.settings.security import SecuritySettings, TlsSettings
from dispatcher.settings.settings import EndpointSettings, OutcomeSettings
from receiver.answers import BadQuery, answer, fault
from receiver.api.reports import limit, only
from receiver.settings.configuration import (
    ConfigurationError,
    Secret,
    as_table,
    without_credentials,
)
from receiver.settings.durations import duration_text


class EndpointApi:
    """Reads and changes the registry over HTTP. A dispatcher notices what has changed by itself."""

    def __init__(self, registry: Registry, queue: DispatchQueue) -> None:
        self._registry = registry
        self._queue = queue

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/api/endpoints", self.list)
        app.router.add_post("/api/endpoints", self.add)
        app.router.add_get("/api/endpoints/{name}", self.show)
        app.router.add_patch("/api/endpoints/{name}", self.change)
        app.router.add_delete("/api/endpoints/{name}", self.remove)
        app.router.add_post("/api/endpoints/{name}/pause", self.pause)
        app.router.add_post("/api/endpoints/{name}/resume", self.resume)
        app.router.add_post("/api/endpoints/{name}/reset", self.reset)

    async def list(self, request: web.Request) -> web.Response:
        only(request.query, "limit", "cursor")
        size = limit(request.query)
        found = list((await self._registry.all()).values())
        start = _start([each.name for each in found], request.query.get("cursor"))
        shown = found[start : start + size]
        counts = await self._queue.counts()
        views = [view(each, counts.get(each.name, {})) for each in shown]
        following = shown[-1].name if start + size < len(found) else None
        return answer({"endpoints": views, "next": following})

    async def add(self, request: web.Request) -> web.Response:
        try:
            added = await self._registry.add(await _settings(request), from_outside=True)
        except EndpointExists as error:
            return fault(409, "endpoint_exists", str(error))
        except ConfigurationError as error:
            return _faults(error)
        return answer(view(added, {}), status=201)

    async def show(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            found = await self._registry.one(name)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        counts = await self._queue.counts()
        return answer(view(found, counts.get(name, {})))

    async def change(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            await self._registry.change(name, await _settings(request), from_outside=True)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        except ConfigurationError as error:
            return _faults(error)
        return await self.show(request)

    async def remove(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            cancelled = await self._registry.remove(name)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        return answer({"removed": name, "cancelled": cancelled})

    async def pause(self, request: web.Request) -> web.Response:
        return await self._hold(request, True)

    async def resume(self, request: web.Request) -> web.Response:
        return await self._hold(request, False)

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


def view(registered: Registered, counts: Mapping[DispatchState, int]) -> dict[str, Any]:
    """An endpoint as the API and the command line show it, with every setting. Of what holds
    secrets it says only what is set."""
    return {
        "name": registered.name,
        **({} if registered.settings is None else _settings_view(registered.settings)),
        "origin": registered.origin,
        "changed": [CAMEL.get(name, name) for name in registered.changed],
        "paused": registered.paused,
        "faults": [_in_camel_case(text) for text in registered.faults],
        "dispatches": {state: counts.get(state, 0) for state in get_args(DispatchState)},
    }


def _settings_view(settings: EndpointSettings) -> dict[str, Any]:
    return {
        **_shown(settings),
        "url": without_credentials(settings.url),
        "security": {
            CAMEL[name]: value if name == "type" else "set"
            for name, value in {"type": "none", **as_table(settings.security)}.items()
        },
    }


def _shown(value: Any) -> Any:
    if is_dataclass(value):
        return {CAMEL[each.name]: _shown(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Secret):
        return "set"
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, dict):
        return {name: _shown(each) for name, each in value.items()}
    return value


def _start(names: list[str], cursor: str | None) -> int:
    """Where the page after the endpoint `cursor` begins."""
    if cursor is None:
        return 0
    if cursor not in names:
        raise BadQuery(f'cursor: expected the name of an endpoint, got "{cursor[:40]}"')
    return names.index(cursor) + 1


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
