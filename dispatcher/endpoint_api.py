"""The routes under /api that concern endpoints: what there is, and changes at run time.

Settings have the keys of [[endpoint]] in the settings file, written in camelCase as everywhere in
the API. Secrets go in and never come out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

import msgspec
from aiohttp import web

from dispatcher.addresses import url_fault
from dispatcher.dispatch import State
from dispatcher.queue.base import DispatchQueue
from dispatcher.registry import EndpointExists, Registered, Registry, UnknownEndpoint
from receiver.answers import answer, fault
from receiver.api import only
from receiver.configuration import ConfigurationError, as_table, without_credentials

_AS_THEY_ARE = frozenset({"headers"})
"""Tables whose keys are the user's and not settings."""

_SECRETS = frozenset({"headers", "security"})


class EndpointApi:
    """Reads and changes the registry over HTTP. `on_change` is called after each change."""

    def __init__(
        self,
        registry: Registry,
        queue: DispatchQueue,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._registry = registry
        self._queue = queue
        self._on_change = on_change

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
        counts = await self._queue.counts()
        found = (await self._registry.all()).values()
        views = [view(each, counts.get(each.settings.name, {})) for each in found]
        return answer({"endpoints": views, "next": None})

    async def add(self, request: web.Request) -> web.Response:
        try:
            table = await _table(request)
            added = await self._registry.add(table, from_outside=True)
        except EndpointExists as error:
            return fault(409, "endpoint_exists", str(error))
        except ConfigurationError as error:
            return _faults(error)
        self._on_change()
        return answer(view(added, {}), status=201)

    async def show(self, request: web.Request) -> web.Response:
        return await self._show(request.match_info["name"])

    async def change(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            table = await _table(request)
            await self._registry.change(name, table, from_outside=True)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        except ConfigurationError as error:
            return _faults(error)
        self._on_change()
        return await self._show(name)

    async def remove(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            cancelled = await self._registry.remove(name)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        self._on_change()
        return answer({"removed": name, "cancelled": cancelled})

    async def pause(self, request: web.Request) -> web.Response:
        return await self._hold(request.match_info["name"], True)

    async def resume(self, request: web.Request) -> web.Response:
        return await self._hold(request.match_info["name"], False)

    async def reset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            await self._registry.reset(name)
        except UnknownEndpoint as error:
            text = f"{error} in the settings file, to which it could be given back"
            raise web.HTTPNotFound(text=text) from error
        self._on_change()
        return await self._show(name)

    async def _hold(self, name: str, paused: bool) -> web.Response:
        try:
            await self._registry.pause(name, paused)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        self._on_change()
        return await self._show(name)

    async def _show(self, name: str) -> web.Response:
        try:
            found = await self._registry.one(name)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        counts = await self._queue.counts()
        return answer(view(found, counts.get(name, {})))


def view(registered: Registered, counts: Mapping[State, int]) -> dict[str, Any]:
    """An endpoint as the API and the command line show it. Of what holds secrets it says only what
    is set."""
    settings = registered.settings
    table = as_table(settings)
    shown = {
        "name": settings.name,
        "url": without_credentials(settings.url),
        "contentType": settings.content_type,
        "generation": settings.generation,
        "bucketSize": settings.bucket_size,
        "window": settings.window,
        **{_camel(k): _camel_keys(v) for k, v in table.items() if k not in _SECRETS | {"url"}},
        **{name: _hidden(table[name]) for name in _SECRETS if name in table},
    }
    return {
        **shown,
        "origin": registered.origin,
        "paused": registered.paused,
        "dispatches": {state: counts.get(state, 0) for state in get_args(State)},
    }


async def _table(request: web.Request) -> dict[str, Any]:
    """The body's settings by their names in the settings file. Raises ConfigurationError."""
    try:
        body = msgspec.json.decode(await request.read(), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ConfigurationError([f"expected a JSON object of settings: {error}"]) from error
    table = {
        _snake(name): value if name in _AS_THEY_ARE else _snake_keys(value)
        for name, value in body.items()
    }
    if isinstance(url := table.get("url"), str) and (wrong := url_fault(url)) is not None:
        raise ConfigurationError([f"url: {wrong}"])
    return table


def _faults(error: ConfigurationError) -> web.Response:
    return fault(400, "bad_settings", "; ".join(error.faults), faults=list(error.faults))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", name)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def _snake_keys(value: Any) -> Any:
    return {_snake(k): v for k, v in value.items()} if isinstance(value, dict) else value


def _camel_keys(value: Any) -> Any:
    return {_camel(k): v for k, v in value.items()} if isinstance(value, dict) else value


def _hidden(table: Any) -> Any:
    """The names that are set, without their values; a type is no secret."""
    return {_camel(k): v if k == "type" else "set" for k, v in table.items()}
