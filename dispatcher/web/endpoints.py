"""Endpoints: how each is, its attempts and settings, and whatever can be changed of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from msgspec import Struct, structs

from dispatcher.api.dispatches import AttemptAnswer, DispatchQuery, dispatch_page
from dispatcher.api.endpoint_health import EndpointHealth
from dispatcher.api.endpoints import retry_all, told_of_settings
from dispatcher.api.example_pushes import NOT_STORED, CannotBeTried, TestPushed, endpoint_to_try
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.endpoints.registry import (
    EndpointExists,
    EndpointInForce,
    Registered,
    UnknownEndpoint,
)
from dispatcher.queue.base import DispatchSearch
from dispatcher.settings.settings import OWN_URLS
from dispatcher.web.endpoint_form import (
    EndpointForm,
    as_toml,
    form_of,
    patch,
    table_of_typed,
    told_settings,
    typed_of,
)
from dispatcher.web.endpoint_state import EndpointState, is_failing, state_of
from dispatcher.web.pushes import Row
from dispatcher.web.shown import counted, sentence
from dispatcher.web.site import BadForm, Site, form, page
from receiver.api.audit import tell
from receiver.settings.configuration import ConfigurationError
from receiver.store.base import StoredReport

ATTEMPTS: Final = 10
"""Dispatches on an endpoint's page."""

UNROUTED: Final = 100
"""Reports that are looked for to tell how many go nowhere."""


class EndpointRow(Struct, frozen=True):
    """An endpoint in the list. `url` None: its settings cannot be read, or reports bring theirs."""

    name: str
    url: str | None
    state: EndpointState
    health: EndpointHealth


class EndpointPages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._inside = site.inside
        self._registry = site.inside.registry
        self._queue = site.inside.storage.queue
        self._store = site.inside.storage.store

    # --- looking -------------------------------------------------------------------------------

    @page("/endpoints", "showEndpoints")
    async def endpoints(self, request: web.Request) -> web.Response:
        registered = await self._registry.listed()
        healths = (await self._inside.healths.of()).endpoints
        rows = [await self._row(registered[h.name], h) for h in healths if h.name in registered]
        return self._site.show(
            request,
            "endpoints.html.jinja",
            rows=rows,
            unrouted=await self._unrouted(),
            unrouted_most=UNROUTED,
            form=None if rows else form_of({}),
            locked=(),
            before="{}",
            pushed=None,
            pushes=self._inside.examples is not None,
        )

    async def _unrouted(self) -> Sequence[StoredReport]:
        return (await self._inside.unrouted.find(None, UNROUTED)).reports

    async def _row(self, endpoint: Registered, health: EndpointHealth) -> EndpointRow:
        last = await self._last_success(endpoint.name) if is_failing(health) else None
        return EndpointRow(endpoint.name, _url_of(endpoint), state_of(health, last), health)

    async def _last_success(self, name: str) -> datetime | None:
        """When the endpoint last acknowledged something, as its newest dispatches tell."""
        search = DispatchSearch(endpoint=name, outcome="acknowledged", limit=20)
        found = (await self._queue.find(search)).dispatches
        attempts = await self._queue.last_attempts([each.id for each in found])
        return max((each.started_at for each in attempts.values()), default=None)

    @page("/endpoints/{name}", "showEndpoint")
    async def endpoint(self, request: web.Request) -> web.Response:
        return await self._one(request, await self._found(request))

    async def _one(
        self, request: web.Request, endpoint: Registered, pushed: TestPushed | None = None
    ) -> web.Response:
        (health,) = (await self._inside.healths.of(endpoint.name)).endpoints
        query = DispatchQuery(endpoint=endpoint.name, limit=ATTEMPTS)
        found = (await dispatch_page(self._store, self._queue, query)).dispatches
        last = await self._queue.last_attempts([each.id for each in found])
        settings = endpoint.settings
        return self._site.show(
            request,
            "endpoint.html.jinja",
            endpoint=endpoint,
            row=await self._row(endpoint, health),
            health=health,
            rows=[
                Row(each, AttemptAnswer.of(last[each.id]) if each.id in last else None)
                for each in found
            ],
            settings=None if settings is None else as_toml(told_settings(settings)),
            others=await self._others(endpoint),
            pushed=pushed,
            may_be_tried=self._inside.examples is not None and endpoint.name != OWN_URLS,
        )

    async def _others(self, endpoint: Registered) -> Sequence[str]:
        """Who can take over from an endpoint that has left the settings."""
        if not endpoint.gone:
            return ()
        return [each.name for each in await self._registry.endpoints() if not each.own_urls]

    async def _found(self, request: web.Request) -> Registered:
        """Raises HTTPNotFound."""
        try:
            return await self._registry.one(request.match_info["name"])
        except UnknownEndpoint as error:
            raise _not_there(error) from error

    # --- settings ------------------------------------------------------------------------------

    @page("/endpoints/new", "showNewEndpoint")
    async def new(self, request: web.Request) -> web.Response:
        return self._form(request, None, form_of({}))

    @form("/endpoints/new", "addEndpoint")
    async def add(self, request: web.Request) -> web.Response:
        typed = await _typed(request)
        try:
            table = table_of_typed(typed)
            added = await self._registry.add(table, from_outside=True)
        except ConfigurationError as error:
            return self._form(request, None, form_of(typed, error.faults), status=400)
        except EndpointExists as error:
            return self._form(request, None, form_of(typed, [f"name: {error}"]), status=409)
        tell(request, subject=added.name, **told_of_settings(table))
        words = f"{added.name} was added. It receives the reports that come in from now on."
        words += warned(await self._inside.endpoints.warnings_of(added))
        return self._site.back_to(request, endpoint_path(added.name), words)

    @form("/endpoints/test", "testNewEndpoint")
    async def test_new(self, request: web.Request) -> web.Response:
        typed = await _typed(request)
        try:
            table = table_of_typed(typed)
            endpoint = self._registry.endpoint_of(table, from_outside=True)
        except ConfigurationError as error:
            return self._form(request, None, form_of(typed, error.faults), status=400)
        tell(request, **told_of_settings(table))
        pushed = await self._push(request, structs.replace(endpoint, name=NOT_STORED))
        return self._form(request, None, form_of(typed), pushed=pushed)

    @page("/endpoints/{name}/settings", "showEndpointSettings")
    async def settings(self, request: web.Request) -> web.Response:
        endpoint = await self._found(request)
        if endpoint.settings is None:
            raise web.HTTPConflict(text=f"The settings of {endpoint.name} cannot be changed here.")
        before = told_settings(endpoint.settings)
        return self._form(request, endpoint.name, form_of(typed_of(before)), before=before)

    @form("/endpoints/{name}/settings", "changeEndpoint")
    async def change(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        typed = await _typed(request) | {"name": name}
        before = await _before(request)
        try:
            changes = patch(before, table_of_typed(typed))
            if changes:
                await self._registry.change(name, changes, from_outside=True)
        except UnknownEndpoint as error:
            raise _not_there(error) from error
        except ConfigurationError as error:
            faulty = form_of(typed, error.faults)
            return self._form(request, name, faulty, before=before, status=400)
        tell(request, **told_of_settings(changes))
        words = f"Changed: {', '.join(changes)}." if changes else "Nothing was changed."
        if "url" in changes:
            changed = await self._registry.one(name)
            words += warned(await self._inside.endpoints.warnings_of(changed))
        return self._site.back_to(request, endpoint_path(name), words)

    def _form(
        self,
        request: web.Request,
        name: str | None,
        shown: EndpointForm,
        *,
        before: Mapping[str, Any] | None = None,
        pushed: TestPushed | None = None,
        status: int = 200,
    ) -> web.Response:
        return self._site.show(
            request,
            "endpoint_form.html.jinja",
            name=name,
            form=shown,
            locked=("name", "url") if name == OWN_URLS else ("name",) if name else (),
            before=json.dumps(before or {}),
            pushed=pushed,
            pushes=self._inside.examples is not None,
            status=status,
        )

    # --- by hand -------------------------------------------------------------------------------

    @form("/endpoints/{name}/pause", "pauseEndpoint")
    async def pause(self, request: web.Request) -> web.Response:
        words = "Paused. Its reports wait and use up no retries."
        return await self._hold(request, True, words)

    @form("/endpoints/{name}/resume", "resumeEndpoint")
    async def resume(self, request: web.Request) -> web.Response:
        other = (await request.post()).get("as")
        if not isinstance(other, str):
            return await self._hold(request, False, "Resumed. Waiting reports are pushed again.")
        name = request.match_info["name"]
        told: dict[str, Any] = {"as": other}
        tell(request, **told)
        try:
            taken = await self._registry.resume_as(name, other)
        except UnknownEndpoint as error:
            raise _not_there(error) from error
        except EndpointInForce as error:
            raise web.HTTPConflict(text=sentence(error)) from error
        words = (
            f"{other} has taken over from {name}:"
            f" {counted(taken.dispatches, 'waiting dispatch', 'waiting dispatches')} and"
            f" {counted(taken.reports, 'unread report')}."
        )
        return self._site.back_to(request, endpoint_path(other), words)

    async def _hold(self, request: web.Request, paused: bool, words: str) -> web.Response:
        name = request.match_info["name"]
        try:
            await self._registry.pause(name, paused)
        except UnknownEndpoint as error:
            raise _not_there(error) from error
        return self._site.back_to(request, endpoint_path(name), words)

    @form("/endpoints/{name}/reset", "resetEndpoint")
    async def reset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            await self._registry.reset(name)
        except UnknownEndpoint as error:
            text = f"{name} is not in the settings file, so it cannot be reset."
            raise web.HTTPNotFound(text=text) from error
        words = "All changes made at run time were discarded. The settings file applies again."
        return self._site.back_to(request, endpoint_path(name), words)

    @page("/endpoints/{name}/remove", "showEndpointRemoval")
    async def removal(self, request: web.Request) -> web.Response:
        endpoint = await self._found(request)
        counts = (await self._queue.counts()).get(endpoint.name, {})
        return self._site.show(
            request,
            "endpoint_removal.html.jinja",
            endpoint=endpoint,
            waiting=counts.get("waiting", 0) + counts.get("leased", 0),
        )

    @form("/endpoints/{name}/remove", "removeEndpoint")
    async def remove(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            cancelled = await self._registry.remove(name)
        except UnknownEndpoint as error:
            raise _not_there(error) from error
        tell(request, cancelled=cancelled)
        words = f"{name} was removed. {_dispatches(cancelled)} cancelled."
        return self._site.back_to(request, "/endpoints", words)

    @form("/endpoints/{name}/retry", "retryEndpoint")
    async def retry(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            retried = await retry_all(self._registry, self._queue, name, self._site.now())
        except UnknownEndpoint as error:
            raise _not_there(error) from error
        self._inside.on_due()
        tell(request, retried=retried)
        words = (
            f"{_dispatches(retried)} made due now. They are pushed as soon as the"
            " endpoint's window and rate limit allow it."
        )
        return self._site.back_to(request, endpoint_path(name), words)

    @form("/endpoints/{name}/test", "testEndpoint")
    async def test(self, request: web.Request) -> web.Response:
        found = await self._found(request)
        try:
            endpoint = await endpoint_to_try(self._registry, found.name)
        except CannotBeTried as error:
            raise web.HTTPConflict(text=sentence(error)) from error
        return await self._one(request, found, await self._push(request, endpoint))

    async def _push(self, request: web.Request, endpoint: Endpoint) -> TestPushed:
        if self._inside.examples is None:
            text = (
                "This process does not push. Use the pages of one that does: dlr serve or"
                " dlr dispatch."
            )
            raise web.HTTPConflict(text=text)
        pushed = await self._inside.examples.push(endpoint)
        tell(request, result=pushed.outcome.value)
        return TestPushed.of(pushed)


def endpoint_path(name: str) -> str:
    return f"/endpoints/{quote(name, safe='')}"


def _url_of(endpoint: Registered) -> str | None:
    if endpoint.settings is None or endpoint.name == OWN_URLS:
        return None
    return str(told_settings(endpoint.settings)["url"])


async def _typed(request: web.Request) -> dict[str, str]:
    said = await request.post()
    return {name: text for name, text in said.items() if isinstance(text, str)}


async def _before(request: web.Request) -> dict[str, Any]:
    """The settings as the form had them when it was shown. Raises BadForm."""
    try:
        before = json.loads(str((await request.post()).get("before")))
    except (ValueError, RecursionError):
        before = None
    if not isinstance(before, dict):
        raise BadForm("The form is incomplete. Go back, reload the page and try again.")
    return before


def warned(warnings: Sequence[str]) -> str:
    """What follows the sentence that says what was done."""
    return "".join(f" Warning: {each}." for each in warnings)


def _dispatches(number: int) -> str:
    return f"{number} dispatch was" if number == 1 else f"{number} dispatches were"


def _not_there(error: UnknownEndpoint) -> web.HTTPNotFound:
    return web.HTTPNotFound(text=sentence(error))
